"""Migrations in a tar archive, of which nothing is unpacked."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from migrator.domain.model import Split
from migrator.errors import FilesInvalidError
from migrator.source.archive import members
from migrator.source.content import PIECE
from migrator.source.discover import find_migrations
from migrator.source.load import load
from tests.unit.sql.support import parsed


UP = b"-- +goose Up\nSELECT 1;\n"


def tar(contents: Mapping[str, bytes], *extra: tarfile.TarInfo) -> bytes:
    """An archive of files, and of what else is given."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return out.getvalue()


def link(name: str, target: str) -> tarfile.TarInfo:
    """A symbolic link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def folder(name: str) -> tarfile.TarInfo:
    """A folder."""
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


def written(path: Path, data: bytes) -> Path:
    """The archive in a file."""
    path.write_bytes(data)
    return path


def fault(path: Path) -> str:
    """What is wrong with an archive."""
    with pytest.raises(FilesInvalidError) as caught:
        find_migrations(path)
    (found,) = caught.value.faults
    assert (found.path, found.slug) == (str(path), "archive")
    return found.message


@pytest.mark.parametrize("name", ["m.tar", "m.tar.gz", "m.tgz"])
@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
def test_its_files_are_those_of_a_directory(
    tmp_path: Path, name: str, packed: object
) -> None:
    """Versions, statements, checksums and paths are the same, gzip or not."""
    contents = {"1_a.sql": UP, "2_b.py": b"def up(conn): ...\n"}
    directory = tmp_path / "directory"
    directory.mkdir()
    for file, content in contents.items():
        (directory / file).write_bytes(content)
    data = tar(contents)
    archive = written(tmp_path / name, gzip.compress(data) if packed else data)

    one, other = (load(p, split=Split.GOOSE, environ={}) for p in (directory, archive))

    (sql, script), (same, like) = one.migrations, other.migrations
    assert sql == same
    assert script._replace(up=like.up) == like
    assert like.up.script is not None
    assert like.up.script.file == f"{archive}/2_b.py"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["1_a.sql", "2_b.sql"], [1, 2]),
        (["./1_a.sql", "./2_b.sql"], [1, 2]),
        (["m/1_a.sql", "m/2_b.sql"], [1, 2]),
        (["db/migrations/1_a.sql"], [1]),
        (["1_a.sql", "old/2_b.sql"], [1]),
        (["m/1_a.sql", "m/old/2_b.sql"], [1]),
        (["m/1_a.sql", "._m/1_a.sql", "m/._1_a.sql"], [1]),
        (["1_a.sql", "README.md", "helpers.py"], [1]),
        (["/etc/1_a.sql"], [1]),
        (["1_a.sql", "../2_b.sql", "m/../../3_c.sql"], [1]),
    ],
)
def test_one_folder_counts(
    tmp_path: Path, names: list[str], expected: list[int]
) -> None:
    """The top level, or the only folder; hidden names, `..` too, are nobody's."""
    data = tar(dict.fromkeys(names, UP), folder("empty"))

    found = find_migrations(written(tmp_path / "m.tar", data))

    assert [each.version for each in found.candidates] == expected
    assert found.faults == ()


def test_several_folders(tmp_path: Path) -> None:
    """Which of them would be meant?"""
    data = tar({"b/1_a.sql": UP, "a/2_b.sql": UP})

    assert "files in several folders, a, b;" in fault(written(tmp_path / "m.tar", data))


def test_the_last_of_two_members_counts(tmp_path: Path) -> None:
    """As in unpacking an archive to which a newer file was added."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for content in (b"-- old", UP):
            info = tarfile.TarInfo("1_a.sql")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))

    (found,) = find_migrations(written(tmp_path / "m.tar", data.getvalue())).candidates

    assert found.content == UP


def test_a_link_is_no_file(tmp_path: Path) -> None:
    """It is a fault, for its target lies outside."""
    data = tar({"1_a.sql": UP}, link("2_b.sql", "/etc/passwd"), link("x.md", "y.md"))

    found = find_migrations(written(tmp_path / "m.tar", data))

    assert [(each.path, each.slug) for each in found.faults] == [("2_b.sql", "no_file")]


def test_a_sparse_file_is_no_file(tmp_path: Path) -> None:
    """It would be as large as it says, whatever is packed of it."""
    info = tarfile.TarInfo("1_a.sql")
    info.type = tarfile.GNUTYPE_SPARSE

    found = find_migrations(written(tmp_path / "m.tar", tar({}, info)))

    assert [each.slug for each in found.faults] == ["no_file"]


def test_nothing_in_it(tmp_path: Path) -> None:
    """As an empty directory."""
    with pytest.raises(FilesInvalidError, match="there is no migration in it"):
        find_migrations(written(tmp_path / "m.tar", tar({"README.md": b""})))


def test_a_bomb(tmp_path: Path) -> None:
    """What gzip makes of 33 MiB of nothing has 32 KiB, and is not kept in memory."""
    data = gzip.compress(tar({"1_a.sql": bytes(33 * 1024 * 1024)}))

    assert len(data) < 40_000
    assert "holds more than 32 MiB" in fault(written(tmp_path / "m.tgz", data))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-- +goose Up\n",
        gzip.compress(tar({"1_a.sql": UP}))[:-10],
        gzip.compress(tar({"1_a.sql": UP})) + b"more",
        tar({"1_a.sql": UP})[:700],
        tar({"1_a.sql": UP})[:1024],
        tar({"1_a.sql": UP}) + tar({"2_b.sql": UP}),
        tar({"1_a.sql": UP, "2_b.sql": UP}).replace(b"2_b", b"3_b"),
    ],
    ids=[
        *("empty", "text", "cut gzip", "gzip and more", "cut member"),
        *("no end", "two archives", "bad header"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes) -> None:
    """Also where tar itself would go on without a word, and files would be missing."""
    assert "cannot be read" in fault(written(tmp_path / "m.tar.gz", data))


@given(st.data())
def test_damage_is_a_fault_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever bytes are changed, there is a fault or the archive is read."""
    raw = bytearray(tar({"m/1_a.sql": UP, "m/2_b.sql": UP * 20}))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.tar"

    try:
        found = members(written(path, bytes(raw)))
    except FilesInvalidError as error:
        (problem,) = error.faults
        assert problem.slug == "archive"
    else:
        assert all(isinstance(each.name, str) for each in found)


def test_a_large_member(tmp_path: Path) -> None:
    """It is read piece by piece, from memory, and says what a small one would."""
    row = b"INSERT INTO t VALUES (1, 'x');\n"
    content = b"-- +goose Up\n" + row * (2 * PIECE // len(row))
    path = written(tmp_path / "m.tgz", gzip.compress(tar({"1_a.sql": content})))

    (migration,) = load(path, split=Split.GOOSE, environ={}).migrations

    whole = parsed(content)
    assert not isinstance(migration.up.statements, tuple)
    assert tuple(migration.up.statements) == whole.up.statements


def test_an_archive_in_a_directory_is_not_read(tmp_path: Path) -> None:
    """goose would not, either; where nothing else is there, it is pointed at."""
    archive = written(tmp_path / "m.tgz", gzip.compress(tar({"1_a.sql": UP})))
    with pytest.raises(FilesInvalidError) as caught:
        find_migrations(tmp_path)
    (tmp_path / "2_b.sql").write_bytes(UP)

    assert f"point MIGRATOR_MIGRATIONS_DIR at {archive}" in str(caught.value)
    assert [each.version for each in find_migrations(tmp_path).candidates] == [2]


def test_a_directory_may_be_called_like_an_archive(tmp_path: Path) -> None:
    """What it is counts."""
    directory = tmp_path / "m.tar"
    directory.mkdir()
    (directory / "1_a.sql").write_bytes(UP)

    assert [each.version for each in find_migrations(directory).candidates] == [1]

"""Which files are migrations, and which names stop a run."""

import os
from pathlib import Path

import pytest

from migrator.errors import FilesInvalidError
from migrator.source.discover import find_migrations, version_of
from migrator.source.entries import Candidate


def found(directory: Path) -> list[tuple[int, str]]:
    """Return versions and names of the migrations in a directory."""
    return [(each.version, each.name) for each in find_migrations(directory).candidates]


def slugs(directory: Path) -> list[tuple[str, str]]:
    """Return names and kinds of the faults of a directory."""
    return [(fault.path, fault.slug) for fault in find_migrations(directory).faults]


@pytest.mark.parametrize(
    ("name", "version"),
    [
        pytest.param("1_a.sql", 1, id="number"),
        pytest.param("00012_a.sql", 12, id="leading-zeros"),
        pytest.param("+3_a.sql", 3, id="plus"),
        pytest.param("20240101120000_a_b.sql", 20240101120000, id="timestamp"),
        pytest.param("9223372036854775807_a.sql", 9223372036854775807, id="largest"),
        pytest.param("1_.sql", 1, id="nothing-behind"),
    ],
)
def test_versions(name: str, version: int) -> None:
    """The version is what stands before the first underscore, as Go reads numbers."""
    assert version_of(name) == version


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("1.sql", "the name has no '_' after a version", id="no-underscore"),
        pytest.param("0012-add.sql", "the name has no '_' after a version", id="dash"),
        pytest.param("a_1.sql", "the name does not start with a whole number", id="word"),
        pytest.param("_a.sql", "the name does not start with a whole number", id="nothing"),
        pytest.param("1 _a.sql", "the name does not start with a whole number", id="blank"),
        pytest.param("1.5_a.sql", "the name does not start with a whole number", id="fraction"),
        pytest.param("\u0661_a.sql", "the name does not start with a whole number", id="other-digits"),
        pytest.param("0_a.sql", "the version is not greater than zero", id="zero"),
        pytest.param("-1_a.sql", "the version is not greater than zero", id="negative"),
        pytest.param("9223372036854775808_a.sql", "the version is greater than 9223372036854775807", id="too-large"),
        pytest.param("9" * 200 + "_a.sql", "the version is greater than 9223372036854775807", id="far-too-large"),
    ],
)  # fmt: skip
def test_names_without_a_version_are_faults(
    tmp_path: Path, name: str, reason: str
) -> None:
    """goose's command refuses a directory with such a file; so do we, with a reason."""
    (tmp_path / name).touch()
    (fault,) = find_migrations(tmp_path).faults

    assert (fault.path, fault.slug) == (name, "bad_name")
    assert fault.message.startswith(f"{reason}; ")


def test_order_is_numeric(tmp_path: Path) -> None:
    """Migrations are sorted by version, not by name."""
    for name in ("10_c.sql", "9_b.sql", "0001_a.sql"):
        (tmp_path / name).touch()

    assert found(tmp_path) == [(1, "0001_a.sql"), (9, "9_b.sql"), (10, "10_c.sql")]


def test_what_is_ignored(tmp_path: Path) -> None:
    """Hidden names, subfolders, tests in Go and other extensions are no migrations."""
    (tmp_path / "1_a.sql").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "2_b.sql").touch()
    for name in (
        ".3_c.sql",
        "README.md",
        "4_d.sql.bak",
        "5_e_test.go",
        "helpers.go",
        "6_f",
    ):
        (tmp_path / name).touch()

    assert (found(tmp_path), slugs(tmp_path)) == ([(1, "1_a.sql")], [])


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        pytest.param("2_b.SQL", "bad_extension", id="upper-case"),
        pytest.param("2_b.Sql", "bad_extension", id="capital"),
    ],
)
def test_what_would_be_lost_is_a_fault(tmp_path: Path, name: str, slug: str) -> None:
    """A versioned file that cannot run is not left out in silence."""
    for each in ("1_a.sql", name):
        (tmp_path / each).touch()

    assert slugs(tmp_path) == [(name, slug)]


def test_two_files_of_one_version(tmp_path: Path) -> None:
    """The fault is the second file's and names the first; the first stays."""
    for name in ("1_a.sql", "0001_b.sql", "+1_c.sql"):
        (tmp_path / name).touch()
    directory = find_migrations(tmp_path)

    assert [str(fault) for fault in directory.faults] == [
        "0001_b.sql: +1_c.sql has version 1 too; give one a newer version",
        "1_a.sql: +1_c.sql has version 1 too; give one a newer version",
    ]
    assert [each.name for each in directory.candidates] == ["+1_c.sql"]


def test_a_mounted_config_map(tmp_path: Path) -> None:
    """Names that are links through `..data` are found once."""
    data = tmp_path / "..2026_01_01"
    data.mkdir()
    (data / "1_a.sql").touch()
    (tmp_path / "..data").symlink_to(data.name)
    (tmp_path / "1_a.sql").symlink_to("..data/1_a.sql")

    assert find_migrations(tmp_path).candidates == (
        Candidate(1, "1_a.sql", str(tmp_path / "1_a.sql")),
    )


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    """A broken link, a folder or a pipe with a migration's name is a fault."""
    (tmp_path / "1_a.sql").symlink_to("nowhere")
    (tmp_path / "2_b.sql").mkdir()
    os.mkfifo(tmp_path / "3_c.sql")

    assert slugs(tmp_path) == [(f"{n}.sql", "no_file") for n in ("1_a", "2_b", "3_c")]


def test_a_name_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    """Such a name is shown with escapes, and its file is found under its own name."""
    path = os.fsencode(tmp_path / "1_") + b"\xe9.sql"
    Path(os.fsdecode(path)).touch()
    (candidate,) = find_migrations(tmp_path).candidates

    assert candidate == Candidate(1, "1_\\xe9.sql", os.fsdecode(path))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("missing", "there is no such directory", id="missing"),
        pytest.param("file", "this is no directory", id="file"),
        pytest.param("empty", "there is no migration in it", id="empty"),
    ],
)
def test_directories_that_cannot_be_used(
    tmp_path: Path, name: str, reason: str
) -> None:
    """Without a directory or a migration there is nothing to gather: an error at once."""
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(FilesInvalidError, match=reason) as caught:
        find_migrations(tmp_path / name)

    assert [(f.path, f.slug) for f in caught.value.faults] == [
        (str(tmp_path / name), "directory")
    ]


def test_several_places_are_one_set(tmp_path: Path) -> None:
    """Versions are in one order, wherever they lie."""
    for name in ("one/2_b.sql", "other/1_a.sql", "other/3_c.sql"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = find_migrations(tmp_path / "one", tmp_path / "other")

    assert [each.name for each in found.candidates] == ["1_a.sql", "2_b.sql", "3_c.sql"]
    assert found.faults == ()


def test_one_version_in_two_places(tmp_path: Path) -> None:
    """Both files are named with their places."""
    one, other = (tmp_path / name for name in ("one/1_a.sql", "other/1_a.sql"))
    for path in (one, other):
        path.parent.mkdir()
        path.touch()

    (fault,) = find_migrations(one.parent, other.parent).faults

    assert (fault.path, fault.slug) == (str(other), "duplicate")
    assert fault.message.startswith(f"{one} has version 1 too;")


def test_one_place_may_be_empty(tmp_path: Path) -> None:
    """A ConfigMap without files beside one with some; but none may be missing."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "1_a.sql").touch()

    with pytest.raises(FilesInvalidError, match="there is no such directory"):
        find_migrations(tmp_path, tmp_path / "missing")
    assert len(find_migrations(tmp_path / "empty", tmp_path).candidates) == 1

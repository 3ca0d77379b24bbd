"""A directory, read."""

from pathlib import Path

import pytest

from migrator.domain.model import Files, Migration, Section, Split, Statement
from migrator.errors import FilesInvalidError
from migrator.source.load import load


_UNREADABLE = Path("/proc/self/mem")
"""A regular file, but nobody can read its start."""


@pytest.mark.parametrize("split", Split)
def test_files_become_migrations(tmp_path: Path, split: Split) -> None:
    """Each file is a migration with its halves, in the order of versions."""
    (tmp_path / "2_b.sql").write_text("-- +goose Up\n-- +goose NO TRANSACTION\n")
    (tmp_path / "1_a.sql").write_text(
        "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"
    )
    one = Section((Statement("SELECT 1;", 2),))
    two = Section((Statement("SELECT 2;", 4),))
    files = load(tmp_path, split=split, environ={})
    read = tuple(each._replace(checksum="") for each in files.migrations)

    assert files._replace(migrations=read) == Files(
        (
            Migration(version=1, path="1_a.sql", up=one, down=two),
            Migration(
                version=2,
                path="2_b.sql",
                up=read[1].up,
                down=Section(),
                transaction=False,
            ),
        )
    )


def test_the_environment_is_the_callers(tmp_path: Path) -> None:
    """ENVSUB looks variables up in what it is given."""
    (tmp_path / "1_a.sql").write_text("-- +goose Up\n-- +goose ENVSUB ON\nSELECT $A;\n")
    files = load(tmp_path, split=Split.GOOSE, environ={"A": "1"})

    assert files.migrations[0].up.statements == (Statement("SELECT 1;", 3),)


def test_faults_stay_where_they_matter(tmp_path: Path) -> None:
    """A file's faults are in its halves, the directory's in the result."""
    (tmp_path / "1_a.sql").write_text("-- +goose Up\n-- +goose Down\nSELECT 1\n")
    (tmp_path / "2.sql").touch()
    files = load(tmp_path, split=Split.GOOSE, environ={})

    assert [fault.slug for fault in files.faults] == ["bad_name"]
    assert files.migrations[0].up.faults == ()
    assert [fault.slug for fault in files.migrations[0].down.faults] == ["unfinished"]


@pytest.mark.skipif(not _UNREADABLE.exists(), reason="there is no /proc")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is a migration with a fault in both halves: its version may be applied."""
    (tmp_path / "1_a.sql").symlink_to(_UNREADABLE)
    (migration,) = load(tmp_path, split=Split.GOOSE, environ={}).migrations

    assert migration.version == 1
    assert migration.up == migration.down
    assert [str(fault) for fault in migration.up.faults] == [
        "1_a.sql: the file cannot be read: Input/output error; fix its permissions"
    ]


def test_a_directory_without_migrations(tmp_path: Path) -> None:
    """Nothing to do is not what an empty mount means."""
    with pytest.raises(FilesInvalidError, match="there is no migration in it"):
        load(tmp_path, split=Split.GOOSE, environ={})


def test_a_file_in_go_is_a_migration_with_a_fault(tmp_path: Path) -> None:
    """It has a version like others; the message names SQL and Python as ways out."""
    (tmp_path / "1_a.go").write_text("package migrations\n")
    (tmp_path / "1_a_test.go").touch()
    (go,) = load(tmp_path, split=Split.GOOSE, environ={}).migrations

    assert (go.version, go.path, len(go.checksum)) == (1, "1_a.go", 64)
    assert go.up == go.down
    (fault,) = go.up.faults
    assert str(fault) == (
        "1_a.go: a migration in Go cannot run here; write it in SQL or in Python, or"
        " apply it with the program that it is compiled into: once applied, the file"
        " may stay"
    )

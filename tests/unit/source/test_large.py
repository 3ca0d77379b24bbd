"""Large files: read again when they are executed, from the file that was opened."""

from pathlib import Path

import pytest

from migrator.domain.model import Migration, Split
from migrator.errors import FileChangedError
from migrator.source.content import PIECE
from migrator.source.load import load
from tests.unit.sql.support import parsed


_ROW = "INSERT INTO t VALUES (1, '{}');\n".format("x" * 1000)
_ROWS = 3 * PIECE // len(_ROW)
_CONTENT = "-- +goose Up\n" + _ROW * _ROWS + "-- +goose Down\nSELECT '$A';\n"


def loaded(tmp_path: Path, content: str = _CONTENT) -> Migration:
    """The migration of a file with the content."""
    (tmp_path / "1_a.sql").write_text(content)
    environ = {"A": "secret"}
    (migration,) = load(tmp_path, split=Split.GOOSE, environ=environ).migrations
    return migration


def test_it_is_what_a_small_file_would_be(tmp_path: Path) -> None:
    """The statements have the same texts and places; they can be read twice."""
    migration = loaded(tmp_path)
    whole = parsed(_CONTENT)

    for _ in range(2):
        assert tuple(migration.up.statements) == whole.up.statements
    assert tuple(migration.down.statements) == whole.down.statements
    assert (
        len(migration.up.listed_statements),
        len(migration.down.listed_statements),
    ) == (_ROWS, 1)


def test_two_iterations_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each of them reads for itself."""
    statements = loaded(tmp_path).up.statements

    assert all(a == b for a, b in zip(statements, statements, strict=True))


def test_a_file_up_to_the_limit_is_parsed(tmp_path: Path) -> None:
    """Only what is larger is read again."""
    head = "-- +goose Up\nSELECT 1;\n-- "
    small = loaded(tmp_path, head + "x" * (PIECE - len(head)))
    large = loaded(tmp_path, head + "x" * (PIECE - len(head) + 1))

    assert isinstance(small.up.statements, tuple)
    assert not isinstance(large.up.statements, tuple)


def test_no_variable_is_shown(tmp_path: Path) -> None:
    """What keeps the variables for later does not print them, as in a traceback."""
    assert "secret" not in repr(loaded(tmp_path))


@pytest.mark.parametrize(
    "size",
    [pytest.param(PIECE, id="shorter"), pytest.param(len(_CONTENT), id="other")],
)
def test_a_changed_file(tmp_path: Path, size: int) -> None:
    """It raises where the content is met that is not what it was."""
    migration = loaded(tmp_path)
    with (tmp_path / "1_a.sql").open("r+") as file:
        file.truncate(size)
        file.seek(size - 1000)
        file.write("y")

    with pytest.raises(FileChangedError):
        tuple(migration.up.statements)


def test_more_content_is_not_read(tmp_path: Path) -> None:
    """What was appended since is another file's content: its checksum is too."""
    migration = loaded(tmp_path)
    with (tmp_path / "1_a.sql").open("a") as file:
        file.write("SELECT 3;\n")

    assert [each.text for each in migration.down.statements] == ["SELECT '$A';"]


def test_the_file_is_closed_with_its_migration(tmp_path: Path) -> None:
    """Nobody has to close it."""
    before = _descriptors()
    migration = loaded(tmp_path)
    opened = _descriptors()
    del migration

    assert (opened, _descriptors()) == (before + 1, before)


def _descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.mark.parametrize("block", [False, True])
def test_a_large_own_transaction_is_the_migrations(
    tmp_path: Path, *, block: bool
) -> None:
    """A large file's BEGIN and COMMIT are left out each time that it is read."""
    rows = "BEGIN ISOLATION LEVEL SERIALIZABLE;\n" + _ROW * _ROWS + "COMMIT;\n"
    if block:
        rows = f"-- +goose StatementBegin\n{rows}-- +goose StatementEnd\n"
    content = "-- +goose Up\n" + rows
    up = loaded(tmp_path, content).up
    whole = parsed(content)

    for _ in range(2):
        assert tuple(up.statements) == whole.up.statements
    assert up.begin == "BEGIN ISOLATION LEVEL SERIALIZABLE"
    assert (
        len(up.listed_statements) == len(whole.up.statements) == (1 if block else _ROWS)
    )
    assert up.faults == ()

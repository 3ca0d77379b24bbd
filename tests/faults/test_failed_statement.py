"""A migration that fails, and goes on where it stopped once its reason is gone."""

from pathlib import Path

import psycopg
import pytest

from tests.faults.state import state_of
from tests.helpers.support import run, write


pytestmark = pytest.mark.usefixtures("both_ways")

_LOOSE = "-- +goose NO TRANSACTION\n"
_FILES = {
    "1_a.sql": "CREATE TABLE a (x int);",
    "2_b.sql": (
        "{head}-- +goose Up\nINSERT INTO a VALUES (1);\nUPDATE a SET x = x + 1;\n"
        "INSERT INTO {table} VALUES (1);\nUPDATE a SET x = x * 10;\n"
    ),
}


def files(head: str, table: str) -> dict[str, str]:
    """The migrations; the second one needs *table*, which may not be there."""
    return {
        name: content.format(head=head, table=table) for name, content in _FILES.items()
    }


def migrate(dsn: str, directory: Path) -> int:
    """Run up, and return the exit code."""
    return run(
        "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
    ).exit_code


@pytest.mark.parametrize(
    ("head", "code"), [("", 13), (_LOOSE, 14)], ids=["atomic", "loose"]
)
def test_failed_statement_after_the_database_is_fixed_runs(
    database: str, conn: psycopg.Connection, tmp_path: Path, head: str, code: int
) -> None:
    """What the statement needs is made by hand: the next run does what is left."""
    directory = write(tmp_path / "m", files(head, "missing"))

    first = migrate(database, directory)
    conn.execute("CREATE TABLE missing (x int)")
    second = migrate(database, directory)

    assert (first, second) == (code, 0)
    assert conn.execute("SELECT x FROM a").fetchall() == [(20,)]
    assert conn.execute("SELECT x FROM missing").fetchall() == [(1,)]
    assert state_of(conn)[-3:] == ((0, True), (1, True), (2, True))


@pytest.mark.parametrize(
    ("head", "code"), [("", 13), (_LOOSE, 14)], ids=["atomic", "loose"]
)
def test_failed_statement_after_the_file_is_fixed_runs(
    database: str, conn: psycopg.Connection, tmp_path: Path, head: str, code: int
) -> None:
    """The statement that failed is corrected: the next run applies what is left."""
    directory = write(tmp_path / "m", files(head, "missing"))

    first = migrate(database, directory)
    write(directory, files(head, "a"))
    second = migrate(database, directory)

    assert (first, second) == (code, 0)
    assert conn.execute("SELECT x FROM a ORDER BY x").fetchall() == [(10,), (20,)]
    assert state_of(conn)[-3:] == ((0, True), (1, True), (2, True))

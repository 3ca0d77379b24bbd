"""What is certain from a file's words is refused before anything is applied."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.not_in_transaction import REFUSED, TABLES
from tests.helpers.support import run, write


REFUSALS = (
    psycopg.errors.ActiveSqlTransaction,
    # a subscription that is disabled, looked at before: subscriptioncmds.c
    psycopg.errors.ObjectNotInPrerequisiteState,
)
FIRST = "-- +goose Up\nCREATE TABLE first ();\n-- +goose Down\nDROP TABLE first;\n"


@pytest.mark.parametrize("text", REFUSED)
def test_the_server_refuses_it_too(conn: psycopg.Connection, text: str) -> None:
    """In a transaction block each of these statements has an error of its kind."""
    conn.execute(TABLES)
    try:
        conn.execute("BEGIN")

        with pytest.raises(REFUSALS):
            conn.execute(text)
    finally:
        conn.execute("ROLLBACK")
        conn.execute("DROP SUBSCRIPTION held")


@pytest.mark.parametrize("split", ["goose", "postgres"])
@pytest.mark.parametrize(
    "body",
    [
        "CREATE INDEX CONCURRENTLY i ON first (x);\n",
        "-- +goose StatementBegin\nSELECT 'a;\n-- +goose StatementEnd\n",
        "SELECT 1 \\gset\nSELECT 2;\n",
    ],
)
@pytest.mark.parametrize("command", ["validate", "up", "plan"])
def test_nothing_is_applied(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    command: str,
    body: str,
    split: str,
) -> None:
    """Every command ends with 10, and the file before the bad one has not run."""
    files = {"1_a.sql": FIRST, "2_b.sql": f"-- +goose Up\n{body}"}
    result = run(
        command,
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", files)),
        MIGRATOR_SPLIT=split,
    )

    assert result.exit_code == 10
    assert conn.execute("SELECT to_regclass('first')").fetchone() == (None,)


def test_in_an_applied_file_it_is_a_warning(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A file that has lost its NO TRANSACTION since stops nothing but its own redo."""
    vacuum = "-- +goose Up\nVACUUM;\n-- +goose Down\nSELECT 1;\n"
    files = {"1_a.sql": f"-- +goose NO TRANSACTION\n{vacuum}"}
    settings = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(write(tmp_path / "m", files)),
    }
    first = run("up", **settings)
    write(tmp_path / "m", {"1_a.sql": vacuum, "2_b.sql": FIRST})
    second = run("up", **settings)
    redo = run("down-to", "0", **settings), run("up", **settings)

    assert (first.exit_code, second.exit_code) == (0, 0)
    (warning,) = second.events("file.warned")
    assert (warning["path"], warning["slug"]) == (
        "1_a.sql",
        "refuses_transaction",
    )
    assert [each.exit_code for each in redo] == [0, 10]
    assert conn.execute("SELECT to_regclass('first')").fetchone() == (None,)

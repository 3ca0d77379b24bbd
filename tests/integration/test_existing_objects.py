"""A database that is not as new as its missing tracking table says."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.helpers.support import Result, run, write


BASELINE = (
    "if the database had it before this run, its schema came from elsewhere: record the"
    " files that it has with `baseline N`, then re-run"
)
DELETE = "first DELETE FROM goose_db_version WHERE version_id > 0"


def up(database: str, directory: Path, *argv: str, **environ: str) -> Result:
    """A run of all files."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **environ,
    )


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("CREATE TABLE there ();", "42P07"),
        ("CREATE INDEX there_i ON there (i);", "42P07"),
        ("CREATE SCHEMA app;", "42P06"),
        ("CREATE TYPE mood AS ENUM ();", "42710"),
        ("ALTER TABLE there ADD COLUMN i int;", "42701"),
        ("-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE there ();", "42P07"),
    ],
)
def test_what_exists_already_leads_to_baseline(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    statement: str,
    sqlstate: str,
) -> None:
    """Files without a table, on a database that has their objects; also once more."""
    conn.execute("CREATE TABLE there (i int); CREATE INDEX there_i ON there (i)")
    conn.execute("CREATE SCHEMA app; CREATE TYPE mood AS ENUM ()")
    directory = write(tmp_path / "m", {"1_a.sql": statement})

    results = [up(database, directory) for _ in range(2)]

    for result in results:
        assert sqlstate in result.verdict["error"]
        assert result.verdict["error"].endswith(BASELINE)


def test_what_this_run_recorded_is_in_the_way_of_baseline(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """`baseline` takes a table without versions only, and the first file was safe."""
    conn.execute("CREATE TABLE there ()")
    contents = {
        "1_a.sql": "CREATE TABLE IF NOT EXISTS there ();",
        "2_b.sql": "CREATE TABLE there ();",
    }

    result = up(database, write(tmp_path / "m", contents))

    assert result.verdict["error"].endswith(f"{BASELINE}; {DELETE}")


def test_a_database_with_a_history_has_no_such_hint(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Somebody has made the object since: nothing that `baseline` is for."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    up(database, directory)
    write(directory, {"2_b.sql": "CREATE TABLE a ();"})

    result = up(database, directory)

    assert (result.exit_code, "baseline" in result.verdict["error"]) == (13, False)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("command", [("up",), ("baseline", "1"), ("plan",)])
def test_a_history_in_another_schema_is_reported(
    database: str, conn: psycopg.Connection, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """A second run under another search path repeats all files, and says so."""
    conn.execute('CREATE SCHEMA second; CREATE SCHEMA "Odd one"')
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    up(database, directory)
    up(database, directory, MIGRATOR_SEARCH_PATH='"Odd one"')

    result = up(database, directory, *command, MIGRATOR_SEARCH_PATH="second")

    (found,) = result.events("history.found_elsewhere")
    assert result.exit_code == 0
    assert (found["level"], found["table"], found["schema"], found["schemas"]) == (
        "warning",
        "goose_db_version",
        "second",
        ["Odd one", "public"],
    )
    assert "MIGRATOR_SEARCH_PATH" in found["hint"]


def test_a_table_without_rows_or_of_another_kind_is_no_history(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Nor is one in the schema itself, once it is there."""
    columns = "(id int, version_id bigint, is_applied boolean, tstamp timestamp)"
    table = "goose_db_version"
    for statement in (
        f"CREATE SCHEMA empty CREATE TABLE {table} {columns}",
        f"CREATE SCHEMA other CREATE TABLE {table} (name text)",
        f"INSERT INTO other.{table} VALUES ('x')",
        f"CREATE SCHEMA view CREATE VIEW {table} AS SELECT 1 AS version_id",
    ):
        conn.execute(sql.SQL(statement))
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})

    results = [up(database, directory) for _ in range(2)]

    events = [result.events("history.found_elsewhere") for result in results]
    assert events == [[], []]

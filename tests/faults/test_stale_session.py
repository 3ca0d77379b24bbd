"""A session that outlives its run: what it still commits is not done again."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import ended, run, started, until, write


pytestmark = pytest.mark.usefixtures("both_ways")

_FILES = {"1_a.sql": "CREATE TABLE a ();", "2_b.sql": "CREATE TABLE b ();"}
_ENTERED = """
CREATE TABLE b ();
LOCK TABLE goose_db_version IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)
"""
_WAITS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_a_commit_on_its_way_is_waited_for(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The lock's session is gone, and the other one is about to commit: nothing fails."""
    directory = write(tmp_path / "m", dict(list(_FILES.items())[:1]))
    run("up", MIGRATOR_DATABASE_URL=database, MIGRATOR_MIGRATIONS_DIR=str(directory))
    write(directory, _FILES)

    with psycopg.connect(database) as left_behind:
        left_behind.execute(_ENTERED)
        with started(database, directory) as process:
            until(lambda: conn.execute(_WAITS).fetchone())
            left_behind.commit()
            result = ended(process)

    assert (result.exit_code, result.verdict["applied"]) == (0, [])
    assert conn.execute(
        "SELECT version_id FROM goose_db_version ORDER BY id"
    ).fetchall() == [(0,), (1,), (2,)]


_SLOW = """
CREATE FUNCTION slow(text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.5); RETURN length($1); END $$
"""
_LOOSE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
_STATEMENTS = {
    "atomic": "INSERT INTO a SELECT 'slow' FROM pg_sleep(3);\nINSERT INTO a VALUES ('b');",
    "loose": (
        f"{_LOOSE}INSERT INTO a SELECT 'slow' FROM pg_sleep(3);\nINSERT INTO a VALUES ('b');"
    ),
    "index": (
        f"{_LOOSE}CREATE INDEX CONCURRENTLY slowly ON a (slow(x));\n"
        "INSERT INTO a VALUES ('b'), ('slow');"
    ),
}
_RUNS = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND state = 'active'
AND query ~ 'INSERT INTO a SELECT|CREATE INDEX CONCURRENTLY'
"""


@pytest.mark.parametrize("kind", _STATEMENTS)
def test_a_statement_that_outlives_its_run(
    database: str, conn: psycopg.Connection, tmp_path: Path, kind: str
) -> None:
    """Its process is killed, the server goes on with it: it is in effect once."""
    conn.execute(_SLOW)
    conn.execute("CREATE TABLE a (x text); INSERT INTO a VALUES ('1'), ('2'), ('3')")
    directory = write(tmp_path / "m", {"1_slow.sql": _STATEMENTS[kind]})

    with started(database, directory) as process:
        until(lambda: conn.execute(_RUNS).fetchone())
        process.kill()
    with started(database, directory) as process:
        result = ended(process)
    until(lambda: not conn.execute(_RUNS).fetchone())

    assert (result.exit_code, result.verdict["error"]) == (0, None)
    assert conn.execute("SELECT x FROM a ORDER BY x").fetchall() == [
        ("1",),
        ("2",),
        ("3",),
        ("b",),
        ("slow",),
    ]
    assert (
        conn.execute("SELECT indisvalid FROM pg_index WHERE NOT indisvalid").fetchall()
        == []
    )

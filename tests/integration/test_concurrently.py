"""Concurrent builds beside transactions that last longer than our lock_timeout."""

import time
from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import ended, started, until, write


BUILDING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'virtualxid'"
VALID = "SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass"
LOCK_TIMEOUT_S = 0.1


def file(*statements: str) -> str:
    """A file without a transaction."""
    lines = "\n".join(f"{statement};" for statement in statements)
    return f"-- +goose Up\n-- +goose NO TRANSACTION\n{lines}\n"


@pytest.mark.parametrize(
    "statement",
    [
        "-- by day\nCREATE UNIQUE INDEX CONCURRENTLY i ON a (x)",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY a",
        "DROP INDEX CONCURRENTLY a_x",
    ],
)
def test_it_waits_for_older_transactions(
    database: str, conn: psycopg.Connection, tmp_path: Path, statement: str
) -> None:
    """No reader or writer queues behind it, so it is not stopped by lock_timeout."""
    conn.execute("CREATE TABLE a (x int); CREATE INDEX a_x ON a (x)")
    conn.execute("CREATE TABLE seen (lock_timeout text)")
    probe = "INSERT INTO seen VALUES (current_setting('lock_timeout'))"
    directory = write(tmp_path / "m", {"1_i.sql": file(statement, probe)})

    with psycopg.connect(database) as other:
        other.execute("INSERT INTO a VALUES (1)")
        timeout = f"{LOCK_TIMEOUT_S}s"
        with started(database, directory, MIGRATOR_LOCK_TIMEOUT=timeout) as process:
            until(lambda: conn.execute(BUILDING).fetchone())
            time.sleep(3 * LOCK_TIMEOUT_S)
            other.commit()
            result = ended(process)

    assert (result.exit_code, result.verdict["error"]) == (0, None)
    assert (False,) not in conn.execute(VALID).fetchall()
    assert conn.execute("TABLE seen").fetchall() == [("100ms",)]


def test_the_file_s_own_timeout(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Who sets one in the file wants it."""
    conn.execute("CREATE TABLE a (x int)")
    content = file("SET lock_timeout = '200ms'", "CREATE INDEX CONCURRENTLY i ON a (x)")
    directory = write(tmp_path / "m", {"1_i.sql": content})

    with psycopg.connect(database) as other:
        other.execute("INSERT INTO a VALUES (1)")
        with started(database, directory, MIGRATOR_LOCK_RETRY="0") as process:
            result = ended(process)

    assert result.verdict["failed"]["sqlstate"] == "55P03"

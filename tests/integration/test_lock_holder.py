"""What is reported about the session that holds the migration lock."""

import re
from pathlib import Path

import psycopg

from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from tests.helpers.support import run, started, until, write


SLEEP = "SELECT pg_sleep(60) -- PASSWORD 'hunter2'\n;"
WORKING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND state = 'active' AND query LIKE %s
"""


def test_a_waiter_shows_what_the_holder_runs(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Not the idle session of its lock, which looks as if it could be ended."""
    directory = write(tmp_path / "m", {"1_a.sql": SLEEP})
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_LOCK_WAIT": "0",
    }
    with started(database, directory):
        until(lambda: conn.execute(WORKING, ["SELECT pg_sleep(60)%"]).fetchone())
        working = conn.execute(WORKING, ["SELECT pg_sleep(60)%"]).fetchone()
        result = run("up", **environ)

    assert working is not None
    assert result.exit_code == 21
    assert re.search(
        rf"\(lock session pid \d+, working session pid {working[0]},"
        r" application migrator, user \w+, client [\d.]+, active for \d+ s, (transaction open for \d+ s, )?query:"
        r" SELECT pg_sleep\(60\) -- PASSWORD '\*+'\W",
        result.verdict["error"],
    ), result.verdict["error"]


def test_a_foreign_holder_is_shown_itself(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """goose's own locker, or a person, works in the session that has the lock."""
    conn.execute("SET application_name = 'psql'")
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_WAIT="0",
    )

    pid = conn.info.backend_pid
    assert result.exit_code == 21
    assert f"(pid {pid}, application psql, user " in result.verdict["error"]

"""A network that is gone without a word: both ends notice, and the lock is free."""

import time

from tests.image.conftest import Write
from tests.image.engine import Migrator, Run, docker


PATIENCE_S = 45
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
LOCKS = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
SLEEPING = f"{SESSIONS} AND wait_event = 'PgSleep'"
# more than the server reads while it sleeps: neither line is ever quiet
ROW = f"INSERT INTO a VALUES ('{'x' * 10_000}');\n"
SLEEP = f"-- +goose Up\nCREATE TABLE a (b text);\nSELECT pg_sleep(600);\n{ROW * 200}"


def until(query: str, expected: int, migrator: Migrator) -> float:
    """Wait for what a query says; how long it took."""
    since = time.monotonic()
    while migrator.target.rows(query) != [(expected,)]:
        assert time.monotonic() < since + PATIENCE_S, query
        time.sleep(0.2)
    return time.monotonic() - since


def test_a_partition(migrator: Migrator, write: Write) -> None:
    """No packet goes either way any more, as when a node loses its power."""
    container = migrator.start(
        write({"00001_a.sql": SLEEP}), options=["--env=MIGRATOR_CONNECT_WAIT=2s"]
    )
    until(SLEEPING, 1, migrator)
    there = migrator.target.rows(SESSIONS), migrator.target.rows(LOCKS)

    docker("network", "disconnect", "--force", migrator.target.network, container)
    unlocked_s = until(LOCKS, 0, migrator)
    gone_s = unlocked_s + until(SESSIONS, 0, migrator)
    code = int(docker("wait", container))
    last = Run(code, docker("logs", container), "").events[-1]

    figures = f"unlocked in {unlocked_s:.1f} s, gone in {gone_s:.1f} s"
    print(f"\nafter a partition: {figures}")  # noqa: T201 - figures for who reads the output
    assert there == ([(2,)], [(1,)])
    assert (code in {20, 23}, last["retryable"]) == (True, True)
    assert migrator.target.versions() == []

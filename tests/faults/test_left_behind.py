"""A session that outlives its run: what it still commits is not done again."""

from pathlib import Path

import psycopg
import pytest

from tests.support import ended, run, started, until, write


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

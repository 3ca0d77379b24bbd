"""Two sessions that change the same row of a system catalog."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import ended, run, started, until, write


_FUNCTION = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT {}'"
_BLOCKED = """
SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()
"""


@pytest.mark.parametrize("there", [True, False], ids=["XX000", "23505"])
@pytest.mark.parametrize("flag", ["", "-- +goose NO TRANSACTION\n"])
def test_catalog_contention_is_retried(
    database: str, conn: psycopg.Connection, tmp_path: Path, flag: str, *, there: bool
) -> None:
    """Both `tuple concurrently updated` and a duplicate key of a catalog pass."""
    text = f"-- +goose Up\n{flag}{_FUNCTION.format(3)};\n"
    directory = write(tmp_path / "m", {"1_a.sql": text})
    if there:
        conn.execute(_FUNCTION.format(1))

    with psycopg.connect(database) as other:
        other.execute(_FUNCTION.format(2))
        with started(database, directory) as process:
            until(lambda: conn.execute(_BLOCKED).rowcount)
            other.commit()
            result = ended(process)

    assert (result.exit_code, len(result.events("migration.retried"))) == (0, 1)
    assert conn.execute("SELECT f()").fetchone() == (3,)


def test_a_duplicate_key_of_a_table_is_a_failure(database: str, tmp_path: Path) -> None:
    """Only a catalog's is contention."""
    text = "CREATE TABLE t (i int PRIMARY KEY);\nINSERT INTO t VALUES (1), (1);"
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result = run("-dir", str(directory), "postgres", database, "up")

    assert (result.exit_code, result.events("migration.retried")) == (13, [])

"""A lock that is known to be lost: nothing more begins, and nothing is committed."""

from pathlib import Path

import psycopg
import pytest

from migrator import MigrationRunner
from migrator.engine.run_context import Policy
from migrator.errors import LockLostError
from migrator.events.base import Event
from migrator.pg.locking.advisory import AdvisoryLock
from tests.helpers.support import write


NEXT = "SELECT nextval('s');\n"
"""Counts also when it is rolled back."""

ALONE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
IN_PYTHON = b"TRANSACTION = False\n\ndef up(conn):\n    conn.execute(%r)\n"


@pytest.mark.parametrize(
    ("name", "text", "after"),
    [
        ("1_a.sql", f"SELECT 1;\n{NEXT}", "statement.finished"),
        ("1_a.sql", "CREATE TABLE a ();", "statement.finished"),
        ("1_a.sql", f"{ALONE}{NEXT}", "migration.started"),
        ("1_a.sql", f"{ALONE}CREATE TABLE a ();", "statement.finished"),
        ("1_a.sql", f"{ALONE}CREATE TABLE a ();\nSELECT 1;", "statement.finished"),
        ("1_a.py", IN_PYTHON % NEXT, "migration.started"),
    ],
    ids=["statement", "commit", "alone", "alone-last", "alone-commit", "function"],
)
def test_a_known_loss_of_the_lock_ends_the_run(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    text: str | bytes,
    after: str,
) -> None:
    """It is asked before each statement and each COMMIT, whatever the server says."""
    conn.execute("CREATE SEQUENCE s")
    seen: list[str] = []

    def check_known(self: AdvisoryLock) -> None:
        if after in seen:
            raise LockLostError("somebody has it")

    def observe(event: Event) -> None:
        seen.append(event.name)

    monkeypatch.setattr(AdvisoryLock, "check_known", check_known)
    policy = Policy(pipeline=False)
    directory = write(tmp_path / "m", {name: text})

    with pytest.raises(LockLostError):
        MigrationRunner(database, directory, policy=policy, observe=observe).up()

    left = "SELECT is_called, to_regclass('a') FROM s"
    assert conn.execute(left).fetchone() == (False, None)

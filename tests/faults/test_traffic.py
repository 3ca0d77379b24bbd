"""A migration meets a busy table: how long the application in front has to wait."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.compat.program import Place, command
from tests.conftest import Tell
from tests.faults.traffic import TABLES, Load, load
from tests.helpers.support import Result, ended, heard, started, until, write


LOCK_TIMEOUT_S = 1.0
TOLERANCE = 1.1
"""The criterion: a stall stays below the lock's timeout plus a tenth of it."""


@dataclass(frozen=True, slots=True)
class Meeting:
    """How a run went that met somebody on the application's table."""

    load: Load
    retried: tuple[dict[str, Any], ...]
    result: Result

    @property
    def states(self) -> list[str]:
        """Why attempts were retried, as SQLSTATEs."""
        return [line["sqlstate"] for line in self.retried]

    @property
    def progress(self) -> list[bool]:
        """Whether the load's queries finished in each of the pauses between attempts."""
        return [self._within(line) > 0 for line in self.retried]

    @property
    def figures(self) -> str:
        """What a reader of the test's output wants to know."""
        seen = self.load
        pauses = ", ".join(f"{line['next_attempt_s']} s" for line in self.retried)
        return (
            f"longest stall {seen.stall_s:.3f} s, noise {seen.noise_s:.3f} s,"
            f" {len(seen.seen)} transactions, pauses {pauses}"
        )

    def _within(self, line: Mapping[str, Any]) -> int:
        begin = datetime.fromisoformat(line["timestamp"]).timestamp()
        return self.load.within(begin, begin + line["next_attempt_s"])


@pytest.fixture
def busy(database: str, conn: psycopg.Connection) -> Iterator[Load]:
    """An application on the test's database, at work."""
    conn.execute(TABLES.encode())
    with load(database) as seen:
        until(lambda: seen.seen and seen.aside)
        yield seen


@contextmanager
def reader(dsn: str, table: str = "accounts") -> Iterator[psycopg.Connection]:
    """Keep a transaction open that has read *table*."""
    with psycopg.connect(dsn) as conn:
        conn.execute(f"SELECT count(*) FROM {table}".encode())
        yield conn
        conn.rollback()


def met(
    dsn: str,
    directory: Path,
    busy: Load,
    *,
    table: str = "accounts",
    retries: int = 1,
    lock_timeout: str = f"{LOCK_TIMEOUT_S}s",
) -> Meeting:
    """Run the migrations while a reader stays until that many retries are announced."""
    with (
        reader(dsn, table) as reading,
        started(dsn, directory, MIGRATOR_LOCK_TIMEOUT=lock_timeout) as process,
    ):
        retried = tuple(heard(process, "migration.retried") for _ in range(retries))
        reading.rollback()
        result = ended(process)
    return Meeting(busy, retried, result)


def within(busy: Load, timeout_s: float = LOCK_TIMEOUT_S) -> bool:
    """
    Tell whether the longest stall keeps to the criterion.

    A machine with others on it is late by itself: what it was late by is allowed.
    """
    return timeout_s / 2 < busy.stall_s < timeout_s * TOLERANCE + busy.noise_s


FILES = {
    "alone": {"1_a.sql": "ALTER TABLE accounts ADD note text;"},
    "first of several": {
        "1_a.sql": "ALTER TABLE accounts ADD note text;",
        "2_b.sql": "ALTER TABLE accounts ADD seen timestamptz;",
        "3_c.sql": "CREATE TABLE c ();",
    },
    "later in a stream": {
        "1_a.sql": "CREATE TABLE a ();",
        "2_b.sql": "CREATE TABLE b ();\nALTER TABLE accounts ADD note text;",
        "3_c.sql": "CREATE TABLE c ();",
    },
}


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("name", FILES)
def test_a_long_reader(
    database: str,
    tmp_path: Path,
    busy: Load,
    tell: Tell,
    name: str,
) -> None:
    """Nobody waits longer than the lock's timeout, and all is applied in the end."""
    directory = write(tmp_path / "m", FILES[name])

    meeting = met(database, directory, busy)

    tell(f"{name}: {meeting.figures}")
    assert meeting.result.exit_code == 0
    assert meeting.result.verdict["applied"] == list(range(1, len(FILES[name]) + 1))
    assert meeting.states == ["55P03"]
    assert within(busy)


def test_the_queue_is_free_between_attempts(
    database: str, tmp_path: Path, busy: Load, tell: Tell
) -> None:
    """The application's queries finish in each pause: it is as long as the stall was."""
    directory = write(tmp_path / "m", FILES["alone"])

    meeting = met(database, directory, busy, retries=3, lock_timeout="500ms")

    tell(f"three retries: {meeting.figures}")
    assert meeting.result.exit_code == 0
    assert meeting.progress == [True, True, True]
    assert all(line["next_attempt_s"] >= 0.5 for line in meeting.retried)
    assert within(busy, 0.5)


def test_a_lock_is_not_kept_while_another_is_waited_for(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    busy: Load,
    tell: Tell,
) -> None:
    """A table that is locked already waits no longer than the next one's timeout."""
    conn.execute("CREATE TABLE orders ()")
    directory = write(
        tmp_path / "m",
        {"1_a.sql": "ALTER TABLE accounts ADD x int;\nALTER TABLE orders ADD x int;"},
    )

    meeting = met(database, directory, busy, table="orders")

    tell(f"second table: {meeting.figures}")
    assert meeting.result.exit_code == 0
    assert meeting.states == ["55P03"]
    assert within(busy)


@pytest.mark.usefixtures("both_ways")
def test_a_timeout_of_the_file_s_own(
    database: str, tmp_path: Path, busy: Load, tell: Tell
) -> None:
    """What the file sets for itself wins over the setting."""
    content = "SET LOCAL lock_timeout = '500ms';\nALTER TABLE accounts ADD x int;"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    meeting = met(database, directory, busy, lock_timeout="60s")

    tell(f"500 ms by the file: {meeting.figures}")
    assert meeting.result.exit_code == 0
    assert meeting.states == ["55P03"]
    assert within(busy, 0.5)


@pytest.mark.usefixtures("both_ways")
def test_a_deadlock(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    busy: Load,
    tell: Tell,
) -> None:
    """The server chose us to give way: the migration runs again."""
    conn.execute("CREATE TABLE orders ()")
    directory = write(
        tmp_path / "m",
        {"1_a.sql": "ALTER TABLE accounts ADD x int;\nALTER TABLE orders ADD x int;"},
    )
    quick = make_conninfo(database, options="-c deadlock_timeout=100ms")
    waiting = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass"
    )

    with psycopg.connect(database) as other:
        other.execute("SET deadlock_timeout = '60s'; LOCK TABLE orders")
        with started(quick, directory, MIGRATOR_LOCK_TIMEOUT="60s") as process:
            until(lambda: conn.execute(waiting).fetchone())
            other.execute("LOCK TABLE accounts IN SHARE MODE")
            retried = (heard(process, "migration.retried"),)
            other.commit()
            result = ended(process)

    meeting = Meeting(busy, retried, result)
    tell(f"deadlock: {meeting.figures}")
    assert meeting.result.exit_code == 0
    assert meeting.states == ["40P01"]


@pytest.mark.usefixtures("both_ways")
def test_a_serialization_failure(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A row was changed behind the snapshot's back: the migration runs again."""
    conn.execute(TABLES.encode())
    content = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n"
        "SELECT count(*) FROM accounts;\n"
        "UPDATE accounts SET balance = 7 WHERE id = 1;"
    )
    directory = write(tmp_path / "m", {"1_a.sql": content})
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'"

    with psycopg.connect(database) as other:
        other.execute("UPDATE accounts SET balance = 1 WHERE id = 1")
        with started(database, directory, MIGRATOR_LOCK_TIMEOUT="60s") as process:
            until(lambda: conn.execute(waiting).fetchone())
            other.commit()
            retried = heard(process, "migration.retried")
            result = ended(process)

    row = conn.execute("SELECT balance FROM accounts WHERE id = 1").fetchone()
    assert (result.exit_code, retried["sqlstate"], row) == (0, "40001", (7,))


def test_beside_goose(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    tell: Tell,
) -> None:
    """goose waits as long as the reader stays, and the application waits with it."""
    goose = command()
    conn.execute(TABLES.encode())
    first = write(tmp_path / "ours", {"1_a.sql": "ALTER TABLE accounts ADD x int;"})
    second = write(tmp_path / "goose", {"2_b.sql": "ALTER TABLE accounts ADD y int;"})

    began = time.monotonic()
    with load(database) as busy:
        ours = met(database, first, busy)
    stay_s = time.monotonic() - began
    with load(database) as queue, reader(database) as reading:
        leaving = threading.Timer(stay_s, reading.rollback)
        leaving.start()
        answer = goose(Place(dsn=database, directory=second), "up")
        leaving.join()

    tell(
        f"longest stall behind a reader of {stay_s:.1f} s:"
        f" migrator {busy.stall_s:.3f} s, goose {queue.stall_s:.3f} s",
    )
    assert (ours.result.exit_code, answer.succeeded) == (0, True)
    assert within(busy)
    assert queue.stall_s > busy.stall_s

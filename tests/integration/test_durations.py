"""Every duration that is reported: no more than has passed, no less than was slept."""

import time
from pathlib import Path

import psycopg
import pytest

from migrator.domain.model import Up
from migrator.engine.runner import Runner
from migrator.events.base import Event
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from tests.helpers.postgres import free_port
from tests.helpers.support import Recorder, Result, files, migration, run, write


pytestmark = pytest.mark.usefixtures("both_ways")


SLEPT_S = 0.2
SLEEP = f"SELECT pg_sleep({SLEPT_S});"
TWICE = f"-- +goose Up\n{SLEEP}\n{SLEEP}\n-- +goose Down\n{SLEEP}\n"
FILES: dict[str, str | bytes] = {
    "1_a.sql": TWICE,
    "2_b.sql": f"-- +goose NO TRANSACTION\n{TWICE}",
    "3_c.py": "\n".join(
        f"def {name}(conn):\n    conn.execute({SLEEP!r})" for name in ("up", "down")
    ).encode(),
    "4_d.sql": TWICE,
}
FAILING = f"SELECT 1 / length(pg_sleep({SLEPT_S})::text);"
ROUNDED_S = 0.001


class Timed:
    """One run of the command, and how long it took."""

    def __init__(
        self, database: str, directory: Path, *argv: str, **environ: str
    ) -> None:
        since = time.monotonic()
        self.result: Result = run(
            *argv,
            MIGRATOR_DATABASE_URL=database,
            MIGRATOR_MIGRATIONS_DIR=str(directory),
            MIGRATOR_LOG_LEVEL="debug",
            **environ,
        )
        self.passed_s = time.monotonic() - since + ROUNDED_S

    def of(self, event: str) -> list[float]:
        """The durations of *event*, together no more than have passed."""
        found = [line["duration_s"] for line in self.result.events(event)]
        assert min(found) >= 0, found
        assert sum(found) <= self.passed_s + len(found) * ROUNDED_S, found
        return found


def slept(durations: list[float], *times: int) -> bool:
    """Whether each has room for so many sleeps."""
    return [
        each + ROUNDED_S >= n * SLEPT_S
        for each, n in zip(durations, times, strict=True)
    ] == [True] * len(times)


def test_steps_and_statements(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """In a stream, without a transaction and in Python; the run's own; the history's."""
    directory = write(tmp_path / "m", FILES)

    up = Timed(database, directory, "up")
    down = Timed(database, directory, "down-to", "0")

    query = "SELECT duration_ms / 1000.0 FROM migrator_history ORDER BY id"
    kept = [float(each) for (each,) in conn.execute(query)]
    assert slept(up.of("migration.applied"), 2, 2, 1, 2)
    first, second, *others = up.of("statement.finished")
    # an answer that is read late is counted for the statement before it
    assert slept([first, first + second, sum(others)], 1, 2, 5)
    assert slept(up.of("run.finished"), 7)
    assert slept(down.of("migration.reverted"), 1, 1, 1, 1)
    assert slept(down.of("run.finished"), 4)
    assert slept(kept, 2, 2, 1, 2, 1, 1, 1, 1)
    assert sum(kept) <= up.passed_s + down.passed_s


@pytest.mark.parametrize("head", ["", "-- +goose NO TRANSACTION\n"])
def test_a_failure(database: str, tmp_path: Path, head: str) -> None:
    """Of the migration that failed, from its beginning; an answer may be read late."""
    body = f"{head}-- +goose Up\n{SLEEP}\n{FAILING}\n"
    directory = write(tmp_path / "m", {"1_a.sql": TWICE, "2_b.sql": body})

    failed = Timed(database, directory, "up")

    took = failed.of("migration.applied") + failed.of("migration.failed")
    assert slept([sum(took)], 4)
    assert slept(failed.of("run.finished"), 4)


def test_waiting_for_the_lock(database: str, conn: psycopg.Connection) -> None:
    """How long it took up to each refusal, and in all."""
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])
    recorder, since = Recorder(), time.monotonic()

    def release(event: Event) -> None:
        recorder(event)
        if event.name == "lock.contended":
            time.sleep(SLEPT_S)
        if len(recorder.of("lock.contended")) == 2:
            conn.execute("SELECT pg_advisory_unlock_all()")

    Runner(database=Database(dsn=parse_dsn(database)), observe=release).run(
        files(migration(1, "SELECT 1")), Up()
    )

    passed_s = time.monotonic() - since + ROUNDED_S
    refused = [event.waited_s for event in recorder.of("lock.contended")]
    (acquired,) = [event.waited_s for event in recorder.of("lock.acquired")]
    (connected,) = [event.waited_s for event in recorder.of("connection.opened")]
    assert slept([*refused, acquired], 0, 1, 2)
    assert 0 <= connected <= passed_s
    assert acquired <= passed_s


def test_waiting_for_the_server(tmp_path: Path) -> None:
    """How long it took up to each attempt; none is more than all of it."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    nobody = f"postgresql://u@127.0.0.1:{free_port()}/d"

    refused = Timed(nobody, directory, "up", MIGRATOR_CONNECT_WAIT="0.5s")

    waited = [line["waited_s"] for line in refused.result.events("connection.retried")]
    assert waited == sorted(waited)
    assert 0 <= waited[0] <= waited[-1] <= refused.passed_s
    assert slept(refused.of("run.finished"), 2)

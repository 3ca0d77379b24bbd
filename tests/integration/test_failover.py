"""A server that restarts, stays away or is a standby, in the middle of a run."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, Up
from migrator.engine.runner import Runner
from migrator.errors import ConnectionLostError, ReadOnlyServerError, UnavailableError
from migrator.events.base import Event
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.process.cancellation import Cancellation
from tests.helpers.postgres import binaries, initialize, owner, server_folder
from tests.helpers.support import Recorder, files, migration


pytestmark = pytest.mark.usefixtures("both_ways")


@dataclass(frozen=True, slots=True)
class Server:
    """A server of a test's own, on a Unix socket."""

    data: Path

    @property
    def dsn(self) -> str:
        """A superuser's."""
        return f"host={self.data} user=postgres dbname=postgres"

    def control(self, *words: str) -> None:
        """Run pg_ctl as the one whom the data belongs to, and wait for its end."""
        options = f"-h '' -k {self.data} -c fsync=off"
        subprocess.run(
            [binaries() / "pg_ctl", "-D", self.data, "-w", "-s", "-o", options, *words],
            user=owner(self.data),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
        )

    def stand_by(self) -> None:
        """Restart as a standby, of nobody."""
        self.control("stop", "-m", "fast")
        signal = self.data / "standby.signal"
        signal.touch()
        self.control("start")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Server]:
    """Its data, for all tests of the module."""
    with server_folder() as folder:
        server = Server(folder / "data")
        initialize(server.data)
        server.control("start")
        yield server
        server.control("stop", "-m", "immediate")


@pytest.fixture
def own(cluster: Server) -> Server:
    """The server, up and empty."""
    with psycopg.connect(cluster.dsn, autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public; CREATE TABLE ran (version int)")
    return cluster


def three() -> Files:
    """Three migrations that note that they have run."""
    return files(
        *(
            migration(n, f"INSERT INTO ran VALUES ({n})", "SELECT pg_sleep(0.1)")
            for n in (1, 2, 3)
        )
    )


class Failing(Recorder):
    """Does something to the server when version 1 has been applied."""

    def __init__(self, server: Server, *words: str) -> None:
        super().__init__()
        self._server = server
        self._words = words

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if event.name == "migration.applied" and self._words:
            words, self._words = self._words, ()
            self._server.control(*words)


def runner(server: Server, recorder: Recorder, patience_s: float = 20) -> Runner:
    """A runner with that patience for the server."""
    patience = Backoff(total_s=patience_s, max_s=0.5)
    database = Database(dsn=parse_dsn(server.dsn), backoff=patience)
    return Runner(database=database, observe=recorder)


def ran(server: Server) -> list[int]:
    """What has run and is committed."""
    with psycopg.connect(server.dsn) as conn:
        return [row[0] for row in conn.execute("SELECT version FROM ran")]


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts(own: Server, mode: str) -> None:
    """Nothing is lost, and nothing runs twice."""
    recorder = Failing(own, "restart", "-m", mode)

    steps = runner(own, recorder).run(three(), Up())

    assert [step.migration.version for step in steps] == [1, 2, 3]
    assert ran(own) == [1, 2, 3]
    assert recorder.names.count("connection.lost") >= 1
    assert recorder.names.count("plan.made") == 1
    assert "migration.failed" not in recorder.names


def test_a_server_that_stays_away(own: Server) -> None:
    """The session has died, so it is 23 and not 20, once the patience is at its end."""
    recorder = Failing(own, "stop", "-m", "immediate")

    with pytest.raises(ConnectionLostError) as caught:
        runner(own, recorder, 1).run(three(), Up())

    own.control("start")
    assert "; no other one within" in str(caught.value)
    assert recorder.names.count("migration.failed") <= 1  # or it died between two
    assert ran(own) in ([1], [1, 2], [1, 2, 3])  # what was sent ahead is not known


def test_a_standby_that_is_promoted(own: Server) -> None:
    """What is pending waits for a server that takes writes."""
    recorder = Recorder()
    runner(own, recorder).run(files(three().migrations[0]), Up())
    own.stand_by()

    def promote(event: Event) -> None:
        recorder(event)
        if event.name == "connection.retried" and recorder.names.count(event.name) == 2:
            own.control("promote")

    with pytest.raises(ReadOnlyServerError) as caught:
        runner(own, recorder, 0.3).run(three(), Up())
    idle = runner(own, recorder).run(files(three().migrations[0]), Up())
    recorder.events.clear()
    waiting = runner(own, Recorder())
    steps = Runner(database=waiting.database, observe=promote).run(three(), Up())

    assert "it is a standby (SQLSTATE 25006)" in str(caught.value)
    assert idle == ()
    assert [step.migration.version for step in steps] == [2, 3]
    assert ran(own) == [1, 2, 3]
    assert recorder.names.count("plan.made") == 1


def test_serializable_by_default_on_a_standby_is_unavailable(own: Server) -> None:
    """A standby has no such transactions (xact.c), and is a primary after a failover."""
    dsn = parse_dsn(f"{own.dsn} default_transaction_isolation=serializable")
    database = Database(dsn, backoff=Backoff(total_s=0))
    own.stand_by()

    try:
        with pytest.raises(UnavailableError) as caught:
            database.connect(Recorder(), Cancellation())
    finally:
        own.control("promote")

    assert caught.value.server.sqlstate == "0A000"
    assert "connect to the primary" in str(caught.value)

"""A proxy forgets one of our connections, and lets the other one be."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Lock, Split, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import LockWaitTimeoutError
from migrator.events.database import ConnectionLost
from migrator.pg.connection import database, queries
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.monitor import session_liveness
from migrator.process.cancellation import Cancellation
from migrator.source.load import load
from tests.faults.half_open import Death, HalfOpenProxy, half_open_proxy
from tests.faults.server import Server
from tests.helpers.support import Recorder, ended, started, until, write


_WORK, _OTHER = 1, 2
_DEFERRED = """\
-- +goose Up
CREATE TABLE a (x int);
-- +goose StatementBegin
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep(0.7); RETURN NULL; END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION f();
INSERT INTO a VALUES (1);
"""
_PYTHON = b"""
def up(conn):
    conn.execute("CREATE TABLE a ()")
    conn.execute("SELECT pg_sleep(0.7)")
"""
_COPY = b"""
import time


def up(conn):
    conn.execute("CREATE TABLE a (x int)")
    with conn.cursor() as cursor, cursor.copy("COPY a FROM STDIN") as copy:
        copy.write_row([1])
        time.sleep(1.5)
    time.sleep(1.5)
"""
_SLEEP = "CREATE TABLE a ();\nSELECT pg_sleep(0.7);"
_LOOSE = f"-- +goose Up\n-- +goose NO TRANSACTION\n{_SLEEP}\n"
_KINDS: dict[str, dict[str, str | bytes]] = {
    "statement": {"1_a.sql": _SLEEP, "2_b.sql": "CREATE TABLE b ();"},
    "commit": {"1_a.sql": _DEFERRED, "2_b.sql": "CREATE TABLE b ();"},
    "no transaction": {"1_a.sql": _LOOSE, "2_b.sql": "CREATE TABLE b ();"},
    "python": {"1_a.py": _PYTHON, "2_b.sql": "CREATE TABLE b ();"},
}
_SLEEPS = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


@pytest.fixture
def conn(roomy: Server) -> Iterator[psycopg.Connection]:
    """A connection to a fresh database, past the proxy."""
    with roomy.fresh("half_dead") as connection:
        yield connection


@pytest.fixture
def proxy(roomy: Server, conn: psycopg.Connection) -> Iterator[HalfOpenProxy]:
    """The proxy before that database."""
    with half_open_proxy(roomy.dsn("half_dead")) as proxy:
        yield proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits as long as in earnest."""
    monkeypatch.setattr(session_liveness, "CONFIRM_S", 0.5)
    monkeypatch.setattr(queries, "LIMIT_S", 0.5)


def runner(
    proxy: HalfOpenProxy, recorder: Recorder, lock: Lock = Lock.SESSION
) -> Runner:
    """What looks early, and often."""
    policy = Policy(lock=lock, watch_s=(0.1, 0.2), heartbeat_s=0.1)
    policy = policy._replace(lock_backoff=Backoff(total_s=2))
    return Runner(
        database=Database(parse_dsn(proxy.dsn), backoff=Backoff(total_s=20)),
        policy=policy,
        observe=recorder,
        cancellation=Cancellation(),
    )


def migrate(runner: Runner, directory: Path) -> list[int]:
    """Which versions the run has applied."""
    steps = runner.run(load(directory, split=Split.GOOSE, environ={}), Up())
    return [step.migration.version for step in steps]


@contextmanager
def once(happens: Callable[[], object], act: Callable[[], object]) -> Iterator[None]:
    """Do something beside the block as soon as something else happens."""

    def wait() -> None:
        until(happens)
        act()

    thread = Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def sleeps(conn: psycopg.Connection) -> Callable[[], bool]:
    """Whether a statement of the migration sleeps."""
    return lambda: bool(conn.execute(_SLEEPS).fetchone())


def applied(conn: psycopg.Connection) -> list[int]:
    """Versions in goose's table."""
    rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [version for (version,) in rows]


@pytest.mark.usefixtures("quick", "both_ways")
@pytest.mark.parametrize("death", Death)
@pytest.mark.parametrize("kind", _KINDS)
def test_work_connection_half_open_reconnects(
    conn: psycopg.Connection,
    proxy: HalfOpenProxy,
    tmp_path: Path,
    kind: str,
    death: Death,
) -> None:
    """Looks from the other one show that nobody works on the answer."""
    directory, recorder = write(tmp_path / "m", _KINDS[kind]), Recorder()

    with once(sleeps(conn), lambda: proxy.kill(_WORK, death=death)):
        found = migrate(runner(proxy, recorder), directory)

    reasons = {
        event.reason.partition(" while ")[0].partition(" in ")[0]
        for event in recorder.of(ConnectionLost.name)
    }
    assert (found, applied(conn)) == ([1, 2], [0, 1, 2])
    assert len(reasons) == 1
    assert reasons <= {"its server process is gone", "its server process is idle"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lock", [Lock.TABLE, Lock.NONE])
def test_work_connection_half_open_under_each_lock_reconnects(
    conn: psycopg.Connection, proxy: HalfOpenProxy, tmp_path: Path, lock: Lock
) -> None:
    """Whoever looks finds out."""
    directory, recorder = write(tmp_path / "m", _KINDS["statement"]), Recorder()

    with once(sleeps(conn), lambda: proxy.kill(_WORK, death=Death.SILENT)):
        found = migrate(runner(proxy, recorder, lock), directory)

    assert (found, applied(conn)) == ([1, 2], [0, 1, 2])
    assert len(recorder.of(ConnectionLost.name)) == 1


@pytest.mark.usefixtures("quick", "both_ways")
@pytest.mark.parametrize("lock", Lock)
@pytest.mark.parametrize("numbers", [(_OTHER,), (_WORK, _OTHER)], ids=["other", "both"])
def test_other_connection_half_open_run_succeeds(
    conn: psycopg.Connection,
    proxy: HalfOpenProxy,
    tmp_path: Path,
    lock: Lock,
    numbers: tuple[int, ...],
) -> None:
    """No look and no question waits for ever; another connection takes its place."""
    directory, recorder = write(tmp_path / "m", _KINDS["statement"]), Recorder()

    def both_there() -> bool:
        return sleeps(conn)() and proxy.opened >= _OTHER

    with once(both_there, lambda: proxy.kill(*numbers, death=Death.SILENT)):
        found = migrate(runner(proxy, recorder, lock), directory)

    assert (found, applied(conn)) == ([1, 2], [0, 1, 2])


@pytest.mark.usefixtures("quick")
def test_first_query_of_the_other_connection_unanswered_ends(
    proxy: HalfOpenProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has taken the lock, which nobody knows: the next attempt says who holds it."""
    monkeypatch.setattr(database, "ANSWER_S", -4.0)  # and 5 s of lock_timeout
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    proxy.mute = _OTHER

    with pytest.raises(LockWaitTimeoutError, match="application migrator"):
        migrate(runner(proxy, Recorder()), directory)


@pytest.mark.usefixtures("quick")
def test_python_function_that_computes_or_copies_is_not_lost(
    conn: psycopg.Connection, proxy: HalfOpenProxy, tmp_path: Path
) -> None:
    """Its server process has nothing to do, and owes no answer."""
    directory, recorder = write(tmp_path / "m", {"1_a.py": _COPY}), Recorder()

    found = migrate(runner(proxy, recorder), directory)

    assert (found, recorder.of(ConnectionLost.name)) == ([1], [])


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("kind", ["commit", "no transaction"])
def test_rollback_unanswered_is_not_reported(
    conn: psycopg.Connection, proxy: HalfOpenProxy, tmp_path: Path, kind: str
) -> None:
    """Neither an event nor the termination message knows what the server has done."""
    directory, message = write(tmp_path / "m", _KINDS[kind]), tmp_path / "message"
    message.touch()
    environ = {"MIGRATOR_TERMINATION_LOG": str(message)}

    with started(proxy.dsn, directory, **environ) as process:
        until(sleeps(conn))
        proxy.kill(_WORK, death=Death.SILENT)
        until(lambda: not sleeps(conn)())
        result = ended(process, signal.SIGTERM)

    said = [str(result.verdict["error"]), message.read_text()]
    output = [str(line) for line in result.lines] + said
    assert result.exit_code == 143
    assert all("did not answer" in each for each in said)
    assert [each for each in output if "rolled back" in each] == []


@pytest.mark.usefixtures("quick")
def test_query_unanswered_ends(conn: psycopg.Connection, proxy: HalfOpenProxy) -> None:
    """The connection is closed, and says why."""
    place = Database(parse_dsn(proxy.dsn))
    with place.connect_again(Cancellation()) as link:
        proxy.kill(1, death=Death.SILENT)
        with pytest.raises(psycopg.OperationalError, match="did not answer"):
            queries.query_rows(link, b"SELECT 1")

        assert (link.closed, link.failed) == (True, True)

"""What is logged of a statement that takes long: who blocks it, how far it is."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, Lock, Migration, Section, Split, Statement, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.events.base import Event, Observer
from migrator.events.watching import StatementBlocked, StatementProgressed
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.connection.queries import GiveUp, TextRow, query_rows
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor import run_monitor
from migrator.source.load import load
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.round_trips import count_round_trips
from tests.helpers.support import (
    Recorder,
    ended,
    files,
    heard,
    migration,
    run,
    started,
    until,
    write,
)


pytestmark = pytest.mark.usefixtures("both_ways")


LOCKS = pytest.mark.parametrize("lock", [Lock.SESSION, Lock.TABLE, Lock.NONE])
ALTER = files(migration(1, "SELECT 1", "ALTER TABLE a ADD y int"))
SLEEP = files(migration(1, "SELECT pg_sleep(0.5)"))


def runner(
    dsn: str,
    observe: Observer,
    *,
    lock: Lock = Lock.AUTO,
    session: Session | None = None,
    watch_s: tuple[float, float] = (0.1, 0.2),
) -> Runner:
    """A runner that tells early what a statement does."""
    return Runner(
        database=Database(parse_dsn(dsn), session or Session()),
        policy=Policy(lock=lock, watch_s=watch_s, retry_backoff=Backoff(total_s=0)),
        observe=observe,
    )


class Seen(Recorder):
    """An observer that acts at the first event of a class."""

    def __init__(self, kind: type[Event], act: Callable[[], object]) -> None:
        super().__init__()
        self._kind = kind
        self._act: Callable[[], object] | None = act

    def __call__(self, event: Event) -> None:
        super().__call__(event)
        if isinstance(event, self._kind) and self._act is not None:
            act, self._act = self._act, None
            act()


def blocked(recorder: Recorder) -> list[StatementBlocked]:
    """Who was in the way, look by look."""
    return [e for e in recorder.events if isinstance(e, StatementBlocked)]


def progressed(recorder: Recorder) -> list[StatementProgressed]:
    """How far it was, look by look."""
    return [e for e in recorder.events if isinstance(e, StatementProgressed)]


@pytest.fixture
def holder(database: str, conn: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Another session, in a transaction that has read table a."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1)")
    with psycopg.connect(database, application_name="report") as other:
        other.execute("SELECT *\n  FROM a")
        yield other


def steady(blocker: Any) -> dict[str, Any]:
    """What of a blocker does not depend on time and place."""
    changing = ("user", "client", "state_s", "transaction_s")
    return {name: value for name, value in blocker.items() if name not in changing}


@LOCKS
def test_a_session_that_holds_a_table(
    database: str, holder: psycopg.Connection, lock: Lock
) -> None:
    """While the statement waits, an event says which session blocks it and what that one does."""
    seen = Seen(StatementBlocked, holder.rollback)

    steps = runner(database, seen, lock=lock).run(ALTER, Up())

    assert [step.migration.version for step in steps] == [1]
    event = blocked(seen)[0]
    assert (event.version, event.path, event.line, event.statement) == (
        1,
        "00001_test.sql",
        3,
        2,
    )
    assert (event.lock, event.relation, event.phase, event.hint) == (
        "relation AccessExclusiveLock",
        "public.a",
        None,
        None,
    )
    assert [steady(blocker) for blocker in event.blockers] == [
        {
            "pid": holder.info.backend_pid,
            "application": "report",
            "backend": "client backend",
            "state": "idle in transaction",
            "query": "SELECT * FROM a",
            "waits": False,
        }
    ]
    assert event.blockers[0]["user"] == holder.info.user


def test_blocked_statement_behind_a_queue_lists_the_queue_first(
    database: str, conn: psycopg.Connection, holder: psycopg.Connection
) -> None:
    """The session before us in the queue is listed first, then the one it waits for."""
    seen = Seen(StatementBlocked, holder.rollback)
    with closing(psycopg.connect(database, autocommit=True)) as queued:
        before_us = queued.info.backend_pid
        queued.pgconn.send_query(b"ALTER TABLE a ADD z int")
        until(
            lambda: conn.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone()
        )

        runner(database, seen).run(files(migration(1, "ANALYZE a")), Up())

    assert [
        (each["pid"], each["waits"], each["state"])
        for each in blocked(seen)[0].blockers
    ] == [
        (before_us, True, "active"),
        (holder.info.backend_pid, False, "idle in transaction"),
    ]


def test_statement_blocked_by_a_row_names_the_table(
    database: str, conn: psycopg.Connection, holder: psycopg.Connection
) -> None:
    """Who waits for a row waits for a transaction; the event names the table all the same."""
    holder.execute("UPDATE a SET x = 2")
    seen = Seen(StatementBlocked, holder.commit)

    runner(database, seen).run(files(migration(1, "UPDATE a SET x = 3")), Up())

    event = blocked(seen)[0]
    assert (event.lock, event.relation) == ("transactionid ShareLock", "public.a")
    assert event.blockers[0]["query"] == "UPDATE a SET x = 2"


def test_a_concurrent_index_that_waits_for_an_old_transaction(
    database: str, conn: psycopg.Connection
) -> None:
    """It waits for all who may see the table otherwise, whatever they have read."""
    conn.execute("CREATE TABLE a (x int)")
    build = migration(1, "CREATE INDEX CONCURRENTLY i ON a (x)", transaction=False)
    with psycopg.connect(database) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")
        pid = old.info.backend_pid
        seen = Seen(StatementBlocked, old.rollback)

        runner(database, seen).run(files(build), Up())

    event = blocked(seen)[0]
    assert (event.lock, event.relation, event.phase) == (
        "virtualxid ShareLock",
        "public.a",
        "waiting for old snapshots",
    )
    assert [each["pid"] for each in event.blockers] == [pid]


def test_a_lock_timeout_names_who_was_in_the_way(
    database: str, holder: psycopg.Connection, tmp_path: Path
) -> None:
    """The line of each attempt and the last line of all; a password is masked."""
    holder.execute("SELECT 1 -- PASSWORD 'hunter2'")
    directory = write(tmp_path / "m", {"1_a.sql": "ALTER TABLE a ADD y int;"})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_TIMEOUT="1s",
        MIGRATOR_LOCK_RETRY="1200ms",
    )

    pid = holder.info.backend_pid
    assert result.exit_code == 22
    assert f", blocked by pid {pid}, application report," in result.verdict["error"]
    (retried,) = result.events("migration.retried")
    assert retried["blocker"].startswith(f"pid {pid}, application report, ")
    assert retried["blocker"].endswith("query: SELECT 1 -- PASSWORD '********'")
    assert "hunter2" not in str(result.lines)


def test_a_lock_timeout_without_a_transaction_names_who_was_in_the_way(
    database: str, holder: psycopg.Connection, tmp_path: Path
) -> None:
    """As with one."""
    holder.execute("LOCK TABLE a")
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nVACUUM a;"
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_TIMEOUT="1s",
        MIGRATOR_LOCK_RETRY="0",
    )

    blocker = f"blocked by pid {holder.info.backend_pid}, "
    assert blocker in result.verdict["error"], result.verdict


def test_blocker_without_privilege_has_pid_and_role_only(
    database: str, conn: psycopg.Connection, holder: psycopg.Connection
) -> None:
    """Without the privilege pid and role are logged, and once what to grant."""
    role = f"watch_{conn.info.backend_pid}"
    holder.rollback()
    conn.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'x'; ALTER TABLE a OWNER TO {role};"
        f" GRANT CREATE ON SCHEMA public TO {role}"
    )
    holder.execute("SELECT * FROM a")
    looks = iter(["first", "second"])

    def second(event: Event) -> None:
        recorder(event)
        if isinstance(event, StatementBlocked) and next(looks, "") == "second":
            holder.rollback()

    recorder = Recorder()
    dsn = make_conninfo(database, user=role, password="x")
    try:
        runner(dsn, second).run(ALTER, Up())
    finally:
        conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    first, *others = blocked(recorder)
    assert steady(first.blockers[0]) == {
        "pid": holder.info.backend_pid,
        "application": "report",
        "backend": None,
        "state": None,
        "query": None,
        "waits": False,
    }
    assert first.hint == (
        f"GRANT pg_read_all_stats TO {role} shows what is hidden of other roles'"
        " sessions"
    )
    assert {each.hint for each in others} == {None}


@LOCKS
def test_a_statement_that_only_takes_long(database: str, lock: Lock) -> None:
    """For what nobody counts, the event says that it is alive and what it waits for."""
    recorder = Recorder()

    runner(database, recorder, lock=lock).run(SLEEP, Up())

    event = progressed(recorder)[0]
    assert event == StatementProgressed(
        version=1,
        path="00001_test.sql",
        line=2,
        statement=1,
        elapsed_s=event.elapsed_s,
        command=None,
        relation=None,
        phase=None,
        percent=None,
        done=None,
        total=None,
        unit=None,
        rate_per_s=None,
        left_s=None,
        state="active",
        wait_event="Timeout: PgSleep",
    )


def test_many_short_statements(database: str) -> None:
    """They have no events of their own, so an event from time to time says where they are."""
    recorder = Recorder()
    short = files(migration(1, *["SELECT pg_sleep(0.01)"] * 100))

    runner(database, recorder, watch_s=(60, 0.2)).run(short, Up())

    numbers = [each.statement for each in progressed(recorder)]
    assert numbers
    assert numbers == sorted(set(numbers))
    assert {each.state for each in progressed(recorder)} == {None}


def test_monitor_under_another_role_sees_the_session(
    database: str, conn: psycopg.Connection
) -> None:
    """MIGRATOR_ROLE may not see the role that has connected: we look as that one."""
    role, recorder = f"watch_{conn.info.backend_pid}", Recorder()
    conn.execute(f"CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}")
    try:
        runner(database, recorder, session=Session(role=role)).run(SLEEP, Up())
    finally:
        conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")

    assert {each.state for each in progressed(recorder)} == {"active"}


@pytest.fixture
def pages(conn: psycopg.Connection) -> int:
    """A table of so many pages, and a slow function of its column."""
    conn.execute("CREATE TABLE a (x int, wide text) WITH (autovacuum_enabled = off)")
    conn.execute("ALTER TABLE a ALTER wide SET STORAGE PLAIN")
    conn.execute(
        "INSERT INTO a SELECT n, repeat('x', 5000) FROM generate_series(1, 50) n"
    )
    conn.execute("DELETE FROM a WHERE x > 45")
    conn.execute(
        "CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.015); RETURN $1; END'"
    )
    return 50


def test_the_progress_of_an_index(database: str, pages: int) -> None:
    """Phase, blocks, percentage, rate and what is left, from PostgreSQL's own count."""
    recorder = Recorder()

    runner(database, recorder).run(
        files(migration(1, "CREATE INDEX ON a (public.slow(x))")), Up()
    )

    first, *_, last = progressed(recorder)
    assert (first.command, first.relation, first.phase, first.total, first.unit) == (
        "CREATE INDEX",
        "public.a",
        "building index: scanning table",
        pages,
        "blocks",
    )
    assert first.done is not None
    assert first.percent == round(100 * first.done / pages, 1)
    assert (first.rate_per_s, first.left_s) == (None, None)
    assert last.done is not None
    assert last.rate_per_s is not None
    assert last.done > first.done
    assert last.rate_per_s > 0
    assert last.left_s is not None


def test_the_progress_of_a_vacuum(database: str, pages: int) -> None:
    """The pages that have been read."""
    recorder = Recorder()
    vacuum = migration(
        1,
        "SET vacuum_cost_delay = 10",
        "SET vacuum_cost_limit = 1",
        "VACUUM (DISABLE_PAGE_SKIPPING) a",
        transaction=False,
    )

    runner(database, recorder).run(files(vacuum), Up())

    states = {
        (each.command, each.relation, each.phase, each.total, each.unit)
        for each in progressed(recorder)
    }
    assert ("VACUUM", "public.a", "scanning heap", pages, "blocks") in states


def test_the_progress_of_a_copy(database: str, conn: psycopg.Connection) -> None:
    """The rows so far; how many there will be nobody knows."""
    conn.execute("CREATE TABLE a (x int)")
    looked = threading.Event()
    seen = Seen(StatementProgressed, looked.set)

    def some() -> Iterator[str]:
        # the server sees no row of a message before it has all of that
        yield from ("1\n" * 1_000 for _ in range(100))
        assert looked.wait(20)

    statement = Statement("COPY a FROM stdin", 2, data=some())
    section = Section((statement,))
    copy = Migration(version=1, path="1_a.sql", up=section, down=Section())

    runner(database, seen).run(Files((copy,)), Up())

    event = progressed(seen)[0]
    assert (event.command, event.relation, event.total, event.percent, event.unit) == (
        "COPY FROM",
        "public.a",
        None,
        None,
        "rows",
    )
    assert event.done
    assert event.wait_event == "Client: ClientRead"


def test_progress_through_a_pooler_says_only_that_it_continues(database: str) -> None:
    """Nobody knows which server session is ours: the event only says that it continues."""
    recorder = Recorder()
    with pgbouncer(database) as dsn:
        runner(dsn, recorder).run(SLEEP, Up())

    reports = progressed(recorder)
    assert {(each.line, each.state, each.wait_event) for each in reports} == {
        (2, None, None)
    }


@pytest.mark.parametrize("transaction", ["True", "False"])
def test_a_migration_in_python(
    database: str, holder: psycopg.Connection, tmp_path: Path, transaction: str
) -> None:
    """The event has its function in place of a statement, and who blocks what it runs."""
    directory = tmp_path / "m"
    directory.mkdir()
    (directory / "1_a.py").write_text(
        f"TRANSACTION = {transaction}\n\n"
        "def up(conn):\n    conn.execute('ALTER TABLE a ADD y int')\n"
    )

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_TIMEOUT="1s",
        MIGRATOR_LOCK_RETRY="0",
    )

    (event, *_) = result.events("statement.blocked")
    assert (event["line"], event["relation"]) == (3, "public.a")
    assert f"blocked by pid {holder.info.backend_pid}" in result.verdict["error"]


def test_what_an_observer_prints_while_a_script_runs(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the thread that looks, too, it is no word of the script's."""
    script = tmp_path / "m" / "1_a.py"
    script.parent.mkdir()
    script.write_text("def up(conn):\n    conn.execute('SELECT pg_sleep(0.3)')\n")

    def observe(event: Event) -> None:
        print(event.name)  # noqa: T201 - the point

    runner(database, observe).run(
        load(script.parent, split=Split.GOOSE, environ={}), Up()
    )

    printed = capsys.readouterr().out.splitlines()
    assert "statement.progressed" in printed
    assert "script.printed" not in printed


def test_a_signal_while_the_monitor_queries(
    database: str, holder: psycopg.Connection, tmp_path: Path
) -> None:
    """It ends the run as ever."""
    directory = write(tmp_path / "m", {"1_a.sql": "ALTER TABLE a ADD y int;"})
    with started(database, directory, MIGRATOR_LOCK_TIMEOUT="1s") as process:
        heard(process, "statement.blocked")
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143


def test_a_monitor_query_that_hangs_delays_no_end(conn: psycopg.Connection) -> None:
    """The thread ends with the block, and its question with it."""
    watch, asked = CurrentStatement(pid=1), threading.Event()
    threads = set(threading.enumerate())

    def ask(query: bytes, give_up: GiveUp) -> list[TextRow]:
        asked.set()
        return query_rows(conn, b"SELECT pg_sleep(60)", give_up)

    place = ALTER.migrations[0].place(Statement("", 1), 1)
    with watch.running_at(place, -1e9), run_monitor(watch, ask):
        assert asked.wait(20)

    assert set(threading.enumerate()) == threads
    assert conn.closed


def test_a_lock_that_is_lost_while_a_statement_runs(
    database: str, conn: psycopg.Connection
) -> None:
    """The looks end with its session, and begin with the next one's."""
    recorder = Seen(
        StatementProgressed,
        lambda: conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND database = (SELECT oid FROM pg_database WHERE datname ="
            " current_database())"
        ),
    )

    steps = runner(database, recorder, lock=Lock.SESSION).run(SLEEP, Up())

    assert len(steps) == 1
    lost = recorder.names.index("connection.lost")
    before, after = recorder.events[:lost], recorder.events[lost:]
    for part in (before, after):
        states = [e.state for e in part if isinstance(e, StatementProgressed)]
        assert "active" in states


def test_an_observer_that_fails(database: str) -> None:
    """What goes wrong while somebody looks disturbs no migration."""

    def observe(event: Event) -> None:
        if isinstance(event, StatementProgressed):
            raise OSError

    steps = runner(database, observe).run(SLEEP, Up())

    assert len(steps) == 1


@pytest.mark.parametrize(
    ("sleep", "connections"), [("SELECT 1", 1), ("SELECT pg_sleep(0.5)", 2)]
)
def test_without_a_lock_there_is_a_second_connection_when_it_is_needed(
    database: str, sleep: str, connections: int
) -> None:
    """A run of short statements has one."""
    with count_round_trips(database) as (dsn, wire):
        runner(dsn, lambda event: None, lock=Lock.NONE, watch_s=(0.3, 1)).run(
            files(migration(1, sleep)), Up()
        )

    assert len(wire.connections) == connections

"""Pipeline mode against a real server: what is sent, answered, refused and stopped."""

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing

import psycopg
import pytest

from migrator.domain.model import Direction, SessionState, Step
from migrator.errors import DeadlineError, LockLostError, MigratorError
from migrator.pg.execution.messages import Kind, MessageStream, own_statements
from migrator.pg.execution.pipeline import Pipeline, QueryFailedError
from migrator.pg.locking.held_lock import NO_LOCK
from migrator.pg.tracking.history_table import HistoryTable
from migrator.pg.tracking.version_table import VersionTable
from migrator.process.cancellation import Cancellation
from tests.helpers.support import Query, migration, until


def nothing() -> None:
    """Hold what needs no holding."""


def stalled(peer: object) -> None:
    """Fail instead of waiting any longer."""
    raise psycopg.OperationalError("nothing was sent and nothing was answered")


def queries(*texts: str) -> Iterator[Query]:
    """Statements to send, each answered early."""
    return (Query(text.encode()) for text in texts)


def answers(
    conn: psycopg.Connection,
    sent: Iterable[Query],
    cancellation: Cancellation | None = None,
) -> list[str]:
    """The command tags of all that was sent."""
    pipeline = Pipeline(
        conn,
        iter(sent),
        cancellation=cancellation or Cancellation(),
        check_lock=nothing,
    )
    return [tag for _, tag in pipeline.results()]


def hear(pipeline: Pipeline[Query], answered: list[bytes]) -> None:
    """Collect the queries that were answered, up to the end."""
    answered.extend(query.text for query, _ in pipeline.results())


def usable(conn: psycopg.Connection) -> bool:
    """Whether the connection takes an ordinary query."""
    conn.rollback()
    return conn.execute("SELECT 1").fetchone() == (1,)


def test_answers_come_in_order(conn: psycopg.Connection) -> None:
    """One for each query, and the connection is as before."""
    tags = answers(conn, queries("BEGIN", "CREATE TABLE a ()", "SELECT 1", "COMMIT"))

    assert tags == ["BEGIN", "CREATE TABLE", "SELECT 1", "COMMIT"]
    assert usable(conn)


def test_nothing_to_send_is_nothing(conn: psycopg.Connection) -> None:
    """An empty stream does no harm."""
    assert answers(conn, queries()) == []
    assert usable(conn)


@pytest.mark.parametrize(
    "broken", ["SELECT 1 / 0", "SELEC", "SELECT $1::int", "COPY x"]
)
def test_nothing_runs_behind_a_failure(conn: psycopg.Connection, broken: str) -> None:
    """Whatever failed, at whatever stage; what was committed before it stays."""
    sent = ("BEGIN", "CREATE TABLE a ()", "COMMIT", broken, "CREATE TABLE b ()")

    with pytest.raises(QueryFailedError) as caught:
        answers(conn, queries(*sent))

    assert caught.value.query == Query(broken.encode())
    assert usable(conn)
    row = conn.execute("SELECT to_regclass('a')::text, to_regclass('b')::text")
    assert row.fetchone() == ("a", None)


def test_nothing_runs_behind_a_commit_that_failed(conn: psycopg.Connection) -> None:
    """A deferred constraint is checked there, and the next transaction never begins."""
    conn.execute("CREATE TABLE a (x int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    sent = ("BEGIN", "INSERT INTO a VALUES (1), (1)", "COMMIT", "CREATE TABLE b ()")

    with pytest.raises(QueryFailedError) as caught:
        answers(conn, queries(*sent))

    assert caught.value.error.sqlstate == "23505"
    assert caught.value.query.text == b"COMMIT"
    row = conn.execute("SELECT to_regclass('b'), (SELECT count(*) FROM a)").fetchone()
    assert row == (None, 0)


def test_two_full_buffers_are_no_deadlock(conn: psycopg.Connection) -> None:
    """Megabytes go out while megabytes come in, more than both sockets hold."""
    megabyte = "x" * (1 << 20)
    sent = [Query(f"SELECT '{megabyte}'".encode(), flush=n % 2 == 0) for n in range(60)]

    assert answers(conn, sent) == ["SELECT 1"] * 60


def test_a_statement_larger_than_the_socket_s_buffers_is_sent(
    conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on as soon as the network takes more, not when the wait for answers ends."""
    monkeypatch.setattr("migrator.pg.execution.pipeline.CHECK_INTERVAL_S", 30)
    monkeypatch.setattr("migrator.pg.connection.tcp_liveness.SlowReader.check", stalled)
    size = 20_000_000

    (tag,) = answers(conn, [Query(f"SELECT length('{'x' * size}')".encode())])

    assert tag == "SELECT 1"


def test_a_full_window_asks_for_answers(conn: psycopg.Connection) -> None:
    """Large statements whose answers nobody wants early do not wait for each other."""
    large = f"SELECT length('{'x' * 300_000}')"
    sent = [Query(large.encode(), flush=False) for _ in range(20)]

    assert answers(conn, sent) == ["SELECT 1"] * 20


def test_answers_come_while_the_rest_runs(
    database: str, conn: psycopg.Connection
) -> None:
    """The first is here although the second waits for a lock of ours."""
    conn.execute("CREATE TABLE a ()")
    other = psycopg.connect(database)
    other.execute("LOCK TABLE a")
    pipeline = Pipeline(
        conn,
        queries("SELECT 1", "SELECT FROM a", "SELECT 2"),
        cancellation=Cancellation(),
        check_lock=nothing,
    )

    with closing(pipeline.results()) as results:
        first = next(results)
        other.close()
        rest = [query.text for query, _ in results]

    assert first[0].text == b"SELECT 1"
    assert rest == [b"SELECT FROM a", b"SELECT 2"]


def test_notices_belong_to_the_first_that_waits(conn: psycopg.Connection) -> None:
    """Each NOTICE arrives before the answer to its statement, and behind those before."""
    raising = "DO $$ BEGIN RAISE NOTICE '{}'; END $$"
    sent = [Query(raising.format(n).encode(), flush=False) for n in range(50)]
    pipeline = Pipeline(
        conn, iter(sent), cancellation=Cancellation(), check_lock=nothing
    )
    heard: list[tuple[str | None, bytes]] = []
    conn.add_notice_handler(
        lambda diag: heard.append((diag.message_primary, pipeline.waiting[0].text))
    )

    for _ in pipeline.results():
        pass

    assert heard == [(str(n), query.text) for n, query in enumerate(sent)]


def test_a_signal_cancels_and_what_was_committed_is_reported(
    database: str, conn: psycopg.Connection
) -> None:
    """The running statement ends, the queue behind it does not run."""
    cancellation = Cancellation()
    before = signal.signal(
        signal.SIGTERM, lambda *_: cancellation.request(DeadlineError(1.0))
    )
    conn.execute("SET application_name = 'streaming'")
    answered: list[bytes] = []

    def interrupt() -> None:
        with psycopg.connect(database, autocommit=True) as other:
            sleeping = (
                "SELECT FROM pg_stat_activity WHERE application_name = 'streaming'"
                " AND wait_event = 'PgSleep'"
            )
            until(lambda: other.execute(sleeping).fetchone() is not None)
        os.kill(os.getpid(), signal.SIGTERM)

    sent = ("CREATE TABLE a ()", "SELECT pg_sleep(60)", "CREATE TABLE b ()")
    pipeline = Pipeline(
        conn,
        queries("BEGIN", sent[0], "COMMIT", *sent[1:]),
        cancellation=cancellation,
        check_lock=nothing,
    )
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(DeadlineError):
        hear(pipeline, answered)
    thread.join()
    signal.signal(signal.SIGTERM, before)

    assert answered == [b"BEGIN", b"CREATE TABLE a ()", b"COMMIT"]
    assert usable(conn)
    row = conn.execute("SELECT to_regclass('a')::text, to_regclass('b')::text")
    assert row.fetchone() == ("a", None)


def test_a_lost_lock_stops_the_stream(conn: psycopg.Connection) -> None:
    """It is asked behind each early answer; what is running then is cancelled."""
    asked = 0

    def held() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise LockLostError("for a test")

    pipeline = Pipeline(
        conn,
        queries("SELECT 1", "SELECT 2", "SELECT pg_sleep(60)", "SELECT 4"),
        cancellation=Cancellation(),
        check_lock=held,
    )
    answered: list[bytes] = []

    with pytest.raises(LockLostError):
        hear(pipeline, answered)

    assert answered == [b"SELECT 1", b"SELECT 2"]
    assert usable(conn)


def test_a_listener_that_goes_leaves_a_usable_connection(
    conn: psycopg.Connection,
) -> None:
    """What it has not heard is cancelled and read away."""
    pipeline = Pipeline(
        conn,
        queries("SELECT 1", "SELECT pg_sleep(60)", "SELECT 3"),
        cancellation=Cancellation(),
        check_lock=nothing,
    )

    with closing(pipeline.results()) as results:
        next(results)

    assert usable(conn)


def test_a_source_that_fails_leaves_a_usable_connection(
    conn: psycopg.Connection,
) -> None:
    """Its error is raised; answers to what was sent before it are not waited for."""

    def failing() -> Iterator[Query]:
        yield Query(b"BEGIN")
        yield Query(b"CREATE TABLE a ()")
        raise LockLostError("for a test")

    with pytest.raises(MigratorError, match="for a test"):
        answers(conn, failing())

    assert usable(conn)
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_session_that_ends_is_reported_with_its_query(
    conn: psycopg.Connection, at: int
) -> None:
    """57P01 from the server, at the statement that ran."""
    texts = ["SELECT 1", "SELECT 2", "SELECT 3"]
    texts[at] = "SELECT pg_terminate_backend(pg_backend_pid())"

    with pytest.raises(QueryFailedError) as caught:
        answers(conn, queries(*texts))

    assert caught.value.query.text.decode() == texts[at]
    assert isinstance(caught.value.error, psycopg.OperationalError)
    assert conn.closed


def test_which_messages_of_the_stream_are_answered_early(
    conn: psycopg.Connection,
) -> None:
    """Statements of a file and each COMMIT; what is ours comes with the next of them."""
    steps = [Step(migration(n, "SELECT 1", "SELECT 2"), Direction.UP) for n in (1, 2)]
    table = VersionTable(
        "public", "goose_db_version", HistoryTable("public", "goose_db_version")
    )
    sent = list(MessageStream(conn, table, NO_LOCK, SessionState.RESET).messages(steps))

    early = {kind: {m.flush for m in sent if m.kind is kind} for kind in Kind}

    assert early == {
        Kind.SETTLE: {False},
        Kind.BEGIN: {False},
        Kind.STATEMENT: {True},
        Kind.ENTER: {False},
        Kind.COMMIT: {True},
    }


def test_a_run_of_inserts_is_answered_together() -> None:
    """Each 64th and the last one; what is no INSERT always."""
    rows = ["INSERT INTO a VALUES (1)"] * 130
    file = migration(
        1, "CREATE TABLE a (x int)", *rows, "SELECT 1", rows[0], "SELECT 2"
    )

    sent = own_statements(Step(file, Direction.UP))

    assert [message.number for message in sent if message.flush] == (
        [1, 64, 128, 131, 132, 133, 134]
    )

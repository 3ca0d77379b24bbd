"""When a connection counts as lost, by what was seen of its server process."""

import time
from collections.abc import Iterator

import psycopg
import pytest

from migrator.domain.facts import Place
from migrator.pg.monitor import session_liveness
from migrator.pg.monitor.activity import SessionActivity
from migrator.pg.monitor.current_statement import CheckInterval, CurrentStatement
from migrator.pg.monitor.monitor import Monitor
from migrator.pg.monitor.session_liveness import SessionLiveness
from tests.helpers.support import until


IDLE = SessionActivity(state="idle", state_change="12:00:00.000001")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look may follow at once."""
    monkeypatch.setattr(session_liveness, "CONFIRM_S", 0)


@pytest.fixture
def busy(conn: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection on which an answer is awaited."""
    conn.pgconn.send_query(b"SELECT pg_sleep(60)")
    until(lambda: session_liveness._is_quiet(conn, 0.01))
    yield conn
    conn.cancel_safe()
    conn.close()


@pytest.mark.parametrize(
    ("sights", "reason"),
    [
        ([SessionActivity(is_gone=True)], None),
        ([SessionActivity(is_gone=True)] * 2, "its server process is gone"),
        ([IDLE] * 2, "its server process is idle while an answer is awaited"),
        ([IDLE, IDLE._replace(state_change="12:00:01")], None),
        ([IDLE, SessionActivity(state="active"), IDLE], None),
        ([SessionActivity()] * 2, None),
        ([SessionActivity(state="active", wait_event="Client: ClientRead")] * 2, None),
    ],
    ids=["once", "gone", "idle", "worked", "works", "unseen", "copy"],
)
def test_two_snapshots_have_to_show_the_same_silence(
    busy: psycopg.Connection, sights: list[SessionActivity], reason: str | None
) -> None:
    """A process that has worked in between, or waits for rows of a COPY, is no loss."""
    connection = SessionLiveness(busy)

    found = [connection.loss_reason(sight) for sight in sights]

    assert found == [None] * (len(sights) - 1) + [reason]


def test_session_without_a_query_is_not_lost(conn: psycopg.Connection) -> None:
    """A function in Python may compute for hours between two queries."""
    connection = SessionLiveness(conn)

    assert [
        connection.loss_reason(SessionActivity(is_gone=True)) for _ in range(2)
    ] == [
        None,
        None,
    ]


def test_a_pipeline_is_active_up_to_its_end(conn: psycopg.Connection) -> None:
    """There a process that waits for us has nothing to do, though it calls itself active."""
    conn.pgconn.enter_pipeline_mode()
    conn.pgconn.send_query_params(b"SELECT 1", None)
    until(lambda: not conn.pgconn.flush() and session_liveness._is_quiet(conn, 0.01))
    waits = SessionActivity(state="active", wait_event="Client: ClientRead")
    connection = SessionLiveness(conn)

    found = [connection.loss_reason(waits) for _ in range(2)]
    conn.close()

    assert found == [None, "its server process is active while an answer is awaited"]


def test_what_is_under_way_is_no_silence(busy: psycopg.Connection) -> None:
    """Where bytes went over the line since the first look, the answer may come yet."""
    assert (
        session_liveness._is_quiet(busy, 0),
        session_liveness._is_quiet(busy, 60),
    ) == (
        True,
        False,
    )


def test_where_the_kernel_says_nothing_a_line_is_quiet(
    busy: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only Linux counts the time since the last byte; what the server shows counts."""
    monkeypatch.setattr(session_liveness, "_INFO", None)

    assert session_liveness._is_quiet(busy, 60)


@pytest.mark.parametrize("watched", [True, False])
def test_a_suspicion_is_looked_into_soon(
    busy: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, *, watched: bool
) -> None:
    """Where a session is gone that should answer; otherwise the next look is far off."""
    monkeypatch.setattr(session_liveness, "CONFIRM_S", 5)
    work = busy if watched else None
    watch = CurrentStatement(pid=1, work=work, interval=CheckInterval(first_s=0.0))
    monitor = Monitor(watch, lambda query, give_up: [])

    with watch.running_at(Place(1, "1.sql", 1, 1, 1), time.monotonic() - 100):
        monitor.check()
        pause_s = monitor.pause()

    assert (0 < pause_s <= 5, pause_s > 25) == (watched, not watched)

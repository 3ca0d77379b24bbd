"""When a connection counts as lost, by what was seen of its server process."""

from collections.abc import Iterator

import psycopg
import pytest

from migrator.pg.monitor import session_liveness
from migrator.pg.monitor.activity import Sight
from migrator.pg.monitor.session_liveness import Liveness
from tests.helpers.support import until


IDLE = Sight(state="idle", state_change="12:00:00.000001")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look may follow at once."""
    monkeypatch.setattr(session_liveness, "CONFIRM_S", 0)


@pytest.fixture
def busy(conn: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection on which an answer is awaited."""
    conn.pgconn.send_query(b"SELECT pg_sleep(60)")
    until(lambda: session_liveness._quiet(conn, 0.01))
    yield conn
    conn.cancel_safe()
    conn.close()


@pytest.mark.parametrize(
    ("sights", "reason"),
    [
        ([Sight(gone=True)], None),
        ([Sight(gone=True)] * 2, "its server process is gone"),
        ([IDLE] * 2, "its server process is idle while an answer is awaited"),
        ([IDLE, IDLE._replace(state_change="12:00:01")], None),
        ([IDLE, Sight(state="active"), IDLE], None),
        ([Sight()] * 2, None),
        ([Sight(state="active", wait_event="Client: ClientRead")] * 2, None),
    ],
    ids=["once", "gone", "idle", "worked", "works", "unseen", "copy"],
)
def test_two_looks_have_to_show_the_same_silence(
    busy: psycopg.Connection, sights: list[Sight], reason: str | None
) -> None:
    """A process that has worked in between, or waits for rows of a COPY, is no loss."""
    connection = Liveness(busy)

    found = [connection.lost(sight) for sight in sights]

    assert found == [None] * (len(sights) - 1) + [reason]


def test_nobody_is_lost_of_whom_nothing_is_awaited(conn: psycopg.Connection) -> None:
    """A function in Python may compute for hours between two queries."""
    connection = Liveness(conn)

    assert [connection.lost(Sight(gone=True)) for _ in range(2)] == [None, None]


def test_what_is_under_way_is_no_silence(busy: psycopg.Connection) -> None:
    """Where bytes went over the line since the first look, the answer may come yet."""
    assert (session_liveness._quiet(busy, 0), session_liveness._quiet(busy, 60)) == (
        True,
        False,
    )

"""A question with an end to its patience, for what nothing may hold up."""

import time
from collections.abc import Callable

import psycopg
from psycopg import pq

from migrator.pg.bounded import Growth
from migrator.pg.command import refusal
from migrator.pg.liveness import lose
from migrator.pg.ready import wait_ready


Row = tuple[bytes | None, ...]
GiveUp = Callable[[], bool]
"""Asked while an answer is waited for: whether to wait no longer."""

LIMIT_S = 5.0
"""How long a server that answers may take for a small question. A proxy may have
forgotten the connection, and confirm for ever what TCP asks."""

_AGAIN_S = 0.05
_GIVEN_UP = "nobody waits for the answer any more"
_UNANSWERED = f"the server did not answer a question within {LIMIT_S:g} s"


def _never() -> bool:
    return False


def rows(conn: psycopg.Connection, query: bytes, give_up: GiveUp = _never) -> list[Row]:
    """
    Send *query* as one message and return the rows of its last statement.

    Wait 5 s at most, and only until *give_up* says so: psycopg's own wait has no end.
    Whoever else uses *conn* has to be kept off meanwhile.

    Raises:
        psycopg.Error: The server refused it; or it was given up or the connection was
            lost, and then *conn* is closed.
    """
    end = time.monotonic() + LIMIT_S

    growth = Growth()

    def check() -> None:
        growth.check()
        if give_up():
            raise psycopg.OperationalError(_GIVEN_UP)
        if time.monotonic() >= end:
            lose(conn, _UNANSWERED)
            raise psycopg.OperationalError(_UNANSWERED)

    found: list[Row] = []
    refused: psycopg.Error | None = None
    try:
        conn.pgconn.send_query(query)
        while (result := _result(conn.pgconn, check)) is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR:
                refused = refusal(conn.pgconn, result)
            else:
                found = _rows(result)
    except BaseException:
        conn.close()
        raise
    if refused is not None:
        raise refused
    return found


def _rows(result: "pq.abc.PGresult") -> list[Row]:
    width = range(result.nfields)
    return [
        tuple(result.get_value(number, column) for column in width)
        for number in range(result.ntuples)
    ]


def _result(
    pgconn: "pq.abc.PGconn", check: Callable[[], None]
) -> "pq.abc.PGresult | None":
    while pgconn.flush() or pgconn.is_busy():
        check()
        wait_ready(pgconn.socket, _AGAIN_S)
        pgconn.consume_input()
    return pgconn.get_result()

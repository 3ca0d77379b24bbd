"""A question with an end to its patience, for threads that nothing may hold up."""

import select
from collections.abc import Callable

import psycopg
from psycopg import pq

from migrator.pg.command import refusal


Row = tuple[bytes | None, ...]
GiveUp = Callable[[], bool]
"""Asked while an answer is waited for: whether to wait no longer."""

_AGAIN_S = 0.05


def rows(conn: psycopg.Connection, query: bytes, give_up: GiveUp) -> list[Row]:
    """
    Send *query* as one message and return the rows of its last statement.

    Wait only until *give_up* says so: psycopg's own wait has no end. Whoever else uses
    *conn* has to be kept off meanwhile.

    Raises:
        psycopg.Error: The server refused it; or it was given up or the connection was
            lost, and then *conn* is closed.
    """
    found: list[Row] = []
    refused: psycopg.Error | None = None
    try:
        conn.pgconn.send_query(query)
        while (result := _result(conn.pgconn, give_up)) is not None:
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


def _result(pgconn: "pq.abc.PGconn", give_up: GiveUp) -> "pq.abc.PGresult | None":
    while pgconn.flush() or pgconn.is_busy():
        if give_up():
            raise psycopg.OperationalError("no answer in time")
        select.select([pgconn.socket], [], [], _AGAIN_S)
        pgconn.consume_input()
    return pgconn.get_result()

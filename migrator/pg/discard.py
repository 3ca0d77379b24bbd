"""Statements whose rows are read and discarded: nobody looks at them."""

import psycopg
from psycopg import Capabilities, generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, abc
from psycopg.waiting import Wait

from migrator.pg.command import refusal


ROWS = (ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK)
"""Results that are a part of a statement's rows."""

_AT_A_TIME = 32
"""Rows of one result: many have to fit into memory, and each result costs a call."""

_IN_CHUNKS = Capabilities().has_stream_chunked()
"""Whether libpq is 17 or newer, when psycopg was built and now."""


def split_rows(pgconn: abc.PGconn) -> None:
    """
    Let the statement that libpq is at bring its rows in parts, and not all at once.

    Raises:
        psycopg.OperationalError: Its first result is here, or it is no query.
    """
    if _IN_CHUNKS:
        pgconn.set_chunked_rows_mode(_AT_A_TIME)
    else:
        pgconn.set_single_row_mode()


def run_discarding(conn: psycopg.Connection, text: bytes) -> tuple[str, ...]:
    """
    Run *text* as one simple query, and return the command tags of its results.

    Rows are not kept, whatever their number.

    Raises:
        psycopg.Error: The first error of the server, or the connection is lost.
    """
    tags: list[str] = []
    failed = conn.wait(_run(conn.pgconn, text, tags))
    if failed is not None:
        raise refusal(conn.pgconn, failed)
    return tuple(tags)


def _run(
    pgconn: abc.PGconn, text: bytes, tags: list[str]
) -> PQGen[abc.PGresult | None]:
    """Send *text* and read all its results; return the one that failed, if any."""
    pgconn.send_query(text)
    split_rows(pgconn)
    yield from generators.send(pgconn)
    failed: abc.PGresult | None = None
    tag = b""  # the last rows of a statement may have it
    try:
        while (result := (yield from generators.fetch(pgconn))) is not None:
            match result.status:
                case ExecStatus.COPY_OUT:
                    yield from _skip_rows(pgconn)
                case ExecStatus.COPY_IN:
                    # or libpq would answer the same for ever (fe-exec.c: getCopyResult)
                    pgconn.put_copy_end(b"there are no rows")
                case ExecStatus.FATAL_ERROR:
                    failed = failed or result
                case status if status in ROWS:
                    tag = result.command_status or b""
                case _:
                    tags.append((result.command_status or tag).decode())
    except psycopg.OperationalError:
        # a server that ends the session says why before it does
        if failed is None:
            raise
    return failed


def _skip_rows(pgconn: abc.PGconn) -> PQGen[None]:
    while (size := pgconn.get_copy_data(1)[0]) >= 0:
        if size:
            continue
        while not (yield Wait.R):
            pass
        pgconn.consume_input()

"""Sends queries and commands, with time limits and cancellation."""

import math
import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import psycopg
from psycopg import Capabilities, generators
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus, ExecStatus, abc
from psycopg.waiting import Wait

from migrator.domain.model import Statement
from migrator.errors import MigratorError
from migrator.pg.connection.memory_limit import MemoryGrowth
from migrator.pg.connection.pooler import without_memory_limit
from migrator.pg.connection.tcp_liveness import allow_slow_reader, mark_lost
from migrator.process.cancellation import (
    GRACE_S,
    SIGNAL_CHECK_S,
    Cancellation,
    shut_down,
)


TextRow = tuple[bytes | None, ...]
"""The values of a row in text format."""

GiveUp = Callable[[], bool]
"""Called while waiting for an answer; returns whether to stop waiting."""

LIMIT_S = 5.0
"""The time limit of a small query: a proxy that has lost the connection to the server
may acknowledge TCP keepalives without an end."""

_POLL_S = 0.05
_CANCEL_INTERVAL_S = 0.2
"""When a command is cancelled, and then again: a cancel request may be lost."""

_GIVEN_UP = "the wait for the answer was cancelled"
_UNANSWERED = f"the server did not answer a query within {LIMIT_S:g} s"


class Ready(NamedTuple):
    """What a socket is ready for."""

    reading: bool = False
    """Data, or the end of the connection, can be read."""

    writing: bool = False


def wait_ready(fileno: int, limit_s: float, *, writing: bool = False) -> Ready:
    """
    Wait for *limit_s* at most until *fileno* can be read or, if *writing*, written.

    By poll(2): a process with many open files has descriptors above 1,023, which
    select(2) cannot take (FD_SETSIZE).
    """
    poll = select.poll()
    poll.register(fileno, select.POLLIN | (select.POLLOUT if writing else 0))
    for _, events in poll.poll(math.ceil(limit_s * 1000)):
        return Ready(bool(events & ~select.POLLOUT), bool(events & select.POLLOUT))
    return Ready()


def _never() -> bool:
    return False


def query_rows(
    conn: psycopg.Connection, query: bytes, give_up: GiveUp = _never
) -> list[TextRow]:
    """
    Send *query* as one message and return the rows of its last statement.

    Wait 5 s at most, and until *give_up* returns true: psycopg's own wait has no end.
    No other thread may use *conn* meanwhile.

    Raises:
        psycopg.Error: The server refused it. Or *give_up* was true, the time ran out or
            the connection was lost, and *conn* is closed.
    """
    end = time.monotonic() + LIMIT_S

    growth = MemoryGrowth()

    def wait() -> None:
        growth.check()
        if give_up():
            raise psycopg.OperationalError(_GIVEN_UP)
        if time.monotonic() >= end:
            mark_lost(conn, _UNANSWERED)
            raise psycopg.OperationalError(_UNANSWERED)
        wait_ready(conn.pgconn.socket, _POLL_S)

    try:
        result, error = _last_result(conn.pgconn, query, wait)
    except BaseException:
        conn.close()
        raise
    if error is not None:
        raise error
    return _rows(result) if result is not None else []


def _rows(result: abc.PGresult) -> list[TextRow]:
    width = range(result.nfields)
    return [
        tuple(result.get_value(number, column) for column in width)
        for number in range(result.ntuples)
    ]


def _last_result(
    pgconn: abc.PGconn, query: bytes, wait: Callable[[], None]
) -> tuple[abc.PGresult | None, psycopg.Error | None]:
    """Send *query*; return its last result and first error. *wait* waits for input."""
    last: abc.PGresult | None = None
    error: psycopg.Error | None = None
    pgconn.send_query(query)
    while (result := _next_result(pgconn, wait)) is not None:
        if result.status == ExecStatus.FATAL_ERROR:
            error = error or result_error(pgconn, result)
        else:
            last = result
    return last, error


def _next_result(pgconn: abc.PGconn, wait: Callable[[], None]) -> abc.PGresult | None:
    while pgconn.flush() or pgconn.is_busy():
        wait()
        pgconn.consume_input()
    return pgconn.get_result()


def encode_statement(statement: Statement) -> bytes:
    """Return the text of *statement*; bytes that are not UTF-8 as in the file."""
    return statement.text.encode(errors="surrogateescape")


def run_command(
    conn: psycopg.Connection, command: bytes, cancellation: Cancellation
) -> None:
    """
    Run *command*, and cancel it if the run is stopped; return if it succeeded anyway.

    Raises:
        StoppedRunError: The run was stopped and the command was cancelled.
        psycopg.Error: The server refused it, or the session ended.
    """
    growth = MemoryGrowth()

    def wait() -> None:
        growth.check()
        _wait(conn, cancellation)

    try:
        _, error = _last_result(conn.pgconn, command, wait)
        if error is not None:
            raise error
    except psycopg.errors.QueryCanceled:
        cancellation.check()
        raise


def result_error(pgconn: abc.PGconn, result: abc.PGresult) -> psycopg.Error:
    """Return the error that *result* is about."""
    if pgconn.status == ConnStatus.OK:
        return psycopg.errors.error_from_result(result)
    # a lost connection: libpq makes the result itself, without a SQLSTATE
    return psycopg.OperationalError(result.error_message.decode(errors="replace"))


def _wait(conn: psycopg.Connection, cancellation: Cancellation) -> None:
    fileno = conn.pgconn.socket
    if not cancellation.is_requested:
        with suppress(MigratorError), cancellation.interruptible():
            wait_ready(fileno, SIGNAL_CHECK_S)
    elif not wait_ready(fileno, _CANCEL_INTERVAL_S).reading:
        cancel(conn)


def cancel(conn: psycopg.Connection) -> None:
    """
    Cancel the statement of *conn*; give up waiting for its answer after 5 s.

    The caller still has to read the answer. A request that arrives between two
    statements is lost (PostgreSQL's postgres.c: ProcessInterrupts, DoingCommandRead).
    """
    try:
        conn.cancel_safe(timeout=GRACE_S)
    except psycopg.Error:
        shut_down(conn)


def send_statement(conn: psycopg.Connection, statement: Statement) -> tuple[str, ...]:
    """Run *statement*, with its rows, and return the command tags of its results."""
    text = encode_statement(statement)
    if statement.data is None:
        with without_memory_limit(conn):
            return run_discarding(conn, text)
    with allow_slow_reader(conn), conn.cursor() as cursor, cursor.copy(text) as copy:
        for rows in statement.data:
            copy.write(rows.encode(errors="surrogateescape"))
    return (cursor.statusmessage or "",)


def roll_back(conn: psycopg.Connection) -> None:
    """Roll back the open transaction, if any; do nothing on a lost connection."""
    try:
        if not conn.closed:
            conn.rollback()
    except psycopg.Error:
        conn.close()


ROWS = (ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK)
"""The statuses of results with a part of a statement's rows."""

_ROWS_PER_RESULT = 32
"""They have to fit into memory, and each result costs a call."""

_HAS_CHUNKED_ROWS = Capabilities().has_stream_chunked()
"""Whether libpq is 17 or newer, both at build time of psycopg and now."""


def split_rows(pgconn: abc.PGconn) -> None:
    """
    Make libpq return the current statement's rows in chunks.

    Raises:
        psycopg.OperationalError: No query is active, or it has returned a result.
    """
    if _HAS_CHUNKED_ROWS:
        pgconn.set_chunked_rows_mode(_ROWS_PER_RESULT)
    else:
        pgconn.set_single_row_mode()


def run_discarding(conn: psycopg.Connection, text: bytes) -> tuple[str, ...]:
    """
    Run *text* as one simple query, and return the command tags of its results.

    Rows are discarded as they arrive.

    Raises:
        psycopg.Error: The first error of the server, or of a lost connection.
    """
    tags: list[str] = []
    failed = conn.wait(_run(conn.pgconn, text, tags))
    if failed is not None:
        raise result_error(conn.pgconn, failed)
    return tuple(tags)


def _run(
    pgconn: abc.PGconn, text: bytes, tags: list[str]
) -> PQGen[abc.PGresult | None]:
    """Send *text* and read all its results; return the one that failed, if any."""
    pgconn.send_query(text)
    split_rows(pgconn)
    yield from generators.send(pgconn)
    failed: abc.PGresult | None = None
    tag = b""  # in chunked mode the last result with rows may have it
    try:
        while (result := (yield from generators.fetch(pgconn))) is not None:
            match result.status:
                case ExecStatus.COPY_OUT:
                    yield from _skip_rows(pgconn)
                case ExecStatus.COPY_IN:
                    # else each result is COPY_IN again (fe-exec.c: getCopyResult)
                    pgconn.put_copy_end(b"there are no rows")
                case ExecStatus.FATAL_ERROR:
                    failed = failed or result
                case status if status in ROWS:
                    tag = result.command_status or b""
                case _:
                    tags.append((result.command_status or tag).decode())
    except psycopg.OperationalError:
        # a server that ends the session sends the reason first
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

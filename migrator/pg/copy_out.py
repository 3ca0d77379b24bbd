"""Statements with a `COPY … TO stdout`: their rows are read and discarded."""

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, abc
from psycopg.waiting import Wait


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
        raise psycopg.errors.error_from_result(failed, encoding=conn.info.encoding)
    return tuple(tags)


def _run(
    pgconn: abc.PGconn, text: bytes, tags: list[str]
) -> PQGen[abc.PGresult | None]:
    """Send *text* and read all its results; return the one that failed, if any."""
    pgconn.send_query(text)
    yield from generators.send(pgconn)
    failed: abc.PGresult | None = None
    while (result := (yield from generators.fetch(pgconn))) is not None:
        match result.status:
            case ExecStatus.COPY_OUT:
                yield from _skip_rows(pgconn)
            case ExecStatus.COPY_IN:
                # or libpq would answer the same for ever (fe-exec.c: getCopyResult)
                pgconn.put_copy_end(b"there are no rows")
            case ExecStatus.FATAL_ERROR:
                failed = failed or result
            case _:
                tags.append((result.command_status or b"").decode())
    return failed


def _skip_rows(pgconn: abc.PGconn) -> PQGen[None]:
    while (size := pgconn.get_copy_data(1)[0]) >= 0:
        if size:
            continue
        while not (yield Wait.R):
            pass
        pgconn.consume_input()

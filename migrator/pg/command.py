"""
A command of our own, run to its end: a COMMIT may take its time.

Deferred constraints and triggers run in it, and PostgreSQL has no `statement_timeout`
for them (postgres.c: finish_xact_command), so only a signal or the deadline ends it.
The answer is read all the same: a COMMIT that was cancelled too late has come through.
"""

from contextlib import suppress

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, abc

from migrator.cancellation import LOOK_UP_S, Cancellation
from migrator.errors import MigratorError
from migrator.pg.bounded import Growth
from migrator.pg.cancel import cancel
from migrator.pg.ready import wait_ready


_AGAIN_S = 0.2
"""What is quick is let finish, and a request to cancel may be lost."""


def run_command(
    conn: psycopg.Connection, command: bytes, cancellation: Cancellation
) -> None:
    """
    Run *command*; asked to stop, cancel it, and return if it came through all the same.

    Raises:
        MigratorError: Why the run was asked to stop: the command was cancelled.
        psycopg.Error: The server refused, or the session died.
    """
    growth = Growth()
    try:
        conn.pgconn.send_query(command)
        refused = None
        while (result := _result(conn, cancellation, growth)) is not None:
            if result.status == ExecStatus.FATAL_ERROR:
                refused = refused or refusal(conn.pgconn, result)
        if refused is not None:
            raise refused
    except psycopg.errors.QueryCanceled:
        cancellation.check()
        raise


def refusal(pgconn: abc.PGconn, result: abc.PGresult) -> psycopg.Error:
    """Return the error that *result* is about."""
    if pgconn.status == ConnStatus.OK:
        return psycopg.errors.error_from_result(result)
    # libpq makes such a result itself, without a SQLSTATE to choose a class by
    return psycopg.OperationalError(result.error_message.decode(errors="replace"))


def _result(
    conn: psycopg.Connection, cancellation: Cancellation, growth: Growth
) -> abc.PGresult | None:
    while conn.pgconn.is_busy():
        growth.check()
        _wait(conn, cancellation)
        conn.pgconn.consume_input()
    return conn.pgconn.get_result()


def _wait(conn: psycopg.Connection, cancellation: Cancellation) -> None:
    fileno = conn.pgconn.socket
    if not cancellation.requested:
        with suppress(MigratorError), cancellation.armed():
            wait_ready(fileno, LOOK_UP_S)
    elif not wait_ready(fileno, _AGAIN_S).reading:
        cancel(conn)

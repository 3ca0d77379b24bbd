"""The end of what a connection runs, wherever it runs it."""

import psycopg

from migrator.cancellation import PATIENCE_S, shut


def cancel(conn: psycopg.Connection) -> None:
    """
    Cancel what *conn* runs; where no server answers in 5 s, end the wait for it.

    The caller still has to read the answer. A request that arrives between two
    statements is lost (PostgreSQL's postgres.c: ProcessInterrupts, DoingCommandRead).
    """
    try:
        conn.cancel_safe(timeout=PATIENCE_S)
    except psycopg.Error:
        shut(conn)

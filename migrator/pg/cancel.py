"""The end of what a connection runs, wherever it runs it."""

import os
import socket
from contextlib import suppress

import psycopg


_PATIENCE_S = 5.0


def cancel(conn: psycopg.Connection) -> None:
    """
    Cancel what *conn* runs; where no server answers in 5 s, end the wait for it.

    The caller still has to read the answer. A request that arrives between two
    statements is lost (PostgreSQL's postgres.c: ProcessInterrupts, DoingCommandRead).
    """
    try:
        conn.cancel_safe(timeout=_PATIENCE_S)
    except psycopg.Error:
        with suppress(OSError), socket.socket(fileno=os.dup(conn.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

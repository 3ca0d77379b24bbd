"""
The session that holds the advisory lock, also used for monitoring.

Two threads use its connection: the one that migrates and the monitor. A mutex keeps
them apart, because a libpq connection is not thread-safe. `check_known` is skipped
while the monitor's query runs, which detects a lost session too.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from migrator.errors import LockLostError
from migrator.pg.connection.connect import server_message
from migrator.pg.connection.own_messages import own_message
from migrator.pg.connection.queries import GiveUp, Row, query_rows
from migrator.pg.connection.socket_poll import wait_ready


# the session that holds it has no other advisory lock of one number
_MINE = """EXISTS (
    SELECT FROM pg_lock_status()
    WHERE pid = {pid} AND locktype = 'advisory' AND objsubid = 1 AND granted
)"""


class LockSession:
    """The connection *conn*, whose session holds the lock."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._turn = threading.Lock()

    @property
    def still_held_sql(self) -> sql.Composable:
        """Return an expression for any session: true while the lock is held."""
        return sql.SQL(_MINE).format(pid=sql.Literal(self._conn.info.backend_pid))

    def check(self) -> None:
        """
        Query the server; the lock counts as lost if it does not answer within 5 s.

        Raises:
            LockLostError: The lock is gone.
        """
        try:
            query = own_message(sql.SQL("SELECT {}").format(self.still_held_sql))
            with self._turn:
                held = query_rows(self._conn, query.as_bytes(self._conn))
        except psycopg.Error as error:
            raise LockLostError(server_message(error).message, died=True) from error
        if held != [(b"t",)]:
            raise LockLostError("its session no longer holds it")

    def check_known(self) -> None:
        """Raise if the server has ended the session; sends no query."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            while wait_ready(self._conn.fileno(), 0).reading:
                self._conn.pgconn.consume_input()
        except psycopg.Error as error:
            raise LockLostError(server_message(error).message, died=True) from error
        finally:
            self._turn.release()

    @contextmanager
    def wait_until_idle(self) -> Iterator[None]:
        """Leave the block only when no other thread uses the connection any more."""
        try:
            yield
        finally:
            with self._turn:
                pass

    def query_rows(self, query: bytes, give_up: GiveUp) -> list[Row]:
        """Return the rows of *query* of the monitor; as `queries.query_rows`."""
        with self._turn:
            return query_rows(self._conn, query, give_up)

"""The monitor thread and its connection."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from migrator.pg.connection.queries import GiveUp, Row, query_rows
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.pg.monitor.monitor import Ask, Monitor


_PATIENCE_S = 0.5
"""How long the end waits where the thread may be opening a connection just then."""


@contextmanager
def run_monitor(
    watch: CurrentStatement, ask: Ask, close: Callable[[], None] | None = None
) -> Iterator[None]:
    """
    Run a thread within the block that monitors *watch* with queries sent by *ask*.

    The thread ends with the block, in the middle of a look as well, and calls *close*:
    where there is one, the connection is the thread's own, and may have to be opened.
    """

    def look() -> None:
        looker = Monitor(watch, ask)
        try:
            while not watch.ended.wait(looker.pause()):
                looker.check()
        finally:
            if close is not None:
                close()

    thread = threading.Thread(target=look, name="migrator-monitor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        watch.end()
        thread.join(_PATIENCE_S if close else None)


class MonitorConnection:
    """
    A connection that is opened on first use and reopened after it was lost.

    Needed it is once *first*, which asks by another one, finds that closed.
    """

    def __init__(
        self, opened: Callable[[], psycopg.Connection], first: Ask | None = None
    ) -> None:
        self._opened = opened
        self._first = first
        self._conn: psycopg.Connection | None = None

    def query_rows(self, query: bytes, give_up: GiveUp) -> list[Row]:
        """Return the rows of *query*; raises as `queries.query_rows` does."""
        if self._first is not None:
            try:
                return self._first(query, give_up)
            except psycopg.OperationalError:
                if give_up():
                    raise
                self._first = None
        if self._conn is None or self._conn.closed:
            self._conn = self._opened()
        return query_rows(self._conn, query, give_up)

    def close(self) -> None:
        """Close the connection if it is open."""
        if self._conn is not None:
            with suppress(psycopg.Error):
                self._conn.close()

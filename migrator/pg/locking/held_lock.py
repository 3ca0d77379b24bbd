"""A held migration lock of any kind."""

from collections.abc import Callable
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.monitor.current_statement import CurrentStatement


def _always_held() -> None:
    """Do nothing: there is no lock to check."""


def no_stale_sessions(conn: psycopg.Connection) -> bool:
    """Return True: there are no stale sessions."""
    return True


class HeldLock(NamedTuple):
    """A held lock, and three ways to check that it is still held."""

    current: CurrentStatement
    """The running statement, for the monitor thread."""

    check: Callable[[], None]
    """Queries the server; raises LockLostError once the lock is lost."""

    check_known: Callable[[], None]
    """Raises the same without a query, if it is known already."""

    still_held_sql: sql.Composable
    """An expression for any session of the database: true while the lock is held."""

    end_stale_sessions: Callable[[psycopg.Connection], bool] = no_stale_sessions
    """
    Ends what this run has left on the server, by another connection, once its own are
    lost; false while something is left. Raises psycopg.Error.
    """


def no_lock(current: CurrentStatement) -> HeldLock:
    """Return a lock that needs no checks: MIGRATOR_LOCK=none."""
    return HeldLock(current, _always_held, _always_held, sql.SQL("true"))


NO_LOCK = no_lock(CurrentStatement())
"""For runs that are not monitored either."""

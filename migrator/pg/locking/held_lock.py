"""A migration lock that is held, whichever it is."""

from collections.abc import Callable
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.monitor.current_statement import CurrentStatement


def _always_held() -> None:
    """Hold what needs no holding."""


def no_stale_sessions(conn: psycopg.Connection) -> bool:
    """Return that nothing is left."""
    return True


class HeldLock(NamedTuple):
    """A lock that is ours, and three ways to see whether it still is."""

    current: CurrentStatement
    """Whoever runs something under the lock tells it what: there are looks at it."""

    check: Callable[[], None]
    """Asks the server; raises LockLostError once the lock is gone."""

    check_known: Callable[[], None]
    """Raises the same by what is known already."""

    still_held_sql: sql.Composable
    """An expression for any session of the database: true while the lock is ours."""

    end_stale_sessions: Callable[[psycopg.Connection], bool] = no_stale_sessions
    """
    Frees by another connection what this run has on the server, once its own are lost;
    false while something is left. Raises psycopg.Error.
    """


def no_lock(watch: CurrentStatement) -> HeldLock:
    """Return what needs no holding."""
    return HeldLock(watch, _always_held, _always_held, sql.SQL("true"))


NO_LOCK = no_lock(CurrentStatement())
"""For what nobody looks at, either."""

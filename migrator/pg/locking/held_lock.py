"""A migration lock that is held, whichever it is."""

from collections.abc import Callable
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.monitor.current_statement import Watch


def _surely() -> None:
    """Hold what needs no holding."""


def nothing_left(conn: psycopg.Connection) -> bool:
    """Return that nothing is left."""
    return True


class Hold(NamedTuple):
    """A lock that is ours, and three ways to see whether it still is."""

    watch: Watch
    """Whoever runs something under the lock tells it what: there are looks at it."""

    check: Callable[[], None]
    """Asks the server; raises LockLostError once the lock is gone."""

    held: Callable[[], None]
    """Raises the same by what is known already."""

    proof: sql.Composable
    """An expression for any session of the database: true while the lock is ours."""

    free: Callable[[psycopg.Connection], bool] = nothing_left
    """
    Frees by another connection what this run has on the server, once its own are lost;
    false while something is left. Raises psycopg.Error.
    """


def no_lock(watch: Watch) -> Hold:
    """Return what needs no holding."""
    return Hold(watch, _surely, _surely, sql.SQL("true"))


NO_LOCK = no_lock(Watch())
"""For what nobody looks at, either."""

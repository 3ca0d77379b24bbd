"""What a failed statement means: the server's error, in the operator's terms."""

import re
from functools import lru_cache

import psycopg

from migrator.errors import (
    AccessDeniedError,
    ConnectionLostError,
    ContentionError,
    MigratorError,
    OutOfResourcesError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.facts import Place, ServerMessage
from migrator.model import Statement
from migrator.pg.connect import server_message
from migrator.sql.passwords import MASK, masking, passwords


LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
SERIALIZATION_FAILURE = "40001"
INSUFFICIENT_PRIVILEGE = "42501"
QUERY_CANCELED = "57014"
READ_ONLY_TRANSACTION = "25006"

CONTENTION = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SERIALIZATION_FAILURE})


def explained(
    error: psycopg.Error,
    place: Place,
    statement: Statement,
    conn: psycopg.Connection,
    *,
    timed_out: bool,
    source: str = "",
    blocker: str | None = None,
) -> MigratorError:
    """
    Return what *error* of *statement*, run on *conn* at *place*, means.

    *timed_out* says that our own statement_timeout had passed by then: the server
    gives a timeout and somebody's `pg_cancel_backend` the same SQLSTATE. *source* is
    what else has passwords that the server may repeat. *blocker* was
    last seen in its way.
    """
    server = discreet(server_message(error, conn), source or statement.text)
    place = _pointed(place, statement, error)
    if session_is_gone(error):
        return ConnectionLostError(server, doing=f"running {place}", place=place)
    if server.sqlstate in CONTENTION:
        return ContentionError(place, server, attempts=1, blocker=blocker)
    if server.sqlstate == INSUFFICIENT_PRIVILEGE:
        mend = "grant it to the migrating role, or set MIGRATOR_ROLE"
        return AccessDeniedError(server, mend=mend, place=place)
    if server.sqlstate == READ_ONLY_TRANSACTION:
        return read_only(server, conn) or StatementFailedError(place, server)
    if server.sqlstate == QUERY_CANCELED and timed_out:
        return StatementTimeoutError(place, server)
    from migrator.pg.remedies import remedy_of  # noqa: PLC0415 - rare

    return _failed(place, server, remedy_of(server, statement, place))


def discreet(server: ServerMessage, source: str) -> ServerMessage:
    """Return *server*'s words without the passwords that *source* gives away."""
    pattern = _mask(source)
    if pattern is None:
        return server
    fields = server._asdict().items()
    return ServerMessage(**{n: v and pattern.sub(MASK, v) for n, v in fields})


@lru_cache(maxsize=1)
def _mask(source: str) -> re.Pattern[str] | None:
    """Return what finds the passwords of *source*: it may send many notices."""
    found = passwords(source)
    return masking(found) if found else None


def _failed(place: Place, server: ServerMessage, remedy: str) -> StatementFailedError:
    state = server.sqlstate or ""
    known = (mend for start, mend in _ROOM.items() if state.startswith(start))
    mend = next(known, None)
    if mend is None:
        return StatementFailedError(place, server, mend=remedy)
    return OutOfResourcesError(place, server, mend=mend)


_ROOM = {
    "53100": "free space on the server's disk or enlarge it",
    "53200": "give the server more memory (for locks: max_locks_per_transaction), or"
    " let a file do less",
    "53": "raise the limit that the server names, or let the statement do less",
    "58": "see to the server's disk; its log says more",
}


def read_only(
    server: ServerMessage, conn: psycopg.Connection | None
) -> MigratorError | None:
    """
    Return what it means that *conn* may only read; None when its own words say so.

    Both parameters are told without being asked for (protocol-flow, "Asynchronous
    Operations"); a pooler may keep them to itself.
    """
    told = conn.info.parameter_status if conn is not None else _nothing
    if told("in_hot_standby") != "off":
        return ReadOnlyServerError(server)
    if told("default_transaction_read_only") != "on":
        return None
    return AccessDeniedError(server, mend=_WRITABLE)


def _nothing(name: str) -> None:
    """Tell nothing about *name*."""


_WRITABLE = (
    "default_transaction_read_only is on for the role, the database or the server, as"
    " some platforms do when a disk is nearly full: take it back with RESET, or"
    " set it in the URL (?default_transaction_read_only=off)"
)


def session_is_gone(error: psycopg.Error) -> bool:
    """
    Tell whether the session died with the statement.

    57P01 to 57P05 come from a server that ends the session; a client-side
    OperationalError has no SQLSTATE. Class 08 does not tell: dblink and postgres_fdw
    raise it about connections of their own.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith("57P")


def _pointed(place: Place, statement: Statement, error: psycopg.Error) -> Place:
    """Return *place*, moved to the character that the server points at."""
    position = error.diag.statement_position
    if position is None:
        return place
    line, column = statement.locate(int(position))
    return place._replace(line=line, column=column)

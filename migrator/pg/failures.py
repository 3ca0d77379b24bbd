"""What a failed statement means: the server's error, in the operator's terms."""

import psycopg

from migrator.errors import (
    AccessDeniedError,
    ConnectionLostError,
    ContentionError,
    MigratorError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.facts import Place
from migrator.model import Statement
from migrator.pg.connect import server_message


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
    *,
    timed_out: bool,
    blocker: str | None = None,
) -> MigratorError:
    """
    Return what *error* of *statement*, which begins at *place*, means.

    *timed_out* says that our own statement_timeout had passed by then: the server
    gives a timeout and somebody's `pg_cancel_backend` the same SQLSTATE. *blocker* was
    last seen in its way.
    """
    server = server_message(error)
    place = _pointed(place, statement, error)
    if session_is_gone(error):
        return ConnectionLostError(server, doing=f"running {place}", place=place)
    if server.sqlstate in CONTENTION:
        return ContentionError(place, server, attempts=1, blocker=blocker)
    if server.sqlstate == INSUFFICIENT_PRIVILEGE:
        mend = "grant it to the migrating role, or set MIGRATOR_ROLE"
        return AccessDeniedError(server, mend=mend, place=place)
    if server.sqlstate == READ_ONLY_TRANSACTION:
        return ReadOnlyServerError(server)
    if server.sqlstate == QUERY_CANCELED and timed_out:
        return StatementTimeoutError(place, server)
    return StatementFailedError(place, server)


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

"""What goes wrong with tables of our own, as errors that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from migrator.errors import (
    AccessDeniedError,
    BadTableError,
    BookkeepingError,
    BusyTableError,
    ConnectionLostError,
    MigratorError,
    MissingSchemaError,
)
from migrator.errors.base import words
from migrator.pg.connection.connect import server_message
from migrator.pg.errors.translate import (
    READ_ONLY_TRANSACTION,
    is_contention,
    read_only,
    session_is_gone,
    unfit,
)


_NOT_GOOSES = frozenset(
    # no such column, function, cast, kind of relation, type, value; the name itself
    ("42703", "42883", "42846", "42809", "42804", "22P02", "42602", "22023")
)
_NO_SCHEMA = "3F000"
_UNFIT = frozenset(
    # a value too large, missing, generated, or refused by a constraint or a trigger
    ("22003", "23502", "428C9", "23503", "23505", "23514", "23P01", "P0001")
)


@contextmanager
def explaining(name: str, conn: psycopg.Connection) -> Iterator[None]:
    """Turn the server's errors on *conn* about the tracking table *name* into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise _explained(name, error, conn) from error


def _explained(
    name: str, error: psycopg.Error, conn: psycopg.Connection
) -> MigratorError:
    server = server_message(error)
    if server.sqlstate == "42501":
        return AccessDeniedError(server, mend=_grant(name))
    if server.sqlstate == _NO_SCHEMA:
        return MissingSchemaError(name, reason=words(server), setting="MIGRATOR_TABLE")
    if server.sqlstate in _NOT_GOOSES:
        return BadTableError(name, reason=words(server))
    if server.sqlstate in _UNFIT:
        return BadTableError(name, reason=words(server), mend=unfit(server, name))
    return trouble(error, doing=f"reading or writing {name}", conn=conn)


def _grant(name: str) -> str:
    return (
        f"grant the role USAGE on the schema and SELECT on {name} to look;"
        " to migrate also INSERT and DELETE,"
        " and CREATE on the schema where the table does not exist yet"
    )


@contextmanager
def troubled(doing: str) -> Iterator[None]:
    """Turn the server's errors while *doing* what is no migration's own into ours."""
    try:
        yield
    except psycopg.Error as error:
        raise trouble(error, doing=doing) from error


def trouble(
    error: psycopg.Error, *, doing: str, conn: psycopg.Connection | None = None
) -> MigratorError:
    """Return what *error* means, met while *doing* what is no migration's own."""
    server = server_message(error, conn)
    if server.sqlstate == READ_ONLY_TRANSACTION:
        return read_only(server, conn) or BookkeepingError(server, doing=doing)
    if session_is_gone(error):
        return ConnectionLostError(server, doing=doing)
    if is_contention(server):
        return BusyTableError(server, doing=doing)
    return BookkeepingError(server, doing=doing)

"""Translates errors of queries on the tracking and history tables."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from migrator.errors import (
    AccessDeniedError,
    ConnectionLostError,
    InvalidTrackingTableError,
    MigratorError,
    MissingSchemaError,
    TrackingTableError,
    TrackingTableLockedError,
)
from migrator.errors.base import server_text
from migrator.pg.connection.connect import server_message
from migrator.pg.errors.sqlstates import (
    INSUFFICIENT_PRIVILEGE,
    READ_ONLY_TRANSACTION,
    is_contention,
    is_session_gone,
    read_only_error,
    tracking_table_advice,
)


_WRONG_COLUMNS = frozenset(
    # undefined column or function, no cast, another kind of relation, wrong type or
    # value, invalid name (errcodes.txt)
    ("42703", "42883", "42846", "42809", "42804", "22P02", "42602", "22023")
)
_NO_SCHEMA = "3F000"
_ROW_REFUSED = frozenset(
    # a value too large, missing, generated, or refused by a constraint or a trigger's
    # RAISE (errcodes.txt)
    ("22003", "23502", "428C9", "23503", "23505", "23514", "23P01", "P0001")
)


@contextmanager
def translate_table_errors(name: str, conn: psycopg.Connection) -> Iterator[None]:
    """Translate errors on *conn* about the tracking table *name*."""
    try:
        yield
    except psycopg.Error as error:
        raise _translate(name, error, conn) from error


def _translate(
    name: str, error: psycopg.Error, conn: psycopg.Connection
) -> MigratorError:
    server = server_message(error)
    if server.sqlstate == INSUFFICIENT_PRIVILEGE:
        return AccessDeniedError(server, remedy=_grant(name))
    if server.sqlstate == _NO_SCHEMA:
        return MissingSchemaError(
            name, reason=server_text(server), setting="MIGRATOR_TABLE"
        )
    if server.sqlstate in _WRONG_COLUMNS:
        return InvalidTrackingTableError(name, reason=server_text(server))
    if server.sqlstate in _ROW_REFUSED:
        return InvalidTrackingTableError(
            name, reason=server_text(server), remedy=tracking_table_advice(server, name)
        )
    return translate_own_error(error, doing=f"reading or writing {name}", conn=conn)


def _grant(name: str) -> str:
    return (
        f"grant the role USAGE on the schema and SELECT on {name} to read it;"
        " to migrate also INSERT and DELETE,"
        " and CREATE on the schema where the table does not exist yet"
    )


@contextmanager
def translate_errors(doing: str) -> Iterator[None]:
    """Translate errors of own queries; *doing* describes them."""
    try:
        yield
    except psycopg.Error as error:
        raise translate_own_error(error, doing=doing) from error


def translate_own_error(
    error: psycopg.Error, *, doing: str, conn: psycopg.Connection | None = None
) -> MigratorError:
    """Return the translation of *error* of an own query; *doing* describes it."""
    server = server_message(error, conn)
    if server.sqlstate == READ_ONLY_TRANSACTION:
        return read_only_error(server, conn) or TrackingTableError(server, doing=doing)
    if is_session_gone(error):
        return ConnectionLostError(server, doing=doing)
    if is_contention(server):
        return TrackingTableLockedError(server, doing=doing)
    return TrackingTableError(server, doing=doing)

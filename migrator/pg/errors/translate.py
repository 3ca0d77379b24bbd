"""Translates psycopg's errors of statements into migrator's."""

import re
from contextlib import suppress
from functools import lru_cache

import psycopg

from migrator.domain.facts import AT_COMMIT, RECORDING, TRACKING, Place, ServerMessage
from migrator.domain.model import Statement
from migrator.errors import (
    AccessDeniedError,
    ConnectionLostError,
    ContentionError,
    MigratorError,
    NotAppliedError,
    NotRecordedError,
    OutOfResourcesError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.pg.connection.connect import server_message
from migrator.sql.secrets import MASK, find_passwords, mask_pattern


LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK_DETECTED = "40P01"
SERIALIZATION_FAILURE = "40001"
INSUFFICIENT_PRIVILEGE = "42501"
QUERY_CANCELED = "57014"
READ_ONLY_TRANSACTION = "25006"

CONTENTION = frozenset({LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, SERIALIZATION_FAILURE})


def translate(
    error: psycopg.Error,
    place: Place,
    statement: Statement,
    conn: psycopg.Connection,
    *,
    timed_out: bool,
    source: str = "",
    blocker: str | None = None,
    table: str = "",
) -> MigratorError:
    """
    Return the translation of *error* of *statement*, run on *conn* at *place*.

    *timed_out* says that our own statement_timeout had passed by then: the server
    gives a timeout and somebody's `pg_cancel_backend` the same SQLSTATE. *source* is
    what else has passwords that the server may repeat. *blocker* was
    last seen in its way. *table* is the tracking table, as SQL names it: it may be what
    refuses the version's row.
    """
    server = mask_server_message(server_message(error, conn), source or statement.text)
    place = _exact_place(place, statement, error)
    if is_session_gone(error):
        return ConnectionLostError(server, doing=f"running {place}", place=place)
    if is_contention(server):
        return ContentionError(place, server, attempts=1, blocker=blocker)
    if server.sqlstate == INSUFFICIENT_PRIVILEGE:
        return AccessDeniedError(server, remedy=_grant(place, table), place=place)
    if server.sqlstate == READ_ONLY_TRANSACTION:
        return read_only_error(server, conn, place) or _statement_failed(
            place, server, table
        )
    if server.sqlstate == QUERY_CANCELED and timed_out:
        return StatementTimeoutError(place, server)
    from migrator.pg.errors.remedies import find_remedy  # noqa: PLC0415 - rare

    return _statement_failed(
        place, server, table, find_remedy(server, statement, place)
    )


def is_contention(server: ServerMessage) -> bool:
    """
    Tell whether *server* is a conflict with another session, worth a retry.

    Two sessions that write the same row of a system catalog do not wait in turn
    (PostgreSQL's heapam.c: simple_heap_update, whose words are not translated), and two
    that create the same object meet in a catalog's unique index.
    """
    if server.sqlstate == "XX000":
        return server.message.startswith("tuple concurrently ")
    if server.sqlstate == "23505":
        return server.schema == "pg_catalog"
    return server.sqlstate in CONTENTION


def _grant(place: Place, table: str) -> str:
    if place.phase not in _OUR_ROWS:
        return "grant the missing privilege to the migrating role, or set MIGRATOR_ROLE"
    return (
        f"grant the migrating role SELECT, INSERT and DELETE on {table}, and SELECT,"
        " INSERT and UPDATE on migrator_history, or remove from the file what takes"
        " them away (REVOKE, SET ROLE)"
    )


def mask_server_message(server: ServerMessage, source: str) -> ServerMessage:
    """Return *server*'s words without the passwords that *source* gives away."""
    pattern = _mask(source)
    if pattern is None:
        return server
    fields = server._asdict().items()
    return ServerMessage(**{n: v and pattern.sub(MASK, v) for n, v in fields})


@lru_cache(maxsize=1)
def _mask(source: str) -> re.Pattern[str] | None:
    """Return what finds the passwords of *source*: it may send many notices."""
    found = find_passwords(source)
    return mask_pattern(found) if found else None


def _statement_failed(
    place: Place, server: ServerMessage, table: str, remedy: str = ""
) -> NotAppliedError:
    state = server.sqlstate or ""
    make_room = next((r for start, r in _ROOM.items() if state.startswith(start)), None)
    if make_room is not None:
        return OutOfResourcesError(place, server, remedy=make_room)
    if place.phase in _OUR_ROWS:
        return _not_recorded(place, server, table)
    if place.phase == AT_COMMIT:
        return StatementFailedError(place, server, remedy=remedy or _DEFERRED)
    return StatementFailedError(place, server, remedy=remedy)


def _not_recorded(place: Place, server: ServerMessage, table: str) -> NotAppliedError:
    """Return the error of a version's row, or of its progress, that was refused."""
    state = server.sqlstate or ""
    if state in _BY_THE_FILE:
        return StatementFailedError(place, server, remedy=_BY_THE_FILE[state])
    return NotRecordedError(place, server, remedy=tracking_table_advice(server, table))


def tracking_table_advice(server: ServerMessage, table: str) -> str:
    """Return what to do about *table*, whose row *server* has refused."""
    remedy = _UNFIT.get(server.sqlstate or "", _UNFIT_ANYHOW)
    return remedy.format(table=table)


_OUR_ROWS = (RECORDING, TRACKING)
_DEFERRED = "fix the data or the file, then re-run"
_GONE = (
    "the file, or another session since this run began, dropped or renamed what it"
    " names: remove that from the file, or restore it, then re-run"
)
_BY_THE_FILE = {
    "22P05": "the file's name has a character that the encoding of the database lacks:"
    " rename the file, then re-run",
    "3F000": _GONE,
    "42P01": _GONE,
    READ_ONLY_TRANSACTION: "the file makes the transaction read-only (SET TRANSACTION,"
    " default_transaction_read_only): remove that from the file, then re-run",
    QUERY_CANCELED: "another session cancelled it, or a statement_timeout that the file"
    " sets: remove that from the file, then re-run",
}
_UNFIT = {
    "22003": "the column version_id is too small for the version: ALTER TABLE {table}"
    " ALTER COLUMN version_id TYPE bigint, then re-run",
}
_UNFIT_ANYHOW = (
    "{table} and migrator_history beside it must take the rows of goose and of"
    " migrator: remove the column, constraint, index or trigger that was added, also"
    " where a file adds it, then re-run"
)


_ROOM = {
    "53100": "free space on the server's disk or enlarge it",
    "53200": "give the server more memory (for locks: max_locks_per_transaction), or"
    " let a file do less",
    "53": "raise the limit that the server names, or let the statement do less",
    "58": "check the server's disk and its log",
}


def read_only_error(
    server: ServerMessage,
    conn: psycopg.Connection | None,
    place: Place | None = None,
) -> MigratorError | None:
    """
    Return what it means that *conn* may only read; None when its own words say so.

    The server reports both parameters unasked (protocol-flow, "Asynchronous
    Operations"); a pooler may keep them to itself.
    """
    parameter = conn.info.parameter_status if conn is not None else _no_parameter
    if parameter("in_hot_standby") != "off":
        return ReadOnlyServerError(server)
    if parameter("default_transaction_read_only") != "on":
        return None
    return AccessDeniedError(server, remedy=_WRITABLE, place=place)


def without_file_settings(
    error: AccessDeniedError, conn: psycopg.Connection
) -> MigratorError:
    """
    Return what *error* means once *conn* has the settings that it began with.

    A file without a transaction may have made its session read-only itself. RESET needs
    no snapshot, and its answer brings the parameter's value (protocol-flow).
    """
    server, place = error.server, error.place
    if server.sqlstate != READ_ONLY_TRANSACTION or place is None or conn.closed:
        return error
    with suppress(psycopg.Error):
        conn.execute("RESET default_transaction_read_only")
    if read_only_error(server, conn) is not None:
        return error
    return StatementFailedError(
        place, server, remedy=_BY_THE_FILE[READ_ONLY_TRANSACTION]
    )


def _no_parameter(name: str) -> None:
    """Return None for every *name*: there is no connection."""


_WRITABLE = (
    "default_transaction_read_only is on for the role, the database or the server, as"
    " some platforms do when a disk is nearly full: undo it with RESET, or"
    " override it in the URL (?default_transaction_read_only=off)"
)


def is_session_gone(error: psycopg.Error) -> bool:
    """
    Tell whether the session died with the statement.

    57P01 to 57P05 come from a server that ends the session; a client-side
    OperationalError has no SQLSTATE. Class 08 does not tell: dblink and postgres_fdw
    raise it about connections of their own.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith("57P")


def _exact_place(place: Place, statement: Statement, error: psycopg.Error) -> Place:
    """Return *place*, moved to the character that the server points at."""
    if place.phase:
        return place
    from migrator.pg.errors.position import error_position  # noqa: PLC0415 - rare

    position = error_position(statement.text, error.diag)
    if position is None:
        return place
    line, column = statement.locate(position)
    return place._replace(line=line, column=column)

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
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.pg.connection.connect import server_message
from migrator.pg.errors.position import error_position
from migrator.pg.errors.remedies import find_remedy
from migrator.pg.errors.sqlstates import (
    INSUFFICIENT_PRIVILEGE,
    QUERY_CANCELED,
    READ_ONLY_TRANSACTION,
    is_contention,
    is_session_gone,
    read_only_error,
    tracking_table_advice,
)
from migrator.sql.secrets import MASK, find_passwords, mask_pattern


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

    *timed_out* says that MIGRATOR_STATEMENT_TIMEOUT had passed: a timeout has the same
    SQLSTATE as `pg_cancel_backend`. *source* is the text whose passwords are masked, by
    default the statement's. *blocker* is the session that last blocked the statement.
    *table* is the tracking table as SQL names it, for errors of the version's row.
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
    remedy = find_remedy(server, statement, place)
    return _statement_failed(place, server, table, remedy)


def _grant(place: Place, table: str) -> str:
    if place.phase not in _OUR_ROWS:
        return "grant the missing privilege to the migrating role, or set MIGRATOR_ROLE"
    return (
        f"grant the migrating role SELECT, INSERT and DELETE on {table}, and SELECT,"
        " INSERT and UPDATE on migrator_history, or remove from the file what takes"
        " them away (REVOKE, SET ROLE)"
    )


def mask_server_message(server: ServerMessage, source: str) -> ServerMessage:
    """Return *server* with the passwords of statements in *source* masked."""
    pattern = _password_pattern(source)
    if pattern is None:
        return server
    fields = server._asdict().items()
    return ServerMessage(**{n: v and pattern.sub(MASK, v) for n, v in fields})


@lru_cache(maxsize=1)  # one statement may send many notices
def _password_pattern(source: str) -> re.Pattern[str] | None:
    passwords = find_passwords(source)
    return mask_pattern(passwords) if passwords else None


def _statement_failed(
    place: Place, server: ServerMessage, table: str, remedy: str = ""
) -> NotAppliedError:
    sqlstate = server.sqlstate or ""
    for prefix, resource_remedy in _RESOURCE_REMEDIES.items():
        if sqlstate.startswith(prefix):
            return OutOfResourcesError(place, server, remedy=resource_remedy)
    if place.phase in _OUR_ROWS:
        return _not_recorded(place, server, table)
    if place.phase == AT_COMMIT:
        return StatementFailedError(place, server, remedy=remedy or _DEFERRED)
    return StatementFailedError(place, server, remedy=remedy)


def _not_recorded(place: Place, server: ServerMessage, table: str) -> NotAppliedError:
    """Return the error of a refused row of the tracking or history table."""
    remedy = _FILE_REMEDIES.get(server.sqlstate or "")
    if remedy is not None:
        return StatementFailedError(place, server, remedy=remedy)
    return NotRecordedError(place, server, remedy=tracking_table_advice(server, table))


_OUR_ROWS = (RECORDING, TRACKING)
_DEFERRED = "fix the data or the file, then re-run"
_GONE = (
    "the file, or another session since this run began, dropped or renamed what it"
    " names: remove that from the file, or restore it, then re-run"
)
_FILE_REMEDIES = {
    "22P05": "the file's name has a character that the encoding of the database lacks:"
    " rename the file, then re-run",
    "3F000": _GONE,
    "42P01": _GONE,
    READ_ONLY_TRANSACTION: "the file makes the transaction read-only (SET TRANSACTION,"
    " default_transaction_read_only): remove that from the file, then re-run",
    QUERY_CANCELED: "another session cancelled it, or a statement_timeout that the file"
    " sets: remove that from the file, then re-run",
}
_RESOURCE_REMEDIES = {
    "53100": "free space on the server's disk or enlarge it",
    "53200": "give the server more memory (for locks: max_locks_per_transaction), or"
    " let a file do less",
    "53": "raise the limit that the server names, or let the statement do less",
    "58": "check the server's disk and its log",
}


def without_file_settings(
    error: AccessDeniedError, conn: psycopg.Connection
) -> MigratorError:
    """
    Return *error*, or one that blames the file if its settings made *conn* read-only.

    A NO TRANSACTION file may set default_transaction_read_only. After a RESET, which
    needs no snapshot, the server reports the value that the connection began with.
    """
    server, place = error.server, error.place
    if server.sqlstate != READ_ONLY_TRANSACTION or place is None or conn.closed:
        return error
    with suppress(psycopg.Error):
        conn.execute("RESET default_transaction_read_only")
    if read_only_error(server, conn) is not None:
        return error
    return StatementFailedError(
        place, server, remedy=_FILE_REMEDIES[READ_ONLY_TRANSACTION]
    )


def _exact_place(place: Place, statement: Statement, error: psycopg.Error) -> Place:
    """Return *place*, moved to the position that *error* reports."""
    if place.phase:
        return place
    position = error_position(statement.text, error.diag)
    if position is None:
        return place
    line, column = statement.locate(position)
    return place._replace(line=line, column=column)

"""What a server error means by its SQLSTATE, for statements and own queries."""

import psycopg

from migrator.domain.facts import Place, ServerMessage
from migrator.errors import AccessDeniedError, MigratorError, ReadOnlyServerError


SERIALIZATION_FAILURE = "40001"
INSUFFICIENT_PRIVILEGE = "42501"
QUERY_CANCELED = "57014"
READ_ONLY_TRANSACTION = "25006"

_CONTENTION = frozenset({"55P03", "40P01", SERIALIZATION_FAILURE})
"""lock_not_available, deadlock_detected and serialization_failure (errcodes.txt)."""


def is_contention(server: ServerMessage) -> bool:
    """
    Tell whether *server* reports a conflict with another session, worth a retry.

    Of two sessions that update the same row of a system catalog one fails (heapam.c:
    simple_heap_update, whose messages are not translated), and of two that create the
    same object one violates a unique index of a catalog.
    """
    if server.sqlstate == "XX000":
        return server.message.startswith("tuple concurrently ")
    if server.sqlstate == "23505":
        return server.schema == "pg_catalog"
    return server.sqlstate in _CONTENTION


def is_session_gone(error: psycopg.Error) -> bool:
    """
    Tell whether the session ended with the statement.

    A server that ends the session reports 57P01 to 57P05; an OperationalError of libpq
    has no SQLSTATE. Class 08 is no sign: dblink and postgres_fdw raise it about their
    own connections.
    """
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith("57P")


def read_only_error(
    server: ServerMessage,
    conn: psycopg.Connection | None,
    place: Place | None = None,
) -> MigratorError | None:
    """
    Return the error of a read-only *conn*; None if *server*'s own message says enough.

    The server reports both parameters without being asked (PostgreSQL's documentation,
    "Asynchronous Operations"); a pooler may not pass them on.
    """

    def parameter(name: str) -> str | None:
        return conn.info.parameter_status(name) if conn is not None else None

    if parameter("in_hot_standby") != "off":
        return ReadOnlyServerError(server)
    if parameter("default_transaction_read_only") != "on":
        return None
    return AccessDeniedError(server, remedy=_WRITABLE, place=place)


_WRITABLE = (
    "default_transaction_read_only is on for the role, the database or the server, as"
    " some platforms do when a disk is nearly full: undo it with RESET, or"
    " override it in the URL (?default_transaction_read_only=off)"
)


def tracking_table_advice(server: ServerMessage, table: str) -> str:
    """Return what to do about *table* after *server* refused to write a row of it."""
    too_small = server.sqlstate == "22003"
    return (_ENLARGE_VERSION_ID if too_small else _REMOVE_ADDITIONS).format(table=table)


_ENLARGE_VERSION_ID = (
    "the column version_id is too small for the version: ALTER TABLE {table}"
    " ALTER COLUMN version_id TYPE bigint, then re-run"
)
_REMOVE_ADDITIONS = (
    "{table} and migrator_history beside it must take the rows of goose and of"
    " migrator: remove the column, constraint, index or trigger that was added, also"
    " where a file adds it, then re-run"
)

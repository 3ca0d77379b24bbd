"""
Migrator's own queries, isolated from settings of files and objects of other roles.

The database is shared with roles that are not trusted. A function or an operator in any
schema of the search path is preferred to PostgreSQL's own one when its argument types
fit better (CVE-2018-1058), so own queries run under
`search_path = pg_catalog, pg_temp`. With `row_security = off` the server raises an
error instead of hiding rows. Role and session authorization are those of the
connection, and the encoding is UTF-8.

Names that depend on the file's search path are resolved before that, by calls that are
qualified themselves and hold no operator.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.pg.connection.pooler import (
    Link,
    in_settings,
    is_pooled,
    transaction_settings,
    with_settings,
)
from migrator.pg.connection.session import Answers, query_first_rows


SEARCH_PATH = "pg_catalog, pg_temp"
"""pg_temp is named to be last: otherwise it is searched first for tables."""

OWN = sql.SQL(f"SET LOCAL search_path = {SEARCH_PATH}; SET LOCAL row_security = off")
"""Begins an own message on a session that runs no migrations."""

OWN_STATEMENTS = 2
"""The number of statements in OWN, each of which has an answer."""

# A new session authorization resets the role, so the role comes after it
_SETTINGS = (
    "session_authorization",
    "role",
    "search_path",
    "row_security",
    "client_encoding",
)
_SET = "pg_catalog.set_config('{0}', {{{0}}}, true)"
_KEEP = (
    "pg_catalog.set_config('migrator.file_{0}',"
    " pg_catalog.current_setting('{0}'), true)"
)
_RESTORE = (
    "pg_catalog.set_config('{0}',"
    " pg_catalog.current_setting('migrator.file_{0}'), true)"
)
_OWN = ", ".join(map(_SET.format, _SETTINGS))
_KEPT = ", ".join(map(_KEEP.format, _SETTINGS))
RESTORE = sql.SQL("SELECT " + ", ".join(map(_RESTORE.format, _SETTINGS)))
"""Restores the settings that `own_settings_inside` saved, within a transaction."""


def own_message(query: sql.Composable) -> sql.Composed:
    """Return *query* as an own message, for a session that runs no migrations."""
    return sql.SQL("; ").join([OWN, query])


def own_settings(conn: psycopg.Connection) -> sql.Composed:
    """Return the SQL that applies the own settings to the rest of a transaction."""
    return sql.SQL("SELECT " + _OWN).format(**_values(conn))


def own_settings_inside(conn: psycopg.Connection) -> sql.Composed:
    """Return the same for a file's transaction; RESTORE restores its settings."""
    return sql.SQL(f"SELECT {_KEPT}, {_OWN}").format(**_values(conn))


def query_own(
    conn: psycopg.Connection,
    query: sql.Composable,
    resolve: Sequence[sql.Composable] = (),
) -> Answers:
    """
    Send *query* under the own settings; return the first row of each statement.

    In an open transaction the settings are restored afterwards. The statements of
    *resolve* come first, under the settings of the session, to resolve names.

    Raises:
        psycopg.Error: One of the statements failed; all are rolled back.
    """
    if conn.info.transaction_status is TransactionStatus.INTRANS:
        return _query_inside(conn, query, resolve)
    if conn.info.encoding != "utf-8":  # a file has set another one for the session
        with in_settings(conn), conn.transaction():
            return _query_inside(conn, query, resolve)
    message = sql.SQL("; ").join([*resolve, own_settings(conn), query]).as_bytes(conn)
    return query_first_rows(conn, with_settings(conn, message))[
        is_pooled(conn) + len(resolve) + 1 :
    ]


def _query_inside(
    conn: psycopg.Connection, query: sql.Composable, resolve: Sequence[sql.Composable]
) -> Answers:
    settings: list[sql.Composable] = [*resolve, own_settings_inside(conn)]
    if conn.info.encoding != "utf-8":
        # the server converts a whole message by the encoding at its arrival
        query_first_rows(conn, sql.SQL("; ").join(settings))
        settings = []
    message = sql.SQL("; ").join([*settings, query, RESTORE])
    return query_first_rows(conn, message)[len(settings) : -1]


def _values(conn: psycopg.Connection) -> dict[str, sql.Composable]:
    """Return the own value of each setting; NULL resets it to the session default."""
    settings = transaction_settings(conn)
    if settings is None:
        settings = conn.startup_settings if isinstance(conn, Link) else {}
    return {
        "session_authorization": sql.SQL("NULL"),
        "role": sql.Literal(settings.get("role")),
        "search_path": sql.Literal(SEARCH_PATH),
        "row_security": sql.Literal("off"),
        "client_encoding": sql.Literal("UTF8"),
    }

"""
Migrator's own queries, isolated from settings of files and objects of other roles.

The database is shared with roles that are not trusted. A function or an operator in any
schema of the search path can win over PostgreSQL's own one when its argument types fit
better (CVE-2018-1058), so what we send runs under `search_path = pg_catalog, pg_temp`.
With `row_security = off` the server raises an error instead of hiding rows. Role and
session authorization are those of the connection, and names travel as UTF-8.

Names that depend on the file's search path are resolved before that, by calls that are
qualified themselves and hold no operator.
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.pg.connection.pooler import Link, in_settings, is_pooled, with_settings
from migrator.pg.connection.session import Answers, query_first_rows


SEARCH_PATH = "pg_catalog, pg_temp"
"""pg_temp is named so that it comes last: else it is searched first for tables."""

OWN = sql.SQL(f"SET LOCAL search_path = {SEARCH_PATH}; SET LOCAL row_security = off")
"""What comes before our own statements in a message on a session that no file uses."""

OWN_STATEMENTS = 2
"""How many statements OWN has, each of which has an answer."""

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
    """Return *query* as an own message, for a session that no file uses."""
    return sql.SQL("; ").join([OWN, query])


def own_settings(conn: psycopg.Connection) -> sql.Composed:
    """Return the SQL that applies the own settings to the rest of a transaction."""
    return sql.SQL("SELECT " + _OWN).format(**_values(conn))


def own_settings_inside(conn: psycopg.Connection) -> sql.Composed:
    """Return the same for a transaction of a file, to which RESTORE gives it back."""
    return sql.SQL(f"SELECT {_KEPT}, {_OWN}").format(**_values(conn))


def query_own(
    conn: psycopg.Connection,
    query: sql.Composable,
    resolve: Sequence[sql.Composable] = (),
) -> Answers:
    """
    Send *query* under the own settings; return the first row of each statement.

    In a transaction that is open it leaves the settings as they were. The statements
    of *resolve* come first, under the settings of the session: they look up names.

    Raises:
        psycopg.Error: One of the statements has failed; then all of them are undone.
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
    before: list[sql.Composable] = [*resolve, own_settings_inside(conn)]
    if conn.info.encoding != "utf-8":
        # a message is read in the encoding that holds when it arrives
        query_first_rows(conn, sql.SQL("; ").join(before))
        before = []
    return query_first_rows(conn, sql.SQL("; ").join([*before, query, RESTORE]))[
        len(before) : -1
    ]


def _values(conn: psycopg.Connection) -> dict[str, sql.Composable]:
    """Return what each setting becomes; NULL is what the connection began with."""
    link = conn if isinstance(conn, Link) else None
    known = (
        (
            link.startup_settings
            if link.transaction_settings is None
            else link.transaction_settings
        )
        if link
        else {}
    )
    return {
        "session_authorization": sql.SQL("NULL"),
        "role": sql.Literal(known.get("role")),
        "search_path": sql.Literal(SEARCH_PATH),
        "row_security": sql.Literal("off"),
        "client_encoding": sql.Literal("UTF8"),
    }

"""
Sets up, resets and verifies the settings of a session.

The settings are sent in the start-up packet, where they become the session's defaults,
which `RESET ALL` restores (PostgreSQL's guc.c: ResetAllOptions). A custom parameter
shows whether the packet reached the server, or a pooler or proxy dropped it; missing
settings are then applied by a query.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.model import SessionState
from migrator.pg.connection.dsn import LIVENESS_SETTINGS
from migrator.pg.connection.pooler import (
    Link,
    is_pooled,
    reported_settings,
    set_config_calls,
)
from migrator.pg.connection.server_product import check_product


MARKER = "migrator.startup"
"""A custom parameter: `on` if the server has received the start-up packet's options."""

ANSWERED_BY_OWN = sql.SQL("pg_catalog.current_setting('migrator.own')::pg_catalog.bool")
"""For a query after `_FACTS`: whether its session is the connection's own."""

# Runs under the session's own search path, so every name is qualified
_FACTS = """
SELECT pg_catalog.set_config('migrator.own',
        (pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {pid})::pg_catalog.text,
        true)::pg_catalog.bool,
    coalesce(pg_catalog.current_setting({marker}, true) OPERATOR(pg_catalog.=) 'on',
        false),
    coalesce(pg_catalog.current_setting('transaction_timeout', true), '0')
        OPERATOR(pg_catalog.=) '0',
    pg_catalog.version();
"""
_CLIENT_CHECK = {n: v for n, v in LIVENESS_SETTINGS.items() if n.startswith("client_")}
_TRANSACTION_TIMEOUT = {"transaction_timeout": "0"}
_TRANSACTION_TIMEOUT_SINCE = 170000

Row = tuple[Any, ...]
Answers = tuple[Row | None, ...]
"""The first row of each statement of a message."""

_NO_ANSWER = "the server sent an unexpected response"


class _Facts(NamedTuple):
    own: bool
    """Whether the session has the process id of the connection's key: no pooler."""

    has_settings: bool
    """Whether the server has received the start-up packet's options."""

    no_transaction_timeout: bool
    """Whether transaction_timeout is 0, as it counts as before PostgreSQL 17."""

    version: str
    """The result of `version()`."""


def open_session(
    conn: Link, settings: Mapping[str, str], query: sql.Composable
) -> Answers | None:
    """
    Apply *settings* to the session, and return the answers to *query*.

    One round trip if the start-up packet carried *settings*. None if the query ran
    under other settings or failed: the caller has to send it again.

    Raises:
        psycopg.Error: The connection was lost, or a setting is refused.
        UnsupportedServerError: The server is not PostgreSQL.
    """
    failed = False
    try:
        row, *answers = query_first_rows(conn, _facts_sql(conn) + query)
    except psycopg.Error:
        if conn.closed:
            raise
        row, *answers = query_first_rows(conn, _facts_sql(conn))
        failed = True
    facts = _read_facts(row)
    check_product(conn, facts.version)
    had_settings = _apply_settings(conn, settings, facts)
    return tuple(answers) if had_settings and not failed else None


def query_first_rows(
    conn: psycopg.Connection, query: sql.Composable | bytes
) -> Answers:
    """
    Send *query* as one message and return the first row of each of its statements.

    Raises:
        psycopg.Error: One of them failed; all are rolled back.
    """
    text = query if isinstance(query, bytes) else query.as_bytes(conn)
    rows: list[Row | None] = []
    with conn.cursor() as cursor:
        cursor.execute(text)
        while True:
            rows.append(cursor.fetchone() if cursor.description else None)
            if not cursor.nextset():
                return tuple(rows)


def query_with_facts(conn: psycopg.Connection, query: sql.Composable) -> Answers:
    """As `query_first_rows`; *query* may use ANSWERED_BY_OWN."""
    return query_first_rows(conn, _facts_sql(conn) + query)[1:]


def _facts_sql(conn: psycopg.Connection) -> sql.Composed:
    return sql.SQL(_FACTS).format(
        pid=sql.Literal(conn.info.backend_pid), marker=sql.Literal(MARKER)
    )


def _read_facts(row: Row | None) -> _Facts:
    if row is None or len(row) != len(_Facts._fields):
        raise psycopg.OperationalError(_NO_ANSWER)
    return _Facts(*row)


def _apply_settings(conn: Link, settings: Mapping[str, str], facts: _Facts) -> bool:
    """Apply missing settings; return whether the start-up packet sufficed."""
    settings = {**settings, **_transaction_timeout(conn)}
    if not facts.own:
        conn.reported_settings = reported_settings(conn)
        conn.transaction_settings = _check_settings(conn, settings)
        return False
    if not facts.has_settings:
        accepted = accepted_settings(conn, LIVENESS_SETTINGS)
        conn.startup_settings = {**accepted, **settings}
    elif not facts.no_transaction_timeout:
        conn.startup_settings = _TRANSACTION_TIMEOUT
    restore_settings(conn)
    return facts.has_settings


def _transaction_timeout(conn: psycopg.Connection) -> Mapping[str, str]:
    """Return the setting that disables it; none before PostgreSQL 17."""
    known = conn.info.server_version >= _TRANSACTION_TIMEOUT_SINCE
    return _TRANSACTION_TIMEOUT if known else {}


def _check_settings(conn: Link, settings: Mapping[str, str]) -> Mapping[str, str]:
    """
    Return the settings of each transaction behind a pooler.

    Of LIVENESS_SETTINGS only the client check: TCP ends at the pooler.

    Raises:
        psycopg.Error: The server refuses *settings*.
    """
    both = {**_CLIENT_CHECK, **settings}
    if _accepts(conn, both):
        return both
    _set_config(conn, settings, local=True)
    return settings


def accepted_settings(
    conn: psycopg.Connection, settings: Mapping[str, str]
) -> dict[str, str]:
    """Return those of *settings* that the server accepts; each is tried once."""
    return {n: v for n, v in settings.items() if _accepts(conn, {n: v})}


def _accepts(conn: psycopg.Connection, settings: Mapping[str, str]) -> bool:
    try:
        _set_config(conn, settings, local=True)
    except psycopg.Error:
        if conn.closed:
            raise
        return False
    return True


def _set_config(
    conn: psycopg.Connection, settings: Mapping[str, str], *, local: bool
) -> None:
    calls = set_config_calls(settings, sql.SQL("true" if local else "false"))
    conn.execute(sql.SQL("SELECT {}").format(calls))


def restore_settings(
    conn: psycopg.Connection, state: SessionState = SessionState.RESET
) -> None:
    """Apply the settings that the start-up packet did not carry; usually none."""
    settings = dict(conn.startup_settings) if isinstance(conn, Link) else {}
    if state is SessionState.KEEP:
        settings = {n: v for n, v in settings.items() if n not in _KEPT}
    if settings:
        _set_config(conn, settings, local=False)


RESET = ("RESET SESSION AUTHORIZATION", "RESET ALL", "RESET ROLE")
"""
Undoes what a file can set for the session (`SET`, `set_config`, `SET ROLE`), such as
pg_dump's empty search path. RESET ALL does not reset the role. None of the three takes
a snapshot, so a file may still set its isolation level.
"""

_KEPT = ("role", "search_path")
"""The settings of a run that its files may change with MIGRATOR_SESSION=keep."""

_ALWAYS_RESET = (
    "client_encoding",
    "standard_conforming_strings",
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    *LIVENESS_SETTINGS,
)
"""
The settings that are reset between files also with MIGRATOR_SESSION=keep: how the
server reads a file's text, and migrator's own limits. pg_dump sets most of them, and a
`lock_timeout` of 0 would let later files block the application.
"""


def reset_statements(conn: psycopg.Connection, state: SessionState) -> tuple[str, ...]:
    """Return the statements that reset the session between two migrations."""
    if state is SessionState.RESET:
        return RESET
    names = (*_ALWAYS_RESET, *_transaction_timeout(conn))
    return tuple(f"RESET {name}" for name in names)


def reset_session(conn: psycopg.Connection, state: SessionState) -> None:
    """
    Reset the session of *conn* between two migrations.

    One round trip; none behind a pooler, where each transaction does it
    (`migrator.pg.connection.pooler`).
    """
    if not is_pooled(conn):
        conn.execute("; ".join(reset_statements(conn, state)).encode())
        restore_settings(conn, state)


def supports_pipeline(conn: psycopg.Connection) -> bool:
    """Tell whether RESET alone restores the settings of *conn*."""
    return (
        isinstance(conn, Link)
        and conn.transaction_settings is None
        and not conn.startup_settings
    )

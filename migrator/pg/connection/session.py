"""
Sets up, resets and verifies the settings of a session.

The settings are sent in the start-up packet, where they become the session's defaults,
which `RESET ALL` restores (PostgreSQL's guc.c: ResetAllOptions). A custom parameter
shows whether the packet reached the server, or a pooler or proxy dropped it; missing
settings are then applied by a query.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.model import SessionState
from migrator.events.base import Observer
from migrator.pg.connection.dsn import COURTESIES, Dsn
from migrator.pg.connection.pooler import (
    Link,
    is_pooled,
    reported_settings,
    set_config_calls,
)
from migrator.pg.connection.server_product import check_product


SENTINEL = "migrator.settled"
ANSWERED_BY_OWN = sql.SQL("pg_catalog.current_setting('migrator.own')::pg_catalog.bool")
"""For a question: whether the session that answers is the connection's own."""

# asked under whatever search path the session has: nothing in it is looked up there
_FACTS = """
SELECT pg_catalog.set_config('migrator.own',
        (pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {pid})::pg_catalog.text,
        true)::pg_catalog.bool,
    coalesce(pg_catalog.current_setting({sentinel}, true) OPERATOR(pg_catalog.=) 'on',
        false),
    coalesce(pg_catalog.current_setting('transaction_timeout', true), '0')
        OPERATOR(pg_catalog.=) '0',
    pg_catalog.version();
"""
_CHECKING = {n: v for n, v in COURTESIES.items() if n.startswith("client_")}
_TRANSACTION_TIMEOUT = {"transaction_timeout": "0"}
_ITS_FIRST_VERSION = 170000

Row = tuple[Any, ...]
Answers = tuple[Row | None, ...]
"""The first row of each statement that was asked."""
_NO_ANSWER = "what the server says is no answer to what it was asked"


class _Facts(NamedTuple):
    own: bool
    """Whether the session is the one that the connection was given: no pooler."""

    has_settings: bool
    without_options: bool
    """Whether no transaction_timeout is inherited; unknown before PostgreSQL 17."""

    version: str
    """What `version()` says."""


def open_session(
    conn: Link, settings: Mapping[str, str], question: sql.Composable
) -> Answers | None:
    """
    Settle the session for *settings*, and return the answers to *question*.

    One round trip where the start-up packet has brought *settings*. None where the
    question was answered under other settings, or has failed: ask it again.

    Raises:
        psycopg.Error: The connection was lost, or a setting is refused.
        UnsupportedServerError: The server is not PostgreSQL.
    """
    failed = False
    try:
        facts, *answers = query_first_rows(conn, _facts(conn) + question)
    except psycopg.Error:
        if conn.closed:
            raise
        facts, answers, failed = query_first_rows(conn, _facts(conn))[0], [], True
    known = _read(facts)
    check_product(conn, known.version)
    settled = _apply_settings(conn, settings, known)
    return tuple(answers) if settled and not failed else None


def query_first_rows(
    conn: psycopg.Connection, query: sql.Composable | bytes
) -> Answers:
    """
    Send *query* as one message and return the first row of each of its statements.

    Raises:
        psycopg.Error: One of them has failed; then all of them are undone.
    """
    text = query if isinstance(query, bytes) else query.as_bytes(conn)
    rows: list[Row | None] = []
    with conn.cursor() as cursor:
        cursor.execute(text)
        while True:
            rows.append(cursor.fetchone() if cursor.description else None)
            if not cursor.nextset():
                return tuple(rows)


def query_as_caller(conn: psycopg.Connection, question: sql.Composable) -> Answers:
    """As `query_first_rows`; *question* may use ANSWERED_BY_OWN."""
    return query_first_rows(conn, _facts(conn) + question)[1:]


def _facts(conn: psycopg.Connection) -> sql.Composed:
    return sql.SQL(_FACTS).format(
        pid=sql.Literal(conn.info.backend_pid), sentinel=sql.Literal(SENTINEL)
    )


def _read(row: Row | None) -> _Facts:
    if row is None or len(row) != len(_Facts._fields):
        raise psycopg.OperationalError(_NO_ANSWER)
    return _Facts(*row)


def _apply_settings(conn: Link, settings: Mapping[str, str], facts: _Facts) -> bool:
    """Apply missing settings; return whether the start-up packet sufficed."""
    known = conn.info.server_version >= _ITS_FIRST_VERSION
    wanted = {**settings, **(_TRANSACTION_TIMEOUT if known else {})}
    if not facts.own:
        # the other ones are about the network, which is the pooler's here
        conn.reported_settings = reported_settings(conn)
        conn.transaction_settings = _check_settings(conn, wanted)
        return False
    if not facts.has_settings:
        conn.startup_settings = {**accepted_settings(conn, COURTESIES), **wanted}
    elif not facts.without_options:
        conn.startup_settings = _TRANSACTION_TIMEOUT
    restore_settings(conn)
    return facts.has_settings


def _check_settings(conn: Link, wanted: Mapping[str, str]) -> Mapping[str, str]:
    """Return the settings of each transaction; raise if the server refuses *wanted*."""
    both = {**_CHECKING, **wanted}
    if _accepts(conn, both):
        return both
    conn.execute(sql.SQL("SELECT {}").format(set_config_calls(wanted, sql.SQL("true"))))
    return wanted


def accepted_settings(
    conn: psycopg.Connection, settings: Mapping[str, str]
) -> dict[str, str]:
    """Return those of *settings* that the server accepts; each is tried once."""
    return {n: v for n, v in settings.items() if _accepts(conn, {n: v})}


def _accepts(conn: psycopg.Connection, settings: Mapping[str, str]) -> bool:
    try:
        conn.execute(
            sql.SQL("SELECT {}").format(set_config_calls(settings, sql.SQL("true")))
        )
    except psycopg.Error:
        if conn.closed:
            raise
        return False
    return True


def restore_settings(
    conn: psycopg.Connection, state: SessionState = SessionState.RESET
) -> None:
    """Apply the settings that the start-up packet did not carry; usually none."""
    lacking = dict(conn.startup_settings) if isinstance(conn, Link) else {}
    if state is SessionState.KEEP:
        lacking = {n: v for n, v in lacking.items() if n not in _OF_THE_FILES}
    if lacking:
        local = sql.SQL("false")
        conn.execute(sql.SQL("SELECT {}").format(set_config_calls(lacking, local)))


RESET = ("RESET SESSION AUTHORIZATION", "RESET ALL", "RESET ROLE")
"""
What undoes all that a file can set for the session (`SET`, `set_config`, `SET ROLE`):
pg_dump empties the search path, for one. RESET ALL leaves the role alone. None of the
three takes a snapshot, so a file may still set its isolation level.
"""


_OF_THE_FILES = ("role", "search_path")
"""What is set for a run, and belongs to its files where they keep the session."""

_ALWAYS_RESET = (
    "client_encoding",
    "standard_conforming_strings",
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    *COURTESIES,
)
"""
What is reset between files also with MIGRATOR_SESSION=keep: how a file's text is read,
which was decided before the run, and migrator's own limits. pg_dump writes most of
them, and a `lock_timeout` of 0 would let later files hold up the application.
"""


def reset_statements(conn: psycopg.Connection, state: SessionState) -> tuple[str, ...]:
    """Return the statements that come between two migrations on *conn*."""
    if state is SessionState.RESET:
        return RESET
    known = conn.info.server_version >= _ITS_FIRST_VERSION
    names = (*_ALWAYS_RESET, *(_TRANSACTION_TIMEOUT if known else ()))
    return tuple(f"RESET {name}" for name in names)


def reset_session(conn: psycopg.Connection, state: SessionState) -> None:
    """
    Reset the session of *conn* between two migrations.

    One round trip; none behind a pooler, where the transactions do it
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


_HINT = "set sslmode=verify-full and sslrootcert in the database URL"


def warn_of_unverified_tls(dsn: Dsn, observe: Observer, *, own_password: bool) -> None:
    """Warn, before connecting, if a password is sent to an unverified server."""
    sslmode = unverified_sslmode(dsn, own_password=own_password)
    if sslmode is not None:
        from migrator.events.run import TlsUnverified  # noqa: PLC0415 - rare

        observe(TlsUnverified(sslmode=sslmode, hint=_HINT))


def unverified_sslmode(dsn: Dsn, *, own_password: bool) -> str | None:
    """
    Return the `sslmode` if a password is sent to an unverified server, else None.

    None without a password, when every host is a Unix socket or a loopback address, and
    when libpq verifies the server: `verify-ca`, `verify-full`, `require` with a root
    certificate (which is `verify-ca`), or `channel_binding=require`, under which the
    server has to know the password. *own_password* says that a setting names one; the
    others, `PGPASSFILE` included, are those that libpq finds.
    """
    parameters, found_password = dsn.effective()
    sslmode = parameters.get("sslmode", "")
    if not (own_password or found_password) or _verifies(sslmode, parameters):
        return None
    return None if all(map(_is_local, _hosts(parameters))) else sslmode


def _verifies(sslmode: str, parameters: Mapping[str, str]) -> bool:
    if parameters.get("channel_binding") == "require":
        return True
    # fe-secure-openssl.c: initialize_SSL verifies whenever there is such a file, and
    # libpq-ssl.html says so of `require`; the weaker modes go on without TLS
    root = parameters.get("sslrootcert") or Path("~/.postgresql/root.crt").expanduser()
    found = sslmode == "require" and Path(root).exists()
    return found or sslmode.startswith("verify-")


def _hosts(parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield each host's address, where one is given, else its name."""
    names = parameters.get("host", "").split(",")
    addresses = parameters.get("hostaddr", "").split(",")
    many = max(len(names), len(addresses))
    for part in range(many):
        address = addresses[part] if part < len(addresses) else ""
        yield address or (names[part] if part < len(names) else "")


def _is_local(host: str) -> bool:
    # for libpq no host is its socket, `/` the folder of one, `@` an abstract one
    if not host or host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False

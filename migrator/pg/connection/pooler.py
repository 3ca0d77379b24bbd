"""
Detects a connection pooler and adapts to transaction pooling.

PgBouncer with `pool_mode = transaction` assigns each transaction any free server
session. Session settings are then lost to the client and leak to other clients of the
pool, and a session-level lock has no owner. So behind a pooler each transaction sets
its own settings and leaves the session clean.

A pooler is detected by the process id of the session's key (BackendKeyData), which is
not that of the server process: the pooler generates it, to find the client that a
cancel request is for (PgBouncer src/proto.c: welcome_client; src/objects.c:
accept_cancel_request). That is also so in session mode, where the settings of each
transaction are unnecessary, and with one server session for all clients, where
comparing sessions would detect nothing.
"""

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.waiting import Ready, Wait

from migrator.domain.model import SessionState, Step
from migrator.errors import UsageError
from migrator.events.base import Observer
from migrator.events.database import SessionSettingsNotApplied
from migrator.pg.connection.error_verbosity import connect_verbosely
from migrator.pg.connection.memory_limit import UnusableServerError, limit_memory


_CLIENT_PARAMETERS = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "standard_conforming_strings",
    "TimeZone",
)
"""The parameters that PgBouncer keeps for each client (src/varcache.c: lookup)."""

_TRANSACTION_PARAMETERS = (
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
)
"""They end with the transaction, and cannot be reset in it (PostgreSQL's guc.c)."""

_CLEAN = (
    "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION;"
    " SET LOCAL search_path = pg_catalog, pg_temp;"
    " SELECT set_config(name, reset_val, false) FROM pg_settings"
    " WHERE source = 'session'"
    " AND name <> ALL"
    f" ('{{{','.join((*_CLIENT_PARAMETERS, *_TRANSACTION_PARAMETERS))}}}')"
)
"""
Resets what a file set for the session, such as pg_dump's empty search path, except for
what PgBouncer itself keeps for each client. Deferred constraints are checked first,
under the file's settings, as at COMMIT.
"""


_NEEDS_SESSION = (
    "{}: a NO TRANSACTION migration cannot be given role and search_path through a"
    " pooler, which keeps no session for it: connect to the server itself, or give the"
    " login role these defaults with ALTER ROLE and unset MIGRATOR_ROLE,"
    " MIGRATOR_SEARCH_PATH and the URL's search_path"
)


_KEEP_NEEDS_SESSION = (
    "MIGRATOR_SESSION=keep needs a session of its own, and a pooler keeps none between"
    " two transactions: connect to the server itself, or unset it"
)


T = TypeVar("T")


class Link(psycopg.Connection):
    """A connection with migrator's own state: settings, limits, and why it was lost."""

    transaction_settings: Mapping[str, str] | None = None
    """The settings of each transaction behind a pooler; None without a pooler."""

    reported_settings: Mapping[str, str] = MappingProxyType({})
    """The parameters that a pooler keeps for its client, before any file ran."""

    startup_settings: Mapping[str, str] = MappingProxyType({})
    """The session settings that the start-up packet did not carry."""

    without_options: bool = False
    """Whether the start-up packet had no `options`, because a pooler refuses them."""

    loss_reason: str = ""
    """Why migrator shut it down; empty if it did not."""

    has_memory_limit: bool = True
    """Whether answers are limited: those to a migration's statements are not."""

    limit_s: float = math.inf
    """The time limit of a limited answer."""

    @classmethod
    def _connect_gen(
        cls, conninfo: str = "", *, timeout: float = 0.0
    ) -> Generator[tuple[int, Wait], Ready | int, Self]:
        """Connect as psycopg does; the text of an error has the SQLSTATE."""
        # a private method of psycopg, which passes `timeout` before 3.3; without this
        # override errors would have no SQLSTATE
        return cls((yield from connect_verbosely(conninfo, timeout)))

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """
        Wait as psycopg does.

        Raises:
            psycopg.Error: Also if the answer exceeds the memory or time limit; the
                connection is closed.
        """
        if not self.has_memory_limit:
            return super().wait(gen, *args, **options)
        try:
            return super().wait(limit_memory(gen, self.limit_s), *args, **options)
        except UnusableServerError as error:
            self.loss_reason = str(error)
            self.close()
            raise

    @property
    def failed(self) -> bool:
        """Whether the connection ended without a Terminate message of the client."""
        return bool(self.loss_reason) or self.broken


@contextmanager
def without_memory_limit(conn: psycopg.Connection) -> Iterator[None]:
    """Disable the memory limit within the block."""
    if not isinstance(conn, Link):
        yield
        return
    conn.has_memory_limit = False
    try:
        yield
    finally:
        conn.has_memory_limit = True


def transaction_settings(conn: psycopg.Connection) -> Mapping[str, str] | None:
    """Return the settings of each transaction on *conn*; None without a pooler."""
    return conn.transaction_settings if isinstance(conn, Link) else None


def is_pooled(conn: psycopg.Connection) -> bool:
    """Tell whether the connection goes through a pooler."""
    return transaction_settings(conn) is not None


def with_settings(conn: psycopg.Connection, query: bytes) -> bytes:
    """
    Return *query* with the settings before it, for one simple-protocol message.

    Such a message is one transaction (PostgreSQL's documentation, "Multiple Statements
    in a Simple Query"). Without a pooler nothing is added.
    """
    if not isinstance(conn, Link) or conn.transaction_settings is None:
        return query
    settings = {**conn.reported_settings, **conn.transaction_settings}
    calls = set_config_calls(settings, sql.SQL("true"))
    return sql.SQL("SELECT {}; ").format(calls).as_bytes(conn) + query


def reported_settings(conn: psycopg.Connection) -> dict[str, str]:
    """Return the current values of the parameters that PgBouncer keeps for a client."""
    values = {name: conn.info.parameter_status(name) for name in _CLIENT_PARAMETERS}
    return {name: value for name, value in values.items() if value is not None}


def begin(conn: psycopg.Connection, command: str = "BEGIN") -> bytes:
    """Return the message that begins a transaction and applies the settings."""
    return f"{command}; ".encode() + with_settings(conn, b"")


def commit(conn: psycopg.Connection) -> bytes:
    """Return the message that commits and, behind a pooler, resets the session."""
    return _CLEAN.encode() + b"; COMMIT" if is_pooled(conn) else b"COMMIT"


@contextmanager
def in_settings(conn: psycopg.Connection) -> Iterator[None]:
    """
    Run the block under the settings; behind a pooler in a transaction.

    A transaction that is open already has them.
    """
    idle = conn.info.transaction_status is TransactionStatus.IDLE
    if not is_pooled(conn) or not idle:
        yield
        return
    with conn.transaction():
        conn.execute(with_settings(conn, b""))
        yield


def warn_of_settings(
    conn: psycopg.Connection,
    plan: Sequence[Step],
    observe: Observer,
    state: SessionState,
) -> None:
    """
    Report the settings that the NO TRANSACTION files of *plan* lack behind a pooler.

    Raises:
        UsageError: Role or search path are among them, or *state* is KEEP.
    """
    if plan and is_pooled(conn) and state is SessionState.KEEP:
        raise UsageError(_KEEP_NEEDS_SESSION)
    names = tuple(sorted(transaction_settings(conn) or ()))
    migrations = [step.migration for step in plan if not step.migration.transaction]
    if not names or not migrations:
        return
    if not {"role", "search_path"}.isdisjoint(names):
        raise UsageError(_NEEDS_SESSION.format(migrations[0].path))
    for each in migrations:
        observe(
            SessionSettingsNotApplied(
                version=each.version, path=each.path, settings=names
            )
        )


def set_config_calls(
    settings: Mapping[str, str], local: sql.Composable
) -> sql.Composed:
    """Return calls that apply *settings*; if *local* is true, for the transaction."""
    call = sql.SQL("pg_catalog.set_config({}, {}, {})")
    return sql.SQL(", ").join(
        call.format(sql.Literal(name), sql.Literal(value), local)
        for name, value in settings.items()
    )

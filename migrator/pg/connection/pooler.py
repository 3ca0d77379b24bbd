"""
Detects a connection pooler and adapts to transaction pooling.

PgBouncer with `pool_mode = transaction` assigns each transaction any free server
session. Session settings are then lost to the client and leak to other clients of the
pool, and a session-level lock has no owner. So behind a pooler each transaction sets
its own settings and leaves the session clean.

Whether there is one tells the process id of the session's key (BackendKeyData): a
pooler makes it up, for it has to know itself whose statement a cancel request means
(PgBouncer src/proto.c: welcome_client; src/objects.c: accept_cancel_request). That
holds in session mode too, where all this costs a little and is not needed, and with one
server session for all clients, where comparing sessions would show nothing.
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
from migrator.pg.connection.error_verbosity import connect_verbosely
from migrator.pg.connection.memory_limit import UnusableServerError, limit_memory


_KEPT_APART = (
    "application_name",
    "client_encoding",
    "DateStyle",
    "IntervalStyle",
    "standard_conforming_strings",
    "TimeZone",
)
"""PgBouncer src/varcache.c: lookup."""

_OF_THE_TRANSACTION = (
    "transaction_deferrable",
    "transaction_isolation",
    "transaction_read_only",
)
"""They end with the transaction, and cannot be set back in it (PostgreSQL's guc.c)."""

_CLEAN = (
    "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION;"
    " SET LOCAL search_path = pg_catalog, pg_temp;"
    " SELECT set_config(name, reset_val, false) FROM pg_settings"
    " WHERE source = 'session'"
    f" AND name <> ALL ('{{{','.join((*_KEPT_APART, *_OF_THE_TRANSACTION))}}}')"
)
"""
Undoes what a file set for the session, such as pg_dump's empty search path, but for
what PgBouncer itself keeps apart for its clients. Deferred constraints come first:
they are checked under the file's settings, as at COMMIT.
"""


_NEEDS_SESSION = (
    "{}: a NO TRANSACTION migration has no role and search_path of ours through a"
    " pooler, which keeps no session for it: connect to the server itself, or give the"
    " login role these defaults with ALTER ROLE and leave MIGRATOR_ROLE,"
    " MIGRATOR_SEARCH_PATH and the URL's search_path out"
)


_NEEDS_ITS_OWN = (
    "MIGRATOR_SESSION=keep needs a session of its own, and a pooler keeps none between"
    " two transactions: connect to the server itself, or leave it out"
)


T = TypeVar("T")


class Link(psycopg.Connection):
    """A connection that knows whether its server session is its own."""

    transaction_settings: Mapping[str, str] | None = None
    """The settings of each transaction behind a pooler; None without a pooler."""

    reported_settings: Mapping[str, str] = MappingProxyType({})
    """What a pooler keeps for its client, as it was before any file changed it."""

    startup_settings: Mapping[str, str] = MappingProxyType({})
    """What the session keeps, and did not get with its start-up packet."""

    without_options: bool = False
    """Whether the start-up packet had to go without `options`."""

    loss_reason: str = ""
    """Why we have ended it ourselves, where its server does not answer on it."""

    has_memory_limit: bool = True
    """Whether answers have to be small: not those to a migration's own statements."""

    limit_s: float = math.inf
    """How long the server may take for such an answer."""

    @classmethod
    def _connect_gen(
        cls, conninfo: str = "", *, timeout: float = 0.0
    ) -> Generator[tuple[int, Wait], Ready | int, Self]:
        """Connect as psycopg does; an error has its SQLSTATE in its text."""
        # private to psycopg, which passes `timeout` before 3.3: without it, errors
        # would have words alone
        return cls((yield from connect_verbosely(conninfo, timeout)))

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """
        Wait as psycopg does.

        Raises:
            psycopg.Error: Also where the server sends more than fits, or is silent for
                longer than is allowed: it is closed.
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
    Return *query* with our settings before it, for one simple-protocol message.

    Such a message is one transaction, whatever is in it (PostgreSQL's "Multiple
    Statements in a Simple Query"). Without a pooler nothing is added.
    """
    found = transaction_settings(conn)
    if found is None:
        return query
    ours = set_config_calls({**_reported(conn), **found}, sql.SQL("true"))
    return sql.SQL("SELECT {}; ").format(ours).as_bytes(conn) + query


def _reported(conn: psycopg.Connection) -> Mapping[str, str]:
    return conn.reported_settings if isinstance(conn, Link) else {}


def reported_settings(conn: psycopg.Connection) -> dict[str, str]:
    """Return what PgBouncer keeps apart for each of its clients, as it is now."""
    found = {name: conn.info.parameter_status(name) for name in _KEPT_APART}
    return {name: value for name, value in found.items() if value is not None}


def query_with_settings(
    conn: psycopg.Connection, query: sql.Composable
) -> tuple[object, ...] | None:
    """Run *query* under our settings, in one message, and return its first row."""
    with conn.cursor() as cursor:
        cursor.execute(with_settings(conn, query.as_bytes(conn)))
        while cursor.nextset():
            pass
        return cursor.fetchone() if cursor.description else None


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

    One that is open already is one of ours, and has them.
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
    Say what does not hold behind a pooler for the NO TRANSACTION files of *plan*.

    Raises:
        UsageError: They would run as another role, or in another schema; or *state* is
            to be kept from file to file.
    """
    if plan and is_pooled(conn) and state is SessionState.KEEP:
        raise UsageError(_NEEDS_ITS_OWN)
    names = tuple(sorted(transaction_settings(conn) or ()))
    loose = [step.migration for step in plan if not step.migration.transaction]
    if not names or not loose:
        return
    if not {"role", "search_path"}.isdisjoint(names):
        raise UsageError(_NEEDS_SESSION.format(loose[0].path))
    from migrator.events.database import SessionSettingsNotApplied  # noqa: PLC0415 - rare

    for each in loose:
        observe(
            SessionSettingsNotApplied(
                version=each.version, path=each.path, settings=names
            )
        )


def set_config_calls(wanted: Mapping[str, str], local: sql.Composable) -> sql.Composed:
    """Return calls that set *wanted*; where *local* is true, for the transaction."""
    call = sql.SQL("pg_catalog.set_config({}, {}, {})")
    return sql.SQL(", ").join(
        call.format(sql.Literal(name), sql.Literal(value), local)
        for name, value in wanted.items()
    )

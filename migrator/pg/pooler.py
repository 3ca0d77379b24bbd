"""
A pooler between us and the server, noticed and lived with.

PgBouncer with `pool_mode = transaction` lends each transaction whatever server session
is free. What is set for a session is then lost to us and met by the pool's other
clients, and a session's lock belongs to nobody. So behind a pooler each transaction
brings its settings along, and leaves nothing behind.

Whether there is one tells the process id of the session's key (BackendKeyData): a
pooler makes it up, for it has to know itself whose statement a cancel request means
(PgBouncer src/proto.c: welcome_client; src/objects.c: accept_cancel_request). That
holds in session mode too, where all this costs a little and is not needed, and with one
server session for all clients, where comparing sessions would show nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.pq import Conninfo, TransactionStatus

from migrator.errors import UsageError
from migrator.events.base import Observer
from migrator.model import Step
from migrator.pg.dsn import Dsn


REFUSES_OPTIONS = "unsupported startup parameter"
"""PgBouncer src/client.c: set_startup_options, decide_startup_pool; Neon's too."""

_CLEAN = (
    "SET CONSTRAINTS ALL IMMEDIATE; RESET SESSION AUTHORIZATION;"
    " SELECT set_config(name, reset_val, false) FROM pg_settings"
    " WHERE source = 'session' AND lower(name) <> ALL"
    " ('{application_name,client_encoding,datestyle,intervalstyle,"
    "standard_conforming_strings,timezone}')"
)
"""
Undoes what a file set for the session, such as pg_dump's empty search path, but for
what PgBouncer itself keeps apart for its clients (src/varcache.c: lookup). Deferred
constraints come first: they are checked under the file's settings, as at COMMIT.
"""


_NEEDS_SESSION = (
    "{}: a NO TRANSACTION migration has no role and search_path of ours through a"
    " pooler, which keeps no session for it: connect to the server itself, or give the"
    " login role these defaults with ALTER ROLE and leave MIGRATOR_ROLE,"
    " MIGRATOR_SEARCH_PATH and the URL's search_path out"
)


class Link(psycopg.Connection):
    """A connection of ours, which knows whether its session is its own."""

    wanted: Mapping[str, str] | None = None
    """What each transaction sets for itself; None where the session keeps it."""


def wanted(conn: psycopg.Connection) -> Mapping[str, str] | None:
    """Return what each transaction on *conn* sets for itself; None without a pooler."""
    return conn.wanted if isinstance(conn, Link) else None


def pooled(conn: psycopg.Connection) -> bool:
    """Tell whether a pooler is between us and the server."""
    return wanted(conn) is not None


def introduce(conn: Link, wanted: Mapping[str, str]) -> None:
    """
    Set *wanted* for the session; behind a pooler, keep it for each transaction.

    One round trip, and never a setting that other clients of a pool would meet: what
    is set locally by a statement of its own is gone with the statement.
    """
    pid = sql.Literal(conn.info.backend_pid)
    same = sql.SQL("pg_backend_pid() = {}").format(pid)
    query = sql.SQL("SELECT {}, {}").format(
        same, calls(wanted, sql.SQL("NOT ({})").format(same))
    )
    if conn.execute(query).fetchone()[0] is not True:  # type: ignore[index] # one row
        conn.wanted = wanted


def setting(conn: psycopg.Connection, query: bytes) -> bytes:
    """
    Return *query* with our settings before it, for one simple-protocol message.

    Such a message is one transaction, whatever is in it (PostgreSQL's "Multiple
    Statements in a Simple Query"). Without a pooler nothing is added.
    """
    found = wanted(conn)
    if found is None:
        return query
    ours = sql.SQL("SELECT {}; ").format(calls(found, sql.SQL("true")))
    return ours.as_bytes(conn) + query


def answered(
    conn: psycopg.Connection, query: sql.Composable
) -> tuple[object, ...] | None:
    """Run *query* under our settings, in one message, and return its first row."""
    with conn.cursor() as cursor:
        cursor.execute(setting(conn, query.as_bytes(conn)))
        while cursor.nextset():
            pass
        return cursor.fetchone() if cursor.description else None


def begin(conn: psycopg.Connection) -> bytes:
    """Return what begins a transaction under our settings, in one message."""
    return b"BEGIN; " + setting(conn, b"")


def commit(conn: psycopg.Connection) -> bytes:
    """Return what commits, and behind a pooler leaves its server session clean."""
    return _CLEAN.encode() + b"; COMMIT" if pooled(conn) else b"COMMIT"


@contextmanager
def settled(conn: psycopg.Connection) -> Iterator[None]:
    """
    Run the block under our settings, which behind a pooler means in a transaction.

    One that is open already is one of ours, and has them.
    """
    idle = conn.info.transaction_status is TransactionStatus.IDLE
    if not pooled(conn) or not idle:
        yield
        return
    with conn.transaction():
        conn.execute(setting(conn, b""))
        yield


def warn_of_settings(
    conn: psycopg.Connection, plan: Iterable[Step], observe: Observer
) -> None:
    """
    Say what does not hold behind a pooler for the NO TRANSACTION files of *plan*.

    Raises:
        UsageError: They would run as another role, or in another schema.
    """
    names = tuple(sorted(wanted(conn) or ()))
    loose = [step.migration for step in plan if not step.migration.transaction]
    if not names or not loose:
        return
    if not {"role", "search_path"}.isdisjoint(names):
        raise UsageError(_NEEDS_SESSION.format(loose[0].path))
    from migrator.events.database import SettingsSkipped  # noqa: PLC0415 - rare

    for each in loose:
        observe(SettingsSkipped(version=each.version, path=each.path, settings=names))


def without_options(dsn: Dsn) -> tuple[Dsn, dict[str, str]]:
    """
    Return *dsn* without `options`, and what they set: a pooler may refuse them.

    Raises:
        UsageError: They do more than set run-time parameters.
    """
    told = dict(dsn.parameters)
    # an empty value keeps libpq from reading PGOPTIONS, which is among its defaults
    bare = Dsn(tuple({**told, "options": ""}.items()))
    return bare, dict(_parameters(told.get("options") or _default_options()))


def _parameters(options: str) -> Iterator[tuple[str, str]]:
    """Read `-c name=value`, `--name=value`: postgres.c, process_postgres_switches."""
    # pg_split_opts in postinit.c: a backslash takes the next character as it is
    words = re.sub(r"(^|\s)-c\s+", r"\1-c", options)
    for word in re.findall(r"(?:\\.|[^\s\\])+", words):
        name, equals, value = re.sub(r"\\(.)", r"\1", word[2:]).partition("=")
        if not equals or word[:2] not in {"-c", "--"}:
            raise UsageError(
                "the pooler refuses the connection's `options`: write each of them as"
                " `-c name=value`, or connect to the server itself"
            )
        yield name.replace("-", "_").lower(), value


def _default_options() -> str:
    found = (o.val for o in Conninfo.get_defaults() if o.keyword == b"options")
    return (next(found, None) or b"").decode()


def calls(wanted: Mapping[str, str], local: sql.Composable) -> sql.Composed:
    """Return calls that set *wanted*; where *local* is true, for the transaction."""
    call = sql.SQL("set_config({}, {}, {})")
    return sql.SQL(", ").join(
        call.format(sql.Literal(name), sql.Literal(value), local)
        for name, value in wanted.items()
    )

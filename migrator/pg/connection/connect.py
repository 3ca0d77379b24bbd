"""Opens one connection and classifies connection errors."""

import re
from collections.abc import Iterable
from typing import NamedTuple

import psycopg

from migrator.domain.facts import ServerMessage
from migrator.domain.model import SessionState
from migrator.errors import (
    AccessDeniedError,
    MigratorError,
    UnsupportedServerError,
    UsageError,
)
from migrator.errors.base import server_text
from migrator.pg.connection.dsn import Dsn
from migrator.pg.connection.error_verbosity import SQLSTATE, PasswordRefusedError
from migrator.pg.connection.memory_limit import AnswerTooLargeError
from migrator.pg.connection.pooler import Link
from migrator.pg.connection.startup_options import option_names


# libpq's messages before any server answers; psycopg's wheel has no translations
_TLS = re.compile(
    r"certificate|SSL error|does not support SSL|private key file|sslmode|sslrootcert",
    re.IGNORECASE,
)
# fe-connect.c: pqConnectOptions2, parseServiceInfo
_PARAMETER = re.compile(
    r"(?:^|.*failed: )(?:invalid .*value|invalid port|could not match|weak sslmode"
    r"|could not parse network address|invalid SSL protocol version|invalid SCRAM"
    r"|definition of service|service file|syntax error in service file"
    r"|.* not supported in service file)"
)
_UNUSABLE = (
    "the connection's parameters cannot be used: {}; check the URL, libpq's own"
    " variables and the service file"
)
_NO_NAME = "the host, or another part, is no text that can be used"
# The last two only if libpq's error has no SQLSTATE (`error_verbosity`)
_DENIED = re.compile(
    r"none was given|pg_hba\.conf|authentication failed|\" does not exist"
)
# fe-auth.c of libpq 16 to 18: check_expected_areq, and its errors of channel binding
_TOO_WEAK = re.compile(
    r"auth(entication)? method .*requirement|channel binding (is )?required"
)
_NO_USER = re.compile(r"local user with ID \d+ does not exist")


# 57P01 to 57P03 shutting down or starting, 53 too many connections, 08 connection, 55
# object not in prerequisite state, 25006 read-only (errcodes.txt)
_TRANSIENT = ("57P", "53", "08", "55", "25006", "XX000")


_NEW_IN_14 = "idle_session_timeout"
"""A parameter of every session that is new in PostgreSQL 14 (its release notes)."""


class Session(NamedTuple):
    """The settings of every session, overriding those of role and database."""

    lock_timeout_s: float = 5.0
    statement_timeout_s: float = 0.0
    role: str | None = None
    search_path: str | None = None
    state: SessionState = SessionState.RESET
    """Whether the session is reset between the files of a run."""

    @property
    def settings(self) -> dict[str, str]:
        """Return the run-time parameters, which PostgreSQL 14 and later know."""
        parameters = {
            "lock_timeout": _milliseconds(self.lock_timeout_s),
            "statement_timeout": _milliseconds(self.statement_timeout_s),
            "idle_in_transaction_session_timeout": "0",
            _NEW_IN_14: "0",
        }
        if self.search_path is not None:
            parameters["search_path"] = self.search_path
        if self.role is not None:
            parameters["role"] = self.role
        return parameters


def open_connection(dsn: Dsn, session: Session) -> Link:
    """
    Connect once, in autocommit and without prepared statements.

    Raises:
        ConnectFailedError: It did not work now, and may later.
        AccessDeniedError: Credentials, TLS, or no such database.
        UsageError: The server refuses a parameter of the DSN.
        AnswerTooLargeError: Its answer exceeds the memory limit.
    """
    try:
        return Link.connect(dsn.conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.ProgrammingError as error:
        raise UsageError(_UNUSABLE.format(error)) from error
    except UnicodeError as error:  # e.g. of the codec idna: a label of over 63 bytes
        raise UsageError(_UNUSABLE.format(_NO_NAME)) from error
    except AnswerTooLargeError:
        raise
    except psycopg.errors.ConnectionTimeout as error:
        raise ConnectFailedError(server_message(error)) from error
    except PasswordRefusedError as error:
        (cause,) = error.args
        raise translate_connect_error(_connect_message(cause), session, ()) from cause
    except psycopg.OperationalError as error:
        raise translate_connect_error(
            _connect_message(error), session, option_names(dsn)
        ) from error


class ConnectFailedError(MigratorError):
    """A connection attempt failed; a later one may succeed."""

    def __init__(self, server: ServerMessage) -> None:
        self.server = server
        super().__init__(server.message)

    @property
    def is_transient(self) -> bool:
        """Whether it is known to pass; else a proxy may have refused the options."""
        sqlstate = self.server.sqlstate
        return sqlstate is None or sqlstate.startswith(_TRANSIENT)


def server_message(
    error: psycopg.Error, conn: psycopg.Connection | None = None
) -> ServerMessage:
    """
    Return the server's error, or libpq's if no server answered.

    If migrator itself has shut *conn* down, return the reason.
    """
    if isinstance(conn, Link) and conn.loss_reason and error.sqlstate is None:
        return ServerMessage(sqlstate=None, message=conn.loss_reason)
    diag = error.diag
    return ServerMessage(
        sqlstate=error.sqlstate,
        message=diag.message_primary or _one_line(str(error)),
        detail=diag.message_detail,
        hint=diag.message_hint,
        context=diag.context,
        schema=diag.schema_name,
        table=diag.table_name,
        constraint=diag.constraint_name,
    )


def translate_connect_error(
    server: ServerMessage, session: Session, options: Iterable[str]
) -> MigratorError:
    """
    Return the error of a failed connection with the settings of *session*.

    *options* are the names of the other parameters that were sent. An unknown SQLSTATE
    counts as transient: if it is not, the next attempt reports it again.
    """
    sqlstate = server.sqlstate
    if sqlstate is None:
        return _translate_by_text(server)
    if sqlstate == "42501":
        return _privilege_error(server, session, options)
    if sqlstate == "42704" and _is_quoted(server, _NEW_IN_14):
        reason = f"it does not know {_NEW_IN_14!r}"
        return UnsupportedServerError("older than PostgreSQL 14", reason=reason)
    if sqlstate in _PARAMETER_SQLSTATES:
        return _parameter_error(server, session)
    remedy = _REMEDIES.get(sqlstate[:2])
    if remedy is not None:
        return AccessDeniedError(server, remedy=remedy)
    return ConnectFailedError(server)


_REMEDIES = {
    "28": "check user, password and pg_hba.conf",
    "3D": "create the database, or correct its name in the URL",
}
"""By the class of the SQLSTATE."""

_PARAMETER_SQLSTATES = frozenset(
    # an unknown parameter, an invalid value or name, not an option (postgres.c:
    # process_postgres_switches), not changeable in a session (guc.c)
    ("42704", "22023", "42602", "42601", "55P02")
)
_SETTINGS = {
    "search_path": "MIGRATOR_SEARCH_PATH",
    "lock_timeout": "MIGRATOR_LOCK_TIMEOUT",
    "statement_timeout": "MIGRATOR_STATEMENT_TIMEOUT",
}


def _privilege_error(
    server: ServerMessage, session: Session, options: Iterable[str]
) -> MigratorError:
    """Return the error of a missing privilege on a parameter, role or database."""
    if any(_is_quoted(server, name) for name in options):
        return _parameter_error(server, session)
    remedy = "grant CONNECT on the database to this role"
    names_role = session.role and _is_quoted(server, session.role)
    if names_role and "database" not in server.message:  # which may have the same name
        remedy = "grant that role to the login role, or correct MIGRATOR_ROLE"
    return AccessDeniedError(server, remedy=remedy)


def _parameter_error(server: ServerMessage, session: Session) -> UsageError:
    settings = {name: _SETTINGS[name] for name in _SETTINGS if name in session.settings}
    if session.role:
        settings = {session.role: "MIGRATOR_ROLE", **settings}
    for name, setting in settings.items():
        if _is_quoted(server, name):
            return UsageError(f"{setting}: {server_text(server)}; correct the setting")
    return UsageError(
        "the server refused a parameter of the connection:"
        f" {server_text(server)}; remove or"
        " correct it among the parameters of the URL, in PGOPTIONS or the service file"
    )


def _is_quoted(server: ServerMessage, word: str) -> bool:
    """Tell whether *server* has *word* in quotation marks of any language."""
    return bool(re.search(rf"[^\w\s]{re.escape(word)}[^\w\s]", server.message))


def _translate_by_text(server: ServerMessage) -> MigratorError:
    if _PARAMETER.match(server.message):
        return UsageError(_UNUSABLE.format(server.message))
    if _TOO_WEAK.search(server.message):
        remedy = "check require_auth and channel_binding, and the server's pg_hba.conf"
        return AccessDeniedError(server, remedy=remedy)
    if _TLS.search(server.message):
        remedy = "check sslmode, sslrootcert, sslcert and sslkey"
        return AccessDeniedError(server, remedy=remedy)
    if _NO_USER.search(server.message):
        return UsageError("no user: name one in the URL, or set PGUSER")
    if _DENIED.search(server.message):
        remedy = "check user, password and the database's name"
        return AccessDeniedError(server, remedy=remedy)
    return ConnectFailedError(server)


def _connect_message(error: psycopg.Error) -> ServerMessage:
    """Return the message of a failed connection, with its SQLSTATE if it has one."""
    text = str(error)
    match = SQLSTATE.search(text)
    if match is None:
        return server_message(error)
    message = _one_line(text) if _ALL_FAILURES in text else match[2].strip()
    return ServerMessage(sqlstate=match[1], message=message)


def _one_line(text: str) -> str:
    """Return libpq's message in one line, with one sentence for each host."""
    failures = text.partition(_ALL_FAILURES)[2] or text
    lines = (_PREFIX.sub("", line.strip()) for line in failures.splitlines())
    kept = (line for line in lines if line and not line.startswith(_OMITTED))
    texts = (
        _SEVERITY.sub("", line).replace(_NO_PASSWORD, _NONE_GIVEN) for line in kept
    )
    return "; ".join(dict.fromkeys(texts))


# psycopg's connection.py: connect, after several attempts
_ALL_FAILURES = "All failures were:\n"
_PREFIX = re.compile(
    r"(- host: .{0,300}, port: .{0,50}, hostaddr: .{0,50}: )?"
    r"(connection (failed|is bad): )?"
)
_SEVERITY = re.compile(r"(?<=failed: )[^:]+:  [0-9A-Z]{5}: ")
"""Severity and SQLSTATE, which `error_verbosity` adds."""

_OMITTED = ("Is the server running", "LOCATION: ")
_NO_PASSWORD = "fe_sendauth: no password supplied"  # noqa: S105 - libpq's words
_NONE_GIVEN = "the server asked for a password and none was given"


def _milliseconds(seconds: float) -> str:
    # 0 means no limit, so less than a millisecond is one millisecond
    return str(max(1, round(seconds * 1000)) if seconds else 0)

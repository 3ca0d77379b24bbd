"""Opens one connection and classifies connection errors."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from migrator.events.base import Observer
from migrator.pg.connection.error_verbosity import SQLSTATE, PasswordRefusedError
from migrator.pg.connection.memory_limit import AnswerTooLargeError
from migrator.pg.connection.pooler import Link
from migrator.pg.connection.startup_options import option_names


if TYPE_CHECKING:
    from collections.abc import Iterable

    from migrator.pg.connection.dsn import Dsn

# libpq's own words before any server answers; its wheel has no translations
_TLS = re.compile(
    r"certificate|SSL error|does not support SSL|private key file|sslmode|sslrootcert",
    re.IGNORECASE,
)
# fe-connect.c: pqConnectOptions2, parseServiceInfo
_OPTION = re.compile(
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
# the last two only where libpq cannot be asked for the SQLSTATE
_DENIED = re.compile(
    r"none was given|pg_hba\.conf|authentication failed|\" does not exist"
)
# fe-auth.c, of libpq 16 to 18: check_expected_areq, and what it says of channel binding
_TOO_WEAK = re.compile(
    r"auth(entication)? method .*requirement|channel binding (is )?required"
)
_NO_USER = re.compile(r"local user with ID \d+ does not exist")


# 57P01-57P03 shutting down or starting, 53 too many connections, 08 connection, 55
# "not in this state" and 25006 read-only come and go
_TRANSIENT = ("57P", "53", "08", "55", "25006", "XX000")


_NEW_IN_14 = "idle_session_timeout"
"""Set in every session: PostgreSQL's release notes 14 have it as new."""


class Session(NamedTuple):
    """The settings of every session, overriding those of role and database."""

    lock_timeout_s: float = 5.0
    statement_timeout_s: float = 0.0
    role: str | None = None
    search_path: str | None = None
    state: SessionState = SessionState.RESET
    """What one file leaves to the next one of the same run."""

    @property
    def settings(self) -> dict[str, str]:
        """Return the run-time parameters that every server of ours knows."""
        wanted = {
            "lock_timeout": _milliseconds(self.lock_timeout_s),
            "statement_timeout": _milliseconds(self.statement_timeout_s),
            "idle_in_transaction_session_timeout": "0",
            _NEW_IN_14: "0",
        }
        if self.search_path is not None:
            wanted["search_path"] = self.search_path
        if self.role is not None:
            wanted["role"] = self.role
        return wanted


def open_connection(dsn: Dsn, session: Session) -> Link:
    """
    Connect once, in autocommit and without prepared statements.

    Raises:
        ConnectFailedError: It did not work now, and may later.
        AccessDeniedError: Credentials, TLS, or no such database.
        UsageError: The server refuses a parameter of the DSN.
        AnswerTooLargeError: It sends more than can be an answer.
    """
    try:
        return Link.connect(dsn.conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.ProgrammingError as error:
        raise UsageError(_UNUSABLE.format(error)) from error
    except UnicodeError as error:  # of the codec idna, for one: its labels have limits
        raise UsageError(_UNUSABLE.format(_NO_NAME)) from error
    except AnswerTooLargeError:
        raise
    except psycopg.errors.ConnectionTimeout as error:
        raise ConnectFailedError(server_message(error)) from error
    except PasswordRefusedError as refused:
        (cause,) = refused.args
        raise translate_connect_error(_server_message_of(cause), session, ()) from cause
    except psycopg.OperationalError as error:
        raise translate_connect_error(
            _server_message_of(error), session, option_names(dsn)
        ) from error


class ConnectFailedError(MigratorError):
    """A connection attempt failed; a later one may succeed."""

    def __init__(self, server: ServerMessage) -> None:
        self.server = server
        super().__init__(server.message)

    @property
    def is_transient(self) -> bool:
        """Whether it is known to pass; else a proxy may refuse so what it is sent."""
        state = self.server.sqlstate
        return state is None or state.startswith(_TRANSIENT)


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
    Return the error for a connection to be set as *session* that failed.

    *options* are the parameters that are not only *session*'s. Whatever nobody knows
    may pass: who is asked again says the same again.
    """
    state = server.sqlstate
    if state is None:
        return _translate_by_text(server)
    if state == "42501":
        return _privilege_error(server, session, options)
    if state == "42704" and _is_quoted(server, _NEW_IN_14):
        reason = f"it does not know {_NEW_IN_14!r}"
        return UnsupportedServerError("older than PostgreSQL 14", reason=reason)
    if state in _ABOUT_PARAMETERS:
        return _parameter_error(server, session)
    remedy = next(
        (m for start, m in _REMEDIES.items() if state.startswith(start)), None
    )
    if remedy is not None:
        return AccessDeniedError(server, remedy=remedy)
    return ConnectFailedError(server)


_REMEDIES = {
    "28": "check user, password and pg_hba.conf",
    "3D": "create the database, or correct its name in the URL",
}
_ABOUT_PARAMETERS = frozenset(
    # unknown, an unfit value, no such name, no option at all (postgres.c:
    # process_postgres_switches), fixed for a session or for the server (guc.c)
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
    """Return what a missing privilege means: of a parameter, a role or the database."""
    if any(_is_quoted(server, name) for name in options):
        return _parameter_error(server, session)
    remedy = "grant CONNECT on the database to this role"
    if (
        session.role
        and _is_quoted(server, session.role)
        and not _is_about_database(server)
    ):
        remedy = "grant that role to the login role, or correct MIGRATOR_ROLE"
    return AccessDeniedError(server, remedy=remedy)


def _is_about_database(server: ServerMessage) -> bool:
    return "database" in server.message  # a role may have the same name


def _parameter_error(server: ServerMessage, session: Session) -> UsageError:
    ours = (name for name in _SETTINGS if name in session.settings)
    found = next((_SETTINGS[name] for name in ours if _is_quoted(server, name)), None)
    if session.role and _is_quoted(server, session.role):
        found = "MIGRATOR_ROLE"
    if found is not None:
        return UsageError(f"{found}: {server_text(server)}; correct the setting")
    return UsageError(
        "the server refused a parameter of the connection:"
        f" {server_text(server)}; remove or"
        " correct it among the parameters of the URL, in PGOPTIONS or the service file"
    )


def _is_quoted(server: ServerMessage, word: str) -> bool:
    """Tell whether *server* has *word* in quotes, which every language has its own."""
    return bool(re.search(rf"[^\w\s]{re.escape(word)}[^\w\s]", server.message))


def _translate_by_text(server: ServerMessage) -> MigratorError:
    if _OPTION.match(server.message):
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


def _server_message_of(error: psycopg.Error) -> ServerMessage:
    """Return what a server or libpq said of a connection, which `connecting` began."""
    found = SQLSTATE.search(str(error))
    if found is None:
        return server_message(error)
    said = str(error)
    words = _one_line(said) if _ALL_FAILURES in said else found[2].strip()
    return ServerMessage(sqlstate=found[1], message=words)


def _one_line(text: str) -> str:
    """Return libpq's words in one line; of several hosts each has its own sentence."""
    said = text.partition(_ALL_FAILURES)[2] or text
    lines = (_PREFIX.sub("", line.strip()) for line in said.splitlines())
    kept = (line for line in lines if line and not line.startswith(_LEFT_OUT))
    texts = (_STATE.sub("", line).replace(_NO_PASSWORD, _NONE_GIVEN) for line in kept)
    return "; ".join(dict.fromkeys(texts))


# psycopg's connection.py: connect, where there are several attempts
_ALL_FAILURES = "All failures were:\n"
_PREFIX = re.compile(
    r"(- host: .{0,300}, port: .{0,50}, hostaddr: .{0,50}: )?"
    r"(connection (failed|is bad): )?"
)
_STATE = re.compile(r"(?<=failed: )[^:]+:  [0-9A-Z]{5}: ")
"""Severity and SQLSTATE, of the verbosity that `connecting` asks for."""

_LEFT_OUT = ("Is the server running", "LOCATION: ")
_NO_PASSWORD = "fe_sendauth: no password supplied"  # noqa: S105 - libpq's words
_NONE_GIVEN = "the server asked for a password and none was given"


def _milliseconds(seconds: float) -> str:
    # 0 is no limit, so a part of a millisecond is a whole one
    return str(max(1, round(seconds * 1000)) if seconds else 0)


def warn_of_password_file(dsn: Dsn, observe: Observer) -> None:
    """Report, in libpq's words, why the password file of *dsn* is not read."""
    reason = _reason(dsn)
    if reason:
        from migrator.events.factories import setting_ignored  # noqa: PLC0415 - rare

        observe(setting_ignored("PGPASSFILE", reason=reason))


def _reason(dsn: Dsn) -> str:
    """Return what libpq prints; empty where it reads the file or needs none."""
    parameters = {**dsn.defaults, **dict(dsn.parameters)}
    if parameters.get("password"):
        return ""
    path = parameters.get("passfile") or "~/.pgpass"
    try:
        mode = Path(path).expanduser().stat().st_mode
    except (OSError, RuntimeError, ValueError):
        return ""
    # fe-connect.c: passwordFromFile
    if not stat.S_ISREG(mode):
        return f'password file "{path}" is not a plain file'
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        return _ACCESS.format(path)
    return ""


_ACCESS = (
    'password file "{}" has group or world access; permissions should be u=rw (0600)'
    " or less"
)

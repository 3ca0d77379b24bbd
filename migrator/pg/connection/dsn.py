"""
Parses the database URL: libpq's grammar, and what pgx adds to it.

goose reads DSNs with pgx, where an unknown parameter is a run-time parameter of the
session (`?search_path=app`), and `database=` means `dbname=`; libpq rejects both.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple
from urllib.parse import quote, unquote

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, ConninfoOption, PGconn

from migrator.domain.urls import check_ports
from migrator.errors import UsageError


_SCHEMES = ("postgres://", "postgresql://")
_PORTS = re.compile(r"[\d,]*")
# Parameters of pgx's own, which it does not send (conn.go: ParseConfigWithOptions,
# pgxpool/pool.go: ParseConfig)
_PGX_ONLY = re.compile(r"default_query_exec_mode|\w+_cache_capacity|pool_\w+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_$.-]*")
_NAME_PARAMETERS = frozenset(("role", "session_authorization", "search_path"))
"""Run-time parameters whose values may have an `@`, as role names in some clouds do."""

_OTHER_PARAMETERS = """
    bytea_output client_min_messages datestyle default_tablespace
    default_transaction_deferrable default_transaction_isolation
    default_transaction_read_only extra_float_digits intervalstyle
    idle_in_transaction_session_timeout idle_session_timeout jit lc_messages
    lock_timeout log_min_duration_statement log_min_messages log_statement
    maintenance_work_mem row_security standard_conforming_strings statement_timeout
    synchronous_commit temp_tablespaces timezone transaction_timeout work_mem
"""
_RUNTIME_PARAMETERS = _NAME_PARAMETERS.union(_OTHER_PARAMETERS.split())
"""Run-time parameters that may follow a password and are certainly not a part of it."""

_AMBIGUOUS = "it is not a DSN, or is ambiguous"
_CONNECT_TIMEOUT_S = 10
SILENCE_S = 20
"""How long a peer may not answer keepalive probes before it counts as dead."""

_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S = 10, 2
_KEEPALIVE_COUNT = (SILENCE_S - _KEEPALIVE_IDLE_S) // _KEEPALIVE_INTERVAL_S
_DEFAULTS: Mapping[str, str | int] = {
    "keepalives_idle": _KEEPALIVE_IDLE_S,
    "keepalives_interval": _KEEPALIVE_INTERVAL_S,
    "keepalives_count": _KEEPALIVE_COUNT,
    "tcp_user_timeout": SILENCE_S * 1000,
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "fallback_application_name": "migrator",
}
_ENCODING = {"client_encoding": "UTF8"}
"""
All messages are in UTF-8. In the start-up packet it overrides the setting of database,
role, PGCLIENTENCODING and URL, and is the value that RESET ALL restores.
"""

LIVENESS_SETTINGS: Mapping[str, str] = {
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": str(_KEEPALIVE_IDLE_S),
    "tcp_keepalives_interval": str(_KEEPALIVE_INTERVAL_S),
    "tcp_keepalives_count": str(_KEEPALIVE_COUNT),
    "tcp_user_timeout": str(SILENCE_S * 1000),
}
"""
Lets the server detect a lost client, and release its locks: a killed process within a
second, also during a statement, and a machine without network within SILENCE_S. A
parameter that the server's platform does not support is left out.
"""


class Dsn(NamedTuple):
    """One database and how to reach it; printing it shows no secret."""

    parameters: tuple[tuple[str, str], ...]

    @property
    def conninfo(self) -> str:
        """Return libpq's connection string, secrets included."""
        # with libpq's own values: psycopg ignores connect_timeout of a service file
        own = {n: v for n, v in self.defaults.items() if n in _DEFAULTS}
        values = {**_DEFAULTS, **own, **dict(self.parameters), **_ENCODING}
        return make_conninfo("", **values)

    @property
    def defaults(self) -> Mapping[str, str]:
        """
        Return libpq's values from environment variables, defaults and a service file.

        The variables include PGSERVICE. A service that the DSN names is read by libpq.
        """
        service = dict(self.parameters).get("service")
        if service is None:
            return _values(Conninfo.get_defaults())
        return _read_by_libpq(service=service, sslmode="refused")[0]

    def effective(self) -> tuple[Mapping[str, str], bool]:
        """
        Return all parameters that libpq would connect with, and if it has a password.

        Variables, defaults, a service and the password file are included.
        """
        values = {**dict(self.parameters), "target_session_attrs": "refused"}
        return _read_by_libpq(**values)

    def with_password(self, password: str) -> "Dsn":
        """Return the same database, with another password."""
        return Dsn(tuple({**dict(self.parameters), "password": password}.items()))

    def with_connect_timeout(self, seconds: float) -> "Dsn":
        """Return the same database, with a connect_timeout of *seconds* at most."""
        values = dict(self.parameters)
        own = values.get("connect_timeout") or str(_CONNECT_TIMEOUT_S)
        if not own.isdecimal():
            return self  # libpq reports it
        limit = max(2, int(seconds))  # libpq's fe-connect.c: 1 means 2, 0 no limit
        values["connect_timeout"] = str(min(int(own) or limit, limit))
        return self._replace(parameters=tuple(values.items()))

    @property
    def public(self) -> tuple[str, ...]:
        """Return the values that may be printed: user, database, host, port."""
        return tuple(value for name, value in self.parameters if name in _PUBLIC)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the values that must not be printed, without those that are public."""
        pairs = (*self.parameters, *self.defaults.items())
        hidden = (value for name, value in pairs if name in _secret_names())
        return tuple(value for value in hidden if value and value not in self.public)

    def __str__(self) -> str:
        values = dict(self.parameters)
        host = values.get("host") or values.get("hostaddr") or ""
        port = f":{values['port']}" if "port" in values else ""
        user = f"{values['user']}@" if "user" in values else ""
        return f"postgresql://{user}{host}{port}/{values.get('dbname', '')}"

    def __repr__(self) -> str:
        return f"Dsn({self})"


_PUBLIC = ("user", "dbname", "host", "port")


def parse_dsn(text: str) -> Dsn:
    """
    Parse *text*: a URL or keywords, in libpq's or pgx's grammar; '' means PG* alone.

    Raises:
        UsageError: It is neither; the message contains nothing of *text*.
    """
    url = _SCHEME.match(text)
    if url and url[0] not in _SCHEMES:
        raise UsageError(
            "the database URL must begin with postgresql:// (or postgres://)"
        )
    try:
        values = conninfo_to_dict(_from_url(text) if url else _from_keywords(text))
    except (ProgrammingError, ValueError):
        # libpq's error repeats the text, and a traceback would show it as the cause
        raise UsageError(_fault(text)) from None
    port = str(values.get("port", ""))
    if not _PORTS.fullmatch(port):
        # a password with an unencoded slash, which would be printed as the port
        raise UsageError(_fault(text))
    _check_ports(port, "the database URL")
    return Dsn(tuple((name, str(value)) for name, value in values.items()))


def _check_ports(text: str, source: str) -> None:
    try:
        check_ports(text)
    except ValueError as error:
        raise UsageError(f"{source}: {error}") from None


def from_environment(environ: Mapping[str, str]) -> Dsn | None:
    """
    Return the database that libpq's own variables name; None if they name none.

    libpq reads them itself when it connects; these values are for messages.

    Raises:
        UsageError: PGPORT is not a port.
    """
    names = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER")
    if not any(environ.get(name) for name in names):
        return None
    _check_ports(environ.get("PGPORT", ""), "PGPORT")
    values = {
        "host": environ.get("PGHOST"),
        "port": environ.get("PGPORT"),
        "dbname": environ.get("PGDATABASE"),
        "user": environ.get("PGUSER"),
    }
    return Dsn(tuple((name, value) for name, value in values.items() if value))


def _fault(text: str) -> str:
    if "://" in text:
        return (
            "the database URL cannot be read: write postgresql://user:password@host:5432"
            "/dbname, with special characters of the password percent-encoded"
            " (@ as %40, / as %2F, # as %23, ? as %3F, % as %25)"
        )
    return (
        "the database DSN cannot be read: write postgresql://user:password@host:5432"
        "/dbname or host=… dbname=… user=… password='…', the password in single quotes"
    )


def _from_url(text: str) -> str:
    """
    Return *text* as libpq's keywords; the authority ends at the first of `/?#`.

    The last `@` of the authority separates user and host, as in Go's url.Parse. An `@`
    after the authority is taken for a part of a password where it may be one.

    Raises:
        ValueError: It is not such a URL, or is ambiguous.
    """
    scheme, _, rest = text.partition("://")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index] # it matches ''
    path, _, query = rest[len(authority) :].partition("?")
    # libpq takes a fragment as text, pgx drops it; it may be a part of a password
    if "@" in path or "#" in rest:
        raise ValueError(_AMBIGUOUS)
    userinfo, at, host = authority.rpartition("@")
    libpq, options = _split_parameters(_query_pairs(query))
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in libpq.items())
    address = f"{userinfo.replace('@', '%40')}{at}{host}{path}"
    return make_conninfo(f"{scheme}://{address}?{pairs}", **_merge(libpq, options))


def _query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """Split a query as libpq's conninfo_uri_parse_params does: `+` is no blank."""
    previous = ""
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = unquote(name, errors="strict")
        _check_successor(previous, name)
        previous = name
        if not equals or ("@" in value and name not in _names() | _NAME_PARAMETERS):
            raise ValueError(_AMBIGUOUS)
        yield name, unquote(value, errors="strict")


def _from_keywords(text: str) -> str:
    if not text:
        return ""
    libpq, options = _split_parameters(_keyword_pairs(text))
    return make_conninfo("", **{**libpq, **_merge(libpq, options)})


def _keyword_pairs(text: str) -> Iterator[tuple[str, str]]:
    """Split `name = 'value'` pairs as libpq's conninfo_parse (fe-connect.c) does."""
    rest, previous = text.strip(), ""
    while rest:
        name, equals, rest = rest.partition("=")
        name, rest = name.strip(), rest.lstrip()
        if not equals:
            raise ValueError(_AMBIGUOUS)
        _check_successor(previous, name)
        previous = "" if rest.startswith("'") else name
        value, rest = _keyword_value(rest)
        yield name, value
        rest = rest.lstrip()


def _check_successor(previous: str, name: str) -> None:
    """
    Check that *name*, which follows the parameter *previous*, is no part of a password.

    A password with an unquoted blank or `&` ends early, and the error of the server or
    of libpq would print the rest of it as the name of a parameter.

    Raises:
        ValueError: It may be one.
    """
    known = name in {"database", *_names()} or name.lower() in _RUNTIME_PARAMETERS
    if previous in _secret_names() and not known and not _PGX_ONLY.fullmatch(name):
        raise ValueError(_AMBIGUOUS)


def _keyword_value(rest: str) -> tuple[str, str]:
    quoted, value = rest.startswith("'"), ""
    end = 1 if quoted else 0
    while end < len(rest) and not (rest[end] == "'" if quoted else rest[end].isspace()):
        if rest[end] == "\\":
            end += 1
        value += rest[end : end + 1]
        end += 1
    if quoted and end >= len(rest):
        raise ValueError(_AMBIGUOUS)
    return value, rest[end + 1 :] if quoted else rest[end:]


def _split_parameters(
    pairs: Iterable[tuple[str, str]],
) -> tuple[dict[str, str], dict[str, str]]:
    """Separate libpq's own parameters from run-time parameters of the session."""
    libpq: dict[str, str] = {}
    options: dict[str, str] = {}
    for name, value in pairs:
        if name == "database":
            libpq["dbname"] = value
        elif name in _names():
            libpq[name] = value
        elif not _PARAMETER.fullmatch(name):
            raise ValueError(_AMBIGUOUS)  # e.g. a part of a password
        elif not _PGX_ONLY.fullmatch(name):
            options[name] = value
    return libpq, options


def _merge(libpq: Mapping[str, str], options: Mapping[str, str]) -> dict[str, str]:
    if not options:
        return {}
    added = [f"-c {name}={escape_option(value)}" for name, value in options.items()]
    return {"options": " ".join(filter(None, [libpq.get("options", ""), *added]))}


def escape_option(value: str) -> str:
    """
    Return *value* with blanks and backslashes escaped for `options`.

    A backslash escapes the next character (postinit.c: pg_split_opts).
    """
    return re.sub(r"[\\\s]", r"\\\g<0>", value)


def _read_by_libpq(**values: str) -> tuple[Mapping[str, str], bool]:
    """
    Return what libpq makes of *values*, and if it has a password, without connecting.

    One of *values* has to be invalid: libpq reads the service file before it checks
    `sslmode`, the password file before `target_session_attrs`, and gives up at the
    invalid one (fe-connect.c: pqConnectOptions2).
    """
    conn = PGconn.connect_start(make_conninfo("", **values).encode())
    try:
        return _values(conn.info), bool(conn.password)
    finally:
        conn.finish()


def _values(options: Iterable[ConninfoOption]) -> Mapping[str, str]:
    return {o.keyword.decode(): o.val.decode() for o in options if o.val}


@cache
def _names() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


@cache
def _secret_names() -> frozenset[str]:
    hidden = {o.keyword.decode() for o in Conninfo.get_defaults() if o.dispchar == b"*"}
    return frozenset(hidden | {"password", "sslpassword"})

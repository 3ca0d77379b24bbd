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
# pgx conn.go ParseConfigWithOptions and pgxpool pool.go ParseConfig: never sent
_PGX_ONLY = re.compile(r"default_query_exec_mode|\w+_cache_capacity|pool_\w+")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.:-]*://")
_AUTHORITY = re.compile(r"[^/?#]*")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_$.-]*")
_OF_ROLES = frozenset(("role", "session_authorization", "search_path"))
"""Parameters of the session whose values may have an `@`: names in some clouds do."""

_OF_SESSIONS = _OF_ROLES | frozenset(
    [
        "bytea_output",
        "client_min_messages",
        "datestyle",
        "default_tablespace",
        "default_transaction_deferrable",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "extra_float_digits",
        "intervalstyle",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "jit",
        "lc_messages",
        "lock_timeout",
        "log_min_duration_statement",
        "log_min_messages",
        "log_statement",
        "maintenance_work_mem",
        "row_security",
        "standard_conforming_strings",
        "statement_timeout",
        "synchronous_commit",
        "temp_tablespaces",
        "timezone",
        "transaction_timeout",
        "work_mem",
    ]
)
"""What may stand behind a password and is for certain no part of it."""

_AMBIGUOUS = "it is no address, or can be read in two ways"
_CONNECT_TIMEOUT_S = 10
SILENCE_S = 20
"""How long a peer may be silent, asked again and again, before it counts as dead."""

_ASKED_AFTER_S, _ASKED_EVERY_S = 10, 2
_ASKED_TIMES = (SILENCE_S - _ASKED_AFTER_S) // _ASKED_EVERY_S
_CALM: Mapping[str, str | int] = {
    "keepalives_idle": _ASKED_AFTER_S,
    "keepalives_interval": _ASKED_EVERY_S,
    "keepalives_count": _ASKED_TIMES,
    "tcp_user_timeout": SILENCE_S * 1000,
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "fallback_application_name": "migrator",
}
_OURS = {"client_encoding": "UTF8"}
"""
Whatever database, role, PGCLIENTENCODING or URL say: what we send is UTF-8, and in the
start-up packet it outranks them all and is what RESET ALL comes back to.
"""

COURTESIES: Mapping[str, str] = {
    "client_connection_check_interval": "1000",
    "tcp_keepalives_idle": str(_ASKED_AFTER_S),
    "tcp_keepalives_interval": str(_ASKED_EVERY_S),
    "tcp_keepalives_count": str(_ASKED_TIMES),
    "tcp_user_timeout": str(SILENCE_S * 1000),
}
"""
What lets the server notice that we are gone, so that our locks go too: a process that
was killed within a second, also in a statement, and a machine that has vanished within
SILENCE_S. A server does without what its platform refuses.
"""


class Dsn(NamedTuple):
    """One database and how to reach it; printing it shows no secret."""

    parameters: tuple[tuple[str, str], ...]

    @property
    def conninfo(self) -> str:
        """Return libpq's connection string, secrets included."""
        # also what libpq finds by itself: psycopg has no timeout of a service's
        calm = {**_CALM, **{n: v for n, v in self.defaults.items() if n in _CALM}}
        return make_conninfo("", **{**calm, **dict(self.parameters), **_OURS})

    @property
    def defaults(self) -> Mapping[str, str]:
        """
        Return what libpq takes from its variables, its defaults and a service file.

        Without a service of its own those of the variables, PGSERVICE among them. For
        one that is named here libpq is asked on a connection that it gives up before
        it begins (fe-connect.c: pqConnectOptions2).
        """
        named = dict(self.parameters).get("service")
        if named is None:
            return _values(Conninfo.get_defaults())
        refused = make_conninfo("", service=named, sslmode="refused")
        conn = PGconn.connect_start(refused.encode())
        try:
            return _values(conn.info)
        finally:
            conn.finish()

    def effective(self) -> tuple[Mapping[str, str], bool]:
        """
        Return all parameters that libpq would connect with, and if it has a password.

        Variables, defaults, a service and the password file are in it. libpq is asked
        on a connection that it gives up before it begins: it reads the password file,
        and after that refuses this value (fe-connect.c: pqConnectOptions2).
        """
        values = {**dict(self.parameters), "target_session_attrs": "refused"}
        conn = PGconn.connect_start(make_conninfo("", **values).encode())
        try:
            return _values(conn.info), bool(conn.password)
        finally:
            conn.finish()

    def with_password(self, password: str) -> "Dsn":
        """Return the same database, with another password."""
        return Dsn(tuple({**dict(self.parameters), "password": password}.items()))

    def with_connect_timeout(self, seconds: float) -> "Dsn":
        """Return it with at most so much time for connecting; 2 s at least."""
        values = dict(self.parameters)
        own = values.get("connect_timeout") or str(_CONNECT_TIMEOUT_S)
        if not own.isdecimal():
            return self  # libpq says what is wrong with it
        most = int(own)
        least = max(2, int(seconds))  # libpq's fe-connect.c takes 1 as 2, 0 as for ever
        values["connect_timeout"] = str(min(most or least, least))
        return self._replace(parameters=tuple(values.items()))

    @property
    def public(self) -> tuple[str, ...]:
        """Return what may be printed: user, database, host, port."""
        return tuple(value for name, value in self.parameters if name in _PUBLIC)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what must never be printed; what is public too is no secret."""
        pairs = (*self.parameters, *self.defaults.items())
        hidden = (value for name, value in pairs if name in _secret_names())
        return tuple(value for value in hidden if value and value not in self.public)

    def __str__(self) -> str:
        shown = dict(self.parameters)
        where = ",".join(
            part for part in (shown.get("host") or shown.get("hostaddr"),) if part
        )
        port = f":{shown['port']}" if "port" in shown else ""
        user = f"{shown['user']}@" if "user" in shown else ""
        return f"postgresql://{user}{where}{port}/{shown.get('dbname', '')}"

    def __repr__(self) -> str:
        return f"Dsn({self})"


_PUBLIC = ("user", "dbname", "host", "port")


def parse_dsn(text: str) -> Dsn:
    """
    Read *text*: a URL or keywords, in libpq's or pgx's grammar; '' is PG* alone.

    Raises:
        UsageError: It is neither; the message repeats nothing of *text*.
    """
    url = _SCHEME.match(text)
    if url and url[0] not in _SCHEMES:
        raise UsageError(
            "the database URL must begin with postgresql:// (or postgres://)"
        )
    try:
        known = conninfo_to_dict(_from_url(text) if url else _from_keywords(text))
    except (ProgrammingError, ValueError):
        # libpq repeats what it could not read, and a traceback shows every cause
        raise UsageError(_fault(text)) from None
    if not _PORTS.fullmatch(str(known.get("port", ""))):
        # a password with an unencoded slash: its first half would be shown as the port
        raise UsageError(_fault(text))
    _check_ports(str(known.get("port", "")), "the database URL")
    return Dsn(tuple((name, str(value)) for name, value in known.items()))


def _check_ports(text: str, where: str) -> None:
    try:
        check_ports(text)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from None


def from_environment(environ: Mapping[str, str]) -> Dsn | None:
    """
    Return the database that libpq's own variables name, None when they name none.

    libpq reads them itself on connecting; here they are for telling where we went.

    Raises:
        UsageError: PGPORT is no port.
    """
    if not any(environ.get(name) for name in _NAMING):
        return None
    _check_ports(environ.get("PGPORT", ""), "PGPORT")
    variables = {
        "host": "PGHOST",
        "port": "PGPORT",
        "dbname": "PGDATABASE",
        "user": "PGUSER",
    }
    found = ((name, environ.get(variable, "")) for name, variable in variables.items())
    return Dsn(tuple(pair for pair in found if pair[1]))


_NAMING = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGUSER")


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

    Only in it is there an `@` between user and host, and there it is the last one, as
    Go's url.Parse has it. An `@` behind it is a part of a password where it may be one.

    Raises:
        ValueError: It is no such URL, or can be read in two ways.
    """
    scheme, _, rest = text.partition("://")
    authority = _AUTHORITY.match(rest)[0]  # type: ignore[index] # it matches ''
    path, _, query = rest[len(authority) :].partition("?")
    # libpq takes a fragment as text, pgx leaves it out; in both it may be a password's
    if "@" in path or "#" in rest:
        raise ValueError(_AMBIGUOUS)
    userinfo, at, host = authority.rpartition("@")
    libpq, options = _split_parameters(list(_query_pairs(query)))
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in libpq.items())
    place = f"{userinfo.replace('@', '%40')}{at}{host}{path}"
    return make_conninfo(f"{scheme}://{place}?{pairs}", **_merge(libpq, options))


def _query_pairs(query: str) -> Iterator[tuple[str, str]]:
    """Split a query as libpq's conninfo_uri_parse_params does: `+` is no blank."""
    before = ""
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        name = unquote(name, errors="strict")
        _check_behind(before, name)
        before = name
        if not equals or ("@" in value and name not in _names() | _OF_ROLES):
            raise ValueError(_AMBIGUOUS)
        yield name, unquote(value, errors="strict")


def _from_keywords(text: str) -> str:
    if not text:
        return ""
    libpq, options = _split_parameters(_keyword_pairs(text))
    return make_conninfo("", **{**libpq, **_merge(libpq, options)})


def _keyword_pairs(text: str) -> list[tuple[str, str]]:
    """Split `name = 'value'` pairs as libpq's conninfo_parse (fe-connect.c) does."""
    pairs: list[tuple[str, str]] = []
    rest, before = text.strip(), ""
    while rest:
        name, equals, rest = rest.partition("=")
        name, rest = name.strip(), rest.lstrip()
        if not equals:
            raise ValueError(_AMBIGUOUS)
        _check_behind(before, name)
        before = "" if rest.startswith("'") else name
        value, rest = _keyword_value(rest)
        pairs.append((name, value))
        rest = rest.lstrip()
    return pairs


def _check_behind(before: str, name: str) -> None:
    """
    See that *name*, which follows the parameter *before*, is no part of a password.

    A password with a raw blank or `&` ends early, and the server, or libpq, names the
    parameter that the rest of it seems to be.

    Raises:
        ValueError: It may be one.
    """
    known = name in _names() or name.lower() in _OF_SESSIONS or name == "database"
    if before in _secret_names() and not known and not _PGX_ONLY.fullmatch(name):
        raise ValueError(_AMBIGUOUS)


def _keyword_value(rest: str) -> tuple[str, str]:
    quoted, value, at = rest.startswith("'"), "", 0
    at = 1 if quoted else 0
    while at < len(rest) and not (rest[at] == "'" if quoted else rest[at].isspace()):
        if rest[at] == "\\":
            at += 1
        value += rest[at : at + 1]
        at += 1
    if quoted and at >= len(rest):
        raise ValueError(_AMBIGUOUS)
    return value, rest[at + 1 :] if quoted else rest[at:]


def _split_parameters(
    pairs: list[tuple[str, str]],
) -> tuple[dict[str, str], dict[str, str]]:
    """Tell libpq's own parameters from run-time parameters of the session."""
    libpq: dict[str, str] = {}
    options: dict[str, str] = {}
    for name, value in pairs:
        if name == "database":
            libpq["dbname"] = value
        elif name in _names():
            libpq[name] = value
        elif not _PARAMETER.fullmatch(name):
            raise ValueError(_AMBIGUOUS)  # a part of a password, for one
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
    Return *value* as a part of one word of `options`.

    A backslash takes the next character as it is (postinit.c: pg_split_opts).
    """
    return re.sub(r"[\\\s]", r"\\\g<0>", value)


def _values(options: Iterable[ConninfoOption]) -> Mapping[str, str]:
    return {o.keyword.decode(): o.val.decode() for o in options if o.val}


@cache
def _names() -> frozenset[str]:
    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


@cache
def _secret_names() -> frozenset[str]:
    hidden = {o.keyword.decode() for o in Conninfo.get_defaults() if o.dispchar == b"*"}
    return frozenset(hidden | {"password", "sslpassword"})

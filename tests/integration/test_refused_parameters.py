"""Parameters of a connection that a server or a pooler refuses, and who has set them."""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.faults.hostile_server import READY, Read, Script, hostile, message
from tests.helpers.fake_servers import answering, fatal, speaking
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.support import Result, run, write


REFUSED = {
    "ssl": "true",
    "max_connections": "5",
    "wal_level": "minimal",
    "server_version": "9",
    "schema": "public",
    "connection_limit": "5",
    "pgbouncer": "true",
    "sslaccept": "strict",
    "DateStyle": "nope",
    "default_transaction_isolation": "nope",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One migration."""
    return write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})


@pytest.fixture
def plain(database: str, conn: psycopg.Connection) -> Iterator[str]:
    """The DSN of a role without any privilege, in the test's database."""
    role = sql.Identifier(f"plain_{conn.info.backend_pid}")
    conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'plain-one'").format(role))
    yield changed(database, user=role.as_string()[1:-1], password="plain-one")
    conn.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(role, role))


def changed(dsn: str, **parameters: str) -> str:
    """The DSN with other parameters."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), **parameters})


def up(dsn: str, directory: Path, **environ: str) -> Result:
    """A run that would wait, where it takes that for what time heals."""
    return run(
        "up",
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{"MIGRATOR_CONNECT_WAIT": "0", **environ},
    )


@pytest.mark.parametrize(("name", "value"), REFUSED.items())
def test_a_parameter_that_no_session_may_set_is_2(
    database: str, directory: Path, name: str, value: str
) -> None:
    """Time does not heal it; the message names it, and where to look for it."""
    result = up(f"{database} {name}={value}", directory)

    assert result.exit_code == 2
    assert f'"{name}"' in result.verdict["error"]
    assert "of the URL," in result.verdict["error"]


def test_options_that_are_no_settings_are_2(database: str, directory: Path) -> None:
    """Neon's `options=endpoint=…` on a plain server: the server's own words, no pooler's."""
    result = up(f"{database} options='endpoint=ep-cool-name'", directory)

    assert result.exit_code == 2
    assert "pooler" not in result.verdict["error"]
    assert "endpoint=ep-cool-name" in result.verdict["error"]


def test_a_parameter_for_superusers_is_2(plain: str, directory: Path) -> None:
    """It is a privilege, but leaving the parameter out is what helps."""
    result = up(f"{plain} log_min_messages=debug1", directory)

    assert result.exit_code == 2
    assert '"log_min_messages"' in result.verdict["error"]
    assert "CONNECT" not in result.verdict["error"]


@pytest.mark.parametrize("name", ["pgbouncer", "log_min_messages"])
def test_a_parameter_through_a_pooler_is_2(
    plain: str, directory: Path, name: str
) -> None:
    """PgBouncer takes no options at all, and the server is asked later."""
    with pgbouncer(plain) as dsn:
        result = up(f"{dsn} {name}=debug1", directory)

    assert result.exit_code == 2
    assert f'"{name}"' in result.verdict["error"]


@pytest.mark.parametrize("sqlstate", ["0A000", "XX001", "58000", "42P01", "ZZ999"])
def test_what_nobody_knows_while_connecting_is_20(
    directory: Path, sqlstate: str
) -> None:
    """Only what is about a parameter is our environment's."""
    with answering(speaking(fatal(sqlstate, "unbekannt"))) as dsn:
        result = up(dsn, directory)

    assert (result.exit_code, "unbekannt" in result.verdict["error"]) == (20, True)


@pytest.mark.parametrize("through_pooler", [False, True])
@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("ROLE", "nosuch", 'role "nosuch" does not exist'),
        ("SEARCH_PATH", "a b", 'invalid value for parameter "search_path": "a b"'),
    ],
)
def test_a_setting_that_the_server_refuses_is_named(
    database: str,
    directory: Path,
    setting: str,
    value: str,
    words: str,
    *,
    through_pooler: bool,
) -> None:
    """Not the URL, in which it does not stand."""
    settings = {f"MIGRATOR_{setting}": value}
    if through_pooler:
        with pgbouncer(database) as dsn:
            result = up(dsn, directory, **settings)
    else:
        result = up(database, directory, **settings)

    assert result.exit_code == 2
    assert result.verdict["error"].startswith(f"MIGRATOR_{setting}: {words}")
    assert "URL" not in result.verdict["error"]


def test_a_role_that_may_not_be_taken_is_named(
    server: str, plain: str, directory: Path
) -> None:
    """The login role is no member of it: 15, and no advice about CONNECT."""
    owner = str(conninfo_to_dict(server)["user"])

    result = up(plain, directory, MIGRATOR_ROLE=owner)

    assert result.exit_code == 15
    assert "MIGRATOR_ROLE" in result.verdict["error"]
    assert "CONNECT" not in result.verdict["error"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"MIGRATOR_TABLE": "nosuch.goose"},
            'nosuch.goose cannot be created: schema "nosuch" does not exist',
        ),
        (
            {"MIGRATOR_SEARCH_PATH": "nosuch"},
            "goose_db_version cannot be created: no schema of the search path exists",
        ),
    ],
)
def test_a_schema_that_is_missing_says_so(
    database: str, directory: Path, environ: Mapping[str, str], words: str
) -> None:
    """Nothing is wrong with a table that is not there."""
    (setting,) = environ

    result = up(database, directory, **environ)

    assert result.exit_code == 11
    assert result.verdict["error"].startswith(words)
    assert f"create the schema, or correct {setting}" in result.verdict["error"]


_EMPTY = message(b"I") + READY
_WELCOME = b"".join(
    (
        message(b"R", bytes(4)),
        message(b"S", b"server_version\x0017.0\0"),
        message(b"S", b"client_encoding\0UTF8\0"),
        message(b"K", bytes(8)),
        READY,
    )
)
_COLUMNS = b"".join(
    b"a\0" + struct.pack("!ihihih", 0, 0, oid, -1, -1, 0) for oid in (16, 16, 16, 25)
)
_VALUES = b"".join(
    struct.pack("!i", len(each)) + each for each in (b"t", b"t", b"t", b"compiled by x")
)
_FACTS = b"".join(
    (
        message(b"T", struct.pack("!h", 4) + _COLUMNS),
        message(b"D", struct.pack("!h", 4) + _VALUES),
        message(b"C", b"SELECT 1\0"),
    )
)
"""What a session of its own, settled as we like it, answers to the first question."""


def _answered(answer: bytes) -> Script:
    def script(read: Read) -> Iterator[bytes]:
        read()
        yield _WELCOME
        while read():
            yield answer

    return script


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_EMPTY, id="empty"),
        pytest.param(READY, id="nothing"),
        pytest.param(message(b"C", b"SELECT 0\0") + READY, id="no-rows"),
        pytest.param(_EMPTY[:5] * 3 + READY, id="many-empty"),
        pytest.param(_FACTS + READY, id="facts-alone"),
        pytest.param(_FACTS + _EMPTY, id="facts-and-empty"),
        pytest.param(_FACTS * 2 + READY, id="facts-twice"),
    ],
)
def test_an_answer_that_is_none_is_20(directory: Path, answer: bytes) -> None:
    """Whoever answers so is no server that can be used now, and no bug of ours."""
    with hostile(_answered(answer)) as dsn:
        result = up(dsn, directory)

    assert result.exit_code == 20
    assert result.events("run.crashed") == []

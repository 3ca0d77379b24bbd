"""A real PostgreSQL for every test, yours or one of its own; workers, time, skips."""

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from zlib import crc32

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator.engine.run_context import RunContext
from tests.helpers.postgres import (
    NEWEST,
    OLDER,
    answers,
    free_port,
    initialize,
    older,
    serve,
    server_folder,
)
from tests.helpers.support import until


pytest_plugins = ["tests.helpers.xdist_scheduler"]
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
ENCODINGS = ("UTF8", "LATIN1", "SQL_ASCII")
_numbers = count(1)


Tell = Callable[[str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --no-skips, since what CI expects to run must run, and --postgres."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails")
    parser.addoption(
        "--postgres",
        choices=[*OLDER, NEWEST],
        default=NEWEST,
        help="the server's major version",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Take the programs of the server that is asked for."""
    major = config.getoption("--postgres")
    if major != NEWEST:
        os.environ["TEST_POSTGRES_BIN"] = str(older(major))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what the tests tell: how much was tried, and what came of it."""
    figures = [
        text
        for report in terminalreporter.getreports("passed")
        for name, text in report.user_properties
        if report.when == "call" and name == "figures"
    ]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(str(text))


@pytest.fixture
def tell(record_property: Callable[[str, object], None]) -> Tell:
    """A function that has a line shown when all tests are over."""
    return lambda line: record_property("figures", line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    """
    Turn a skip into a failure under --no-skips.

    Not one of a test that needs a cluster, or a newer server than it is given.
    """
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):  # type: ignore[attr-defined]
        reason = str(report.longrepr)  # type: ignore[attr-defined]
        known = any(each in reason for each in ("cluster:", "server:"))
        if not known and not hasattr(report, "wasxfail"):
            report.outcome = "failed"  # type: ignore[attr-defined]
            report.longrepr = f"skipped under --no-skips: {reason}"  # type: ignore[attr-defined]
    return report


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The developer's own settings must not pass or fail a test."""
    for name in os.environ:
        if name.startswith(("MIGRATOR_", "GOOSE_", "PG")) or name == "DATABASE_URL":
            monkeypatch.delenv(name)
    # for the tests' own connections: the migrator's are UTF-8 whatever this says
    monkeypatch.setenv("PGCLIENTENCODING", "UTF8")


@pytest.fixture(params=["on", "off"], ids=["pipeline=on", "pipeline=off"])
def both_ways(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _clean_environment: None,
) -> str:
    """Run a test with statements in one stream, and once more with one by one."""
    way = str(request.param)
    if way == "off":
        monkeypatch.setattr(
            RunContext, "not_pipelined_reason", lambda self, conn: "a test's wish"
        )
        # for processes that a test starts
        monkeypatch.setenv("MIGRATOR_PIPELINE", "false")
    return way


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The DSN of a superuser on a running server, which no other process tests on."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
    else:
        yield from _own()


@pytest.fixture(scope="session")
def templates(server: str) -> Iterator[dict[str, str]]:
    """Names of empty databases to copy, by encoding: quicker than the server's own."""
    names = {each: f"migrator_{each}_{os.getpid()}".lower() for each in ENCODINGS}
    for encoding, name in names.items():
        creation = f"CREATE DATABASE {{}} TEMPLATE template0 ENCODING '{encoding}'"
        _admin(server, f"{creation} LC_COLLATE 'C' LC_CTYPE 'C'", name)
        with psycopg.connect(with_database(server, name), autocommit=True) as conn:
            # as PostgreSQL 15 and newer have it by themselves
            conn.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    yield names
    for name in names.values():
        _admin(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture
def encoding(request: pytest.FixtureRequest) -> str:
    """The encoding of `database`: the marker's, or one that the test's name chooses."""
    marker = request.node.get_closest_marker("encoding")
    if marker is not None:
        return str(marker.args[0])
    return ENCODINGS[crc32(request.node.nodeid.encode()) % len(ENCODINGS)]


@pytest.fixture
def database(server: str, templates: dict[str, str], encoding: str) -> Iterator[str]:
    """The DSN of a fresh, empty database that is gone after the test."""
    name = f"migrator_test_{os.getpid()}_{next(_numbers)}"
    _admin(server, f"CREATE DATABASE {{}} TEMPLATE {templates[encoding]}", name)
    yield with_database(server, name)
    _admin(server, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    """A connection of the test's own to `database`, in autocommit."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def with_database(dsn: str, name: str) -> str:
    """Return *dsn* with another database in it."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), "dbname": name})


def _own() -> Iterator[str]:
    settings = dict(option.split("=") for option in _FAST)
    with server_folder() as folder:
        data, port = folder / "data", free_port()
        initialize(data, "for-tests-only")
        with serve(data, port, folder / "log", settings) as process:
            dsn = f"postgresql://postgres:for-tests-only@127.0.0.1:{port}/postgres"
            try:
                until(lambda: answers(dsn))
                yield dsn
            finally:
                process.send_signal(
                    signal.SIGINT
                )  # a fast shutdown: sessions are ended


def _admin(server: str, template: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(template).format(sql.Identifier(name)))

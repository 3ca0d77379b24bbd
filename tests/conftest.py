"""A real PostgreSQL for every test: yours, a container's or one of its own."""

import gc
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from zlib import crc32

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator.runner import Runner
from tests.postgres import answers, free_port, initialize, serve
from tests.support import until


IMAGE = "postgres:17"
_FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
ENCODINGS = ("UTF8", "LATIN1", "SQL_ASCII")
_numbers = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --no-skips: what CI expects to run must run."""
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    """Turn a skip into a failure under --no-skips, but not one that needs a cluster."""
    report = yield
    if report.skipped and item.config.getoption("--no-skips"):  # type: ignore[attr-defined]
        reason = str(report.longrepr)  # type: ignore[attr-defined]
        if "cluster:" not in reason and not hasattr(report, "wasxfail"):
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
        monkeypatch.setattr(Runner, "why_apart", lambda self, conn: "a test's wish")
        # for processes that a test starts
        monkeypatch.setenv("MIGRATOR_PIPELINE", "false")
    return way


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The DSN of a superuser on a running server."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
    elif docker_answers() and not os.environ.get("TEST_POSTGRES_BIN"):
        yield from _container()
    else:
        yield from _own(tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def templates(server: str) -> Iterator[dict[str, str]]:
    """Names of empty databases to copy, by encoding: quicker than the server's own."""
    names = {each: f"migrator_{each}_{os.getpid()}".lower() for each in ENCODINGS}
    for encoding, name in names.items():
        creation = f"CREATE DATABASE {{}} TEMPLATE template0 ENCODING '{encoding}'"
        _admin(server, f"{creation} LC_COLLATE 'C' LC_CTYPE 'C'", name)
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


def docker_answers() -> bool:
    """Tell whether a Docker engine is there."""
    import docker  # noqa: PLC0415 - testcontainers' own; slow to import
    from docker.errors import DockerException  # noqa: PLC0415 - the same

    with warnings.catch_warnings():
        # where nobody answers, docker leaves its socket to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        with suppress(DockerException):
            client = docker.from_env()
            client.ping()
            client.close()
            return True
        gc.collect()
    return False


def with_database(dsn: str, name: str) -> str:
    """Return *dsn* with another database in it."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), "dbname": name})


def _container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 - slow
    from testcontainers.core.config import testcontainers_config  # noqa: PLC0415 - slow

    # the fixture ends its container itself; Ryuk's image may be out of reach
    testcontainers_config.ryuk_disabled = True
    command = " ".join(f"-c {option}" for option in _FAST)
    container = PostgresContainer(IMAGE, driver=None).with_command(command)
    with container as running:
        yield running.get_connection_url()


def _own(directory: Path) -> Iterator[str]:
    data, port = directory / "data", free_port()
    initialize(data, "for-tests-only")
    settings = dict(option.split("=") for option in _FAST)
    with serve(data, port, directory / "log", settings) as process:
        dsn = f"postgresql://postgres:for-tests-only@127.0.0.1:{port}/postgres"
        try:
            until(lambda: answers(dsn))
            yield dsn
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended


def _admin(server: str, template: str, name: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL(template).format(sql.Identifier(name)))

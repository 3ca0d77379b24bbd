"""A server that is not PostgreSQL, or too old, is refused and nothing happens to it."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from migrator.pg.connection.server_product import detect_product
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.postgres import (
    answers,
    free_port,
    initialize,
    older,
    serve,
    server_folder,
)
from tests.helpers.product_proxy import ProductAnswers, product_proxy
from tests.helpers.support import run, until, write
from tests.unit.pg.connection.test_server_product import FOREIGN


PARAMETERS = {
    "CockroachDB": {"crdb_version": "CockroachDB CCL v24.2.4"},
    "YugabyteDB": {"server_version": "15.12-YB-2026.1.0.1-b0"},
    "Amazon Redshift": {"padb_version": "1.0.77467"},
    "CrateDB": {"crate_version": "5.9.3"},
}
TOO_OLD = (
    "the server is older than PostgreSQL 14: it does not know 'idle_session_timeout';"
    " nothing was changed; connect to a PostgreSQL server, version 14 or newer"
)
COMMANDS = ["up", "status", "version", "plan", "wait", "down"]


def relations(conn: psycopg.Connection) -> int:
    """How many tables and the like there are."""
    query = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    (found,) = conn.execute(query).fetchone() or ()
    return int(found)


@pytest.fixture(scope="module")
def old_server() -> Iterator[str]:
    """A superuser's DSN on PostgreSQL 13."""
    with server_folder() as folder:
        data, port = folder / "data", free_port()
        initialize(data, programs=older("13"))
        dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        programs = older("13")
        with serve(data, port, folder / "log", {}, programs=programs) as process:
            try:
                until(lambda: answers(dsn))
                yield dsn
            finally:
                process.terminate()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One migration."""
    return write(tmp_path / "m", {"00001_a.sql": "CREATE TABLE a (x int);\n"})


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_what_reports_its_name_is_sent_nothing(
    database: str,
    conn: psycopg.Connection,
    directory: Path,
    name: str,
    parameters: dict[str, str],
) -> None:
    """The start-up phase tells: code 2, with the name."""
    identity = ProductAnswers(parameters)

    with product_proxy(database, identity) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, identity.sent, relations(conn)) == (2, [], 0)
    assert result.verdict["error"].startswith(f"the server is {name} (")


@pytest.mark.parametrize("version", FOREIGN)
def test_what_version_names_is_refused_before_anything_else(
    database: str, conn: psycopg.Connection, directory: Path, version: str
) -> None:
    """The first message asks, and is the last one."""
    identity = ProductAnswers(version=version)
    engine = detect_product(version, {})
    assert engine is not None

    with product_proxy(database, identity) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        (
            f"the server is {engine.name} ({version}): {engine.reason}; nothing was changed;"
            " connect to a PostgreSQL server, version 14 or newer"
        ),
    )
    assert (len(identity.sent), relations(conn)) == (1, 0)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_it(
    database: str, conn: psycopg.Connection, directory: Path, command: str
) -> None:
    """Those that only look, too, and without waiting for anything."""
    identity = ProductAnswers(version="CockroachDB CCL v24.2.4 (x86_64-pc-linux-gnu)")

    with product_proxy(database, identity) as dsn:
        result = run(
            command, MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, len(identity.sent), relations(conn)) == (2, 1, 0)


@pytest.mark.parametrize("version", ["PostgreSQL 16", "CockroachDB CCL v24.2.4"])
def test_what_refuses_the_first_message_is_asked_what_it_is(
    database: str, directory: Path, version: str
) -> None:
    """The error of a function that it lacks is not the reason to tell."""
    identity = ProductAnswers(version=version, refuses=True)
    engine = detect_product(version, {})
    assert engine is not None

    with product_proxy(database, identity) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        (
            f"the server is {engine.name} ({version}): {engine.reason}; nothing was changed;"
            " connect to a PostgreSQL server, version 14 or newer"
        ),
    )
    assert identity.sent[-1] == "SELECT pg_catalog.version()"


def test_postgresql_itself_is_not_refused(database: str, directory: Path) -> None:
    """The proxy alone changes nothing."""
    with product_proxy(database, ProductAnswers()) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, result.verdict["applied"]) == (0, [1])


@pytest.mark.parametrize("command", COMMANDS)
def test_an_older_server_is_refused_by_its_age(
    old_server: str, directory: Path, command: str
) -> None:
    """It refuses our own parameters: the URL is not blamed for them."""
    result = run(
        command,
        MIGRATOR_DATABASE_URL=old_server,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
    )

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        TOO_OLD,
    )


def test_an_older_server_behind_a_pooler_is_refused_by_its_age(
    old_server: str, directory: Path
) -> None:
    """Which takes no parameters, so that the server refuses none."""
    with pgbouncer(old_server) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        TOO_OLD,
    )

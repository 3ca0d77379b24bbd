"""The library: what a MigrationRunner does."""

from pathlib import Path

import psycopg
import pytest

from migrator import MigrationRunner, Status
from migrator.errors import (
    FilesInvalidError,
    StatementFailedError,
    UnavailableError,
    UsageError,
)
from migrator.events.finding import MigrationListed
from tests.helpers.support import Recorder, write


pytestmark = pytest.mark.usefixtures("both_ways")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Three migrations, each with its Down."""
    both = "-- +goose Up\nCREATE TABLE {0} ();\n-- +goose Down\nDROP TABLE {0};\n"
    return write(
        tmp_path / "m", {f"{n}_{c}.sql": both.format(c) for n, c in enumerate("abc", 1)}
    )


@pytest.fixture
def runner(database: str, directory: Path) -> MigrationRunner:
    """A runner on an empty database."""
    return MigrationRunner(database, directory)


def tables(conn: psycopg.Connection) -> list[str]:
    """The tables that migrations made."""
    rows = conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT IN ('goose_db_version', 'migrator_history') ORDER BY 1"
    )
    return [name for (name,) in rows]


def test_construct_a_runner(database: str, directory: Path) -> None:
    """Of a URL and a path; nothing is touched by it, and `with` is allowed."""
    with MigrationRunner(database, str(directory)) as runner:
        assert runner.version() == 0


def test_up_on_an_empty_database(
    runner: MigrationRunner, conn: psycopg.Connection
) -> None:
    """The tracking table is made with the first migration."""
    steps = runner.up(to=1)

    assert [step.migration.path for step in steps] == ["1_a.sql"]
    assert tables(conn) == ["a"]


def test_up_with_several_migrations(
    runner: MigrationRunner, conn: psycopg.Connection
) -> None:
    """All, in the order of their versions."""
    steps = runner.up()

    assert [step.migration.version for step in steps] == [1, 2, 3]
    assert tables(conn) == ["a", "b", "c"]


def test_up_twice(runner: MigrationRunner) -> None:
    """The second time does nothing."""
    runner.up()

    assert runner.up() == ()


def test_down(runner: MigrationRunner, conn: psycopg.Connection) -> None:
    """The step that was rolled back; None when there is nothing left."""
    runner.up(to=1)

    first, second = runner.down(), runner.down()

    assert first is not None
    assert (first.migration.version, second) == (1, None)
    assert tables(conn) == []


def test_version_without_migrations(runner: MigrationRunner) -> None:
    """0 when nothing is applied."""
    assert runner.version() == 0


def test_version_after_up(runner: MigrationRunner) -> None:
    """The newest file's."""
    runner.up()

    assert runner.version() == 3


def test_status(runner: MigrationRunner) -> None:
    """Every file with its state."""
    runner.up(to=1)

    status = runner.status()

    at = status.migrations[0].applied_at
    assert at is not None
    assert status == Status(
        version=1,
        migrations=(
            MigrationListed(version=1, path="1_a.sql", state="applied", applied_at=at),
            MigrationListed(
                version=2, path="2_b.sql", state="pending", applied_at=None
            ),
            MigrationListed(
                version=3, path="3_c.sql", state="pending", applied_at=None
            ),
        ),
    )
    assert len(status) == len(list(status)) == 3


def test_invalid_sql(database: str, tmp_path: Path) -> None:
    """A typed error with the place and the server's words."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABEL a ();"})

    with pytest.raises(StatementFailedError) as caught:
        MigrationRunner(database, directory).up()

    assert str(caught.value.place) == "1_a.sql:2:8"
    assert caught.value.server.sqlstate == "42601"


def test_rollback_of_a_failing_migration_leaves_nothing(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Neither tables nor a row."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();\nSELECT 1/0;"})
    runner = MigrationRunner(database, directory)

    with pytest.raises(StatementFailedError):
        runner.up()

    assert (tables(conn), runner.version()) == ([], 0)


@pytest.mark.parametrize("dsn", ["", "mysql://h/db"])
def test_no_database(directory: Path, dsn: str) -> None:
    """An empty or foreign URL is refused when the runner is made."""
    with pytest.raises(UsageError):
        MigrationRunner(dsn, directory)


def test_an_unreachable_database(directory: Path) -> None:
    """By default one attempt is made."""
    with pytest.raises(UnavailableError):
        MigrationRunner("postgresql://u@127.0.0.1:1/db", directory).up()


def test_an_empty_path(database: str) -> None:
    """It is not taken for the current directory."""
    with pytest.raises(UsageError):
        MigrationRunner(database, "")


def test_a_missing_path(database: str, tmp_path: Path) -> None:
    """The error names the directory."""
    with pytest.raises(FilesInvalidError) as caught:
        MigrationRunner(database, tmp_path / "nowhere").up()

    assert str(tmp_path / "nowhere") in str(caught.value)


def test_a_connection_in_place_of_a_url(
    conn: psycopg.Connection, directory: Path
) -> None:
    """Its address is taken; its session, here in a transaction, is not touched."""
    conn.autocommit = False
    conn.execute("SET LOCAL lock_timeout = '7s'")

    steps = MigrationRunner(conn, directory).up()

    assert len(steps) == 3
    assert conn.execute("SHOW lock_timeout").fetchone() == ("7s",)


def test_a_closed_connection(database: str, directory: Path) -> None:
    """It has no address any more."""
    conn = psycopg.connect(database)
    conn.close()

    with pytest.raises(UsageError):
        MigrationRunner(conn, directory)


def test_the_other_commands(runner: MigrationRunner) -> None:
    """Each returns the steps it took."""
    one = runner.up_by_one()
    runner.up()
    redone = [step.direction.value for step in runner.redo()]
    back = [step.migration.version for step in runner.down_to(1)]
    rest = [step.migration.version for step in runner.reset()]

    assert one is not None
    assert one.migration.version == 1
    assert (redone, back, rest) == (["down", "up"], [3, 2], [1])
    assert runner.up_by_one() is not None


def test_events_are_passed_to_the_caller(database: str, directory: Path) -> None:
    """And to nobody else."""
    recorder = Recorder()

    MigrationRunner(database, directory, observe=recorder).up(to=1)

    assert recorder.names[-1] == "migration.applied"

"""Commands that look, wait and adopt."""

import io
import json
import threading
from pathlib import Path

import psycopg
import pytest

from migrator import MigrationRunner
from migrator.cli import main
from tests.helpers.support import run, three_tables, write


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """Three small files and a database."""
    return three_tables(database, tmp_path / "m")


def exists(conn: psycopg.Connection, name: str) -> bool:
    """Whether there is a relation of that name."""
    row = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [name]).fetchone()
    return row == (True,)


def test_plan_shows_each_statement(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """From the database's real state; nothing is created by it."""
    run("up-to", "1", **environ)

    result = run("plan", **environ)

    planned = [
        (line["version"], line["line"], line["statement"], line["text"])
        for line in result.events("statement.planned")
    ]
    assert planned == [(2, 2, 1, "CREATE TABLE b ();"), (3, 2, 1, "CREATE TABLE c ();")]
    assert (result.exit_code, result.verdict["pending"]) == (0, 2)
    assert not exists(conn, "b")


def test_plan_creates_nothing(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Not even the tracking table; a version bounds it."""
    result = run("plan", "2", **environ)

    assert [line["version"] for line in result.events("statement.planned")] == [1, 2]
    assert not exists(conn, "goose_db_version")


def test_plan_predicts_what_stops_up(environ: dict[str, str], tmp_path: Path) -> None:
    """A dry run that does not predict the run is worth nothing."""
    write(tmp_path / "m", {"4_d.sql": "-- +goose Up\nSELECT 1\n"})

    planned, applied = run("plan", **environ), run("up", **environ)

    assert (planned.exit_code, applied.exit_code) == (10, 10)
    assert planned.verdict["error"] == applied.verdict["error"]


@pytest.mark.parametrize("command", ["status", "plan"])
def test_check_exits_with_3_when_something_is_pending(
    environ: dict[str, str], command: str
) -> None:
    """And with 0 when nothing is."""
    run("up-to", "1", **environ)
    before = run(command, "--check", **environ)
    run("up", **environ)
    after = run(command, **environ, MIGRATOR_CHECK="true")

    assert (before.exit_code, before.verdict["outcome"]) == (3, "pending")
    assert before.verdict["error"] == "not applied: 2, 3; run `up` to apply them"
    assert after.exit_code == 0


def test_wait_ends_when_all_files_are_applied(environ: dict[str, str]) -> None:
    """It looks again and again, and takes no lock."""
    runner = MigrationRunner(
        environ["MIGRATOR_DATABASE_URL"], environ["MIGRATOR_MIGRATIONS_DIR"]
    )
    migrator = threading.Timer(0.3, runner.up)
    migrator.start()

    result = run("wait", **environ, MIGRATOR_WAIT="20s")

    migrator.join()
    assert result.exit_code == 0
    assert result.events("version.awaited")[0]["missing"] == [1, 2, 3]
    assert [line["version"] for line in result.events("version.read")] == [3]


def test_wait_needs_no_files_for_a_version(database: str) -> None:
    """An application's image need not hold the migrations."""
    result = run(
        "wait",
        "7",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_WAIT="0",
        MIGRATOR_MIGRATIONS_DIR="/nonexistent",
    )

    assert result.exit_code == 3
    assert result.verdict["error"] == (
        "not applied within 0 s: 7; check the run that applies them; wait again, or"
        " raise MIGRATOR_WAIT"
    )


def test_wait_that_ends_calls_itself_retryable_everywhere(
    database: str, tmp_path: Path
) -> None:
    """An init container is started again: log, termination message and console say so."""
    place = tmp_path / "termination-log"
    place.touch()
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_WAIT": "0",
        "MIGRATOR_TERMINATION_LOG": str(place),
    }
    console = io.StringIO()

    result = run("wait", "7", **environ)
    main(["wait", "7"], {**environ, "MIGRATOR_LOG_FORMAT": "console"}, console)

    assert (result.exit_code, result.verdict["retryable"]) == (3, True)
    assert json.loads(place.read_text())["retryable"] is True
    assert "exit 3 (pending), retryable;" in console.getvalue()


@pytest.mark.parametrize("command", ["status", "plan"])
def test_a_check_that_finds_something_is_not_retryable(
    environ: dict[str, str], command: str
) -> None:
    """It has answered: the caller decides what follows."""
    result = run(command, "--check", **environ)

    assert (result.exit_code, result.verdict["retryable"]) == (3, False)


def test_wait_reads_with_a_poor_role(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """SELECT on the tracking table is enough."""
    run("up", **environ)
    role = f"reader_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}; GRANT SELECT ON goose_db_version TO {role}")

    result = run("wait", **environ, MIGRATOR_ROLE=role)

    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert result.exit_code == 0


def test_wait_ends_also_when_the_table_is_locked(environ: dict[str, str]) -> None:
    """Its patience counts whatever stands in the way."""
    run("up", **environ)

    with psycopg.connect(environ["MIGRATOR_DATABASE_URL"]) as other:
        other.execute("LOCK TABLE goose_db_version")
        result = run(
            "wait", **environ, MIGRATOR_WAIT="300ms", MIGRATOR_LOCK_TIMEOUT="50ms"
        )

    assert result.exit_code == 22
    assert result.events("version.awaited")[0]["current"] is None


def test_wait_is_unavailable_without_a_server(environ: dict[str, str]) -> None:
    """20 says that it is worth trying again."""
    environ["MIGRATOR_DATABASE_URL"] = "postgresql://u@127.0.0.1:1/db"

    result = run("wait", **environ, MIGRATOR_CONNECT_WAIT="100ms")

    assert (result.exit_code, result.verdict["retryable"]) == (20, True)


def test_baseline_records_without_running(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """The files up to the version are applied in the table's eyes; the rest runs."""
    conn.execute("CREATE TABLE a (); CREATE TABLE b ()")

    adopted = run("baseline", "2", **environ)
    applied = run("up", **environ)

    assert [line["version"] for line in adopted.events("migration.recorded")] == [1, 2]
    assert applied.verdict["applied"] == [3]
    rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    assert rows.fetchall() == [(0,), (1,), (2,), (3,)]


def test_baseline_is_refused_where_versions_exist(environ: dict[str, str]) -> None:
    """It is for a database that no migrator has seen."""
    run("up-to", "1", **environ)

    result = run("baseline", "3", **environ)

    assert result.exit_code == 11
    assert result.verdict["error"].startswith(
        "the tracking table has versions already: 1;"
    )


def test_baseline_needs_a_version_that_has_a_file(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """A typing error must not adopt the wrong files."""
    result = run("baseline", "20", **environ)

    assert result.exit_code == 11
    assert result.verdict["error"] == "no file has version 20; the nearest are 1, 2, 3"
    assert not exists(conn, "goose_db_version")


@pytest.mark.parametrize(
    ("argv", "fault"),
    [
        (["up", "3"], "up takes no version: leave 3 out"),
        (["down", "3"], "down takes no version: leave 3 out"),
        (["up", "--check"], "up takes no --check: `status` and `plan` do"),
        (["up-to"], "up-to needs a version: `up-to 42`, or MIGRATOR_TARGET"),
        (
            ["up-to", "0x"],
            "the version has to be a number, such as up-to 42; see `migrator help`",
        ),
    ],
)
def test_arguments_that_a_command_does_not_take(
    environ: dict[str, str], argv: list[str], fault: str
) -> None:
    """They are refused: whoever wrote them expected something else."""
    result = run(*argv, **environ)

    assert (result.exit_code, result.verdict["error"]) == (2, fault)

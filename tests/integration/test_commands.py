"""The commands, from the command line to a real server."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from migrator.cli import main
from tests.helpers.support import run, three_tables, write


pytestmark = pytest.mark.usefixtures("both_ways")


EXAMPLE = Path(__file__).parents[2] / "migrations"


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """Three small files and a database."""
    return three_tables(database, tmp_path / "m")


def test_the_example_is_applied_once(database: str) -> None:
    """The first run applies all, the second finds nothing to do."""
    names = sorted(path.name for path in EXAMPLE.glob("*.sql"))
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(EXAMPLE),
    }

    first = run("up", **environ)
    second = run("up", **environ)

    assert (first.exit_code, second.exit_code) == (0, 0)
    assert [line["path"] for line in first.events("migration.applied")] == names
    assert second.verdict["applied"] == []
    assert second.verdict["version_after"] == len(names)


def test_up_is_the_default(environ: dict[str, str]) -> None:
    """A container without arguments migrates."""
    result = run(**environ)

    assert (result.exit_code, result.verdict["command"]) == (0, "up")
    assert result.verdict["applied"] == [1, 2, 3]


def test_up_to(environ: dict[str, str]) -> None:
    """Its version is included; it comes from the argument or the environment."""
    first = run("up-to", "1", **environ)
    second = run("up-to", **environ, MIGRATOR_TARGET="2")

    assert (first.verdict["applied"], second.verdict["applied"]) == ([1], [2])


def test_commands_that_roll_back_report_their_steps(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Each rolls back what it says, rows included, and nothing to do is no error."""
    both = "-- +goose Up\nCREATE TABLE {0} ();\n-- +goose Down\nDROP TABLE {0};\n"
    concurrent = both.replace("Up\n", "Up\n-- +goose NO TRANSACTION\n")
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": both.format("a"),
            "2_b.sql": concurrent.format("b"),
            "3_c.sql": both.format("c"),
            "4_d.sql": "-- +goose Up\nCREATE TABLE IF NOT EXISTS d ();\n",
        },
    )
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
    }

    def outcome_of(*argv: str) -> tuple[list[int], list[int], int]:
        verdict = run(*argv, **environ).verdict
        assert verdict["exit_code"] == 0
        return verdict["applied"], verdict["reverted"], verdict["version_after"]

    assert outcome_of("down") == ([], [], 0)
    assert outcome_of("up-by-one") == ([1], [], 1)
    assert outcome_of("up") == ([2, 3, 4], [], 4)
    assert outcome_of("down") == ([], [4], 3)
    assert outcome_of("redo") == ([3], [3], 3)
    assert outcome_of("down-to", "1") == ([], [3, 2], 1)
    assert outcome_of("up") == ([2, 3, 4], [], 4)
    assert outcome_of("reset") == ([], [4, 3, 2, 1], 0)
    assert outcome_of("redo") == ([], [], 0)
    assert conn.execute("SELECT version_id FROM goose_db_version").fetchall() == [(0,)]


def test_a_failing_down_is_rolled_back(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The version stays applied."""
    content = (
        "-- +goose Up\nCREATE TABLE a ();\n-- +goose Down\nDROP TABLE a;\nSELECT 1/0;\n"
    )
    directory = write(tmp_path / "m", {"1_a.sql": content})
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
    }
    run("up", **environ)

    result = run("down", **environ)

    assert (result.exit_code, result.verdict["version_after"]) == (13, 1)
    assert conn.execute("SELECT to_regclass('a')").fetchone() == ("a",)


@pytest.mark.parametrize(
    ("options", "applied_at"),
    [
        ("-c TimeZone=UTC", "2026-01-02T03:04:05.678000Z"),
        ("-c TimeZone=Asia/Tokyo", "2026-01-01T18:04:05.678000Z"),
        ("-c TimeZone=UTC -c DateStyle=German", "2026-01-02T03:04:05.678000Z"),
    ],
)
def test_applied_at_carries_its_zone(
    environ: dict[str, str], conn: psycopg.Connection, options: str, applied_at: str
) -> None:
    """goose's column has none: it is the session's, in which `now()` was written."""
    run("up-to", "1", **environ)
    conn.execute("UPDATE goose_db_version SET tstamp = '2026-01-02 03:04:05.678'")

    with_options = make_conninfo(environ["MIGRATOR_DATABASE_URL"], options=options)
    environ["MIGRATOR_DATABASE_URL"] = with_options
    listed = run("status", **environ).events("migration.listed")
    environ["MIGRATOR_LOG_FORMAT"] = "console"
    shown = io.StringIO()
    main(("status",), environ, shown)

    assert listed[0]["applied_at"] == applied_at
    assert f"applied  {applied_at[:19]}Z  1 " in shown.getvalue()


def test_status(environ: dict[str, str], conn: psycopg.Connection) -> None:
    """One line a migration; a row without a file and a missed file have different states."""
    run("up-to", "1", **environ)
    conn.execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (3, true), (9, true)"
    )

    result = run("status", **environ)

    states = [
        (line["version"], line["path"], line["state"], line["applied_at"] is not None)
        for line in result.events("migration.listed")
    ]
    assert states == [
        (1, "1_a.sql", "applied", True),
        (2, "2_b.sql", "missing", False),
        (3, "3_c.sql", "applied", True),
        (9, None, "unknown", True),
    ]


def test_version(environ: dict[str, str]) -> None:
    """0 before anything is applied, and nothing is created by asking."""
    before = run("version", **environ)
    run("up", **environ)
    after = run("version", **environ)

    answers = [r.events("version.read")[0]["version"] for r in (before, after)]
    assert answers == [0, 3]


def test_validate_needs_no_database(environ: dict[str, str]) -> None:
    """It counts what it has read."""
    directory = environ["MIGRATOR_MIGRATIONS_DIR"]

    result = run("validate", MIGRATOR_MIGRATIONS_DIR=directory)

    (validated,) = result.events("files.validated")
    assert (result.exit_code, validated["files"], validated["newest"]) == (0, 3, 3)


def test_an_older_image_warns(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """A rollback of the application starts; `fail` stops it."""
    run("up", **environ)
    conn.execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9, true)"
    )

    warned = run("up", **environ)
    failed = run("up", **environ, MIGRATOR_ON_DB_AHEAD="fail")

    assert [line["versions"] for line in warned.events("database.ahead_detected")] == [
        [9]
    ]
    assert (warned.exit_code, failed.exit_code) == (0, 11)


def test_goose_variables_are_enough(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """A team that swaps the image keeps its environment."""
    result = run(
        GOOSE_DRIVER="postgres",
        GOOSE_DBSTRING=environ["MIGRATOR_DATABASE_URL"],
        GOOSE_MIGRATION_DIR=environ["MIGRATOR_MIGRATIONS_DIR"],
        GOOSE_TABLE="public.my_versions",
    )

    assert result.exit_code == 0
    row = conn.execute("SELECT count(*) FROM public.my_versions").fetchone()
    assert row == (4,)


def test_libpq_variables_are_enough(
    environ: dict[str, str], conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGHOST and its like, without any URL."""
    directory = environ["MIGRATOR_MIGRATIONS_DIR"]
    names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE"}
    names |= {"user": "PGUSER", "password": "PGPASSWORD"}
    for field, name in names.items():
        monkeypatch.setenv(name, str(getattr(conn.info, field)))

    result = run(**os.environ, MIGRATOR_MIGRATIONS_DIR=directory)

    assert result.exit_code == 0


def test_substitution_reads_the_environment(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """ENVSUB takes its values from the process's environment."""
    content = "-- +goose Up\n-- +goose ENVSUB ON\nCREATE TABLE ${NAME:-b} ();\n"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        NAME="zebra",
    )

    assert result.exit_code == 0
    assert conn.execute("SELECT to_regclass('zebra')").fetchone() == ("zebra",)


def test_the_termination_message(environ: dict[str, str], tmp_path: Path) -> None:
    """It agrees with the exit code and the last line, also for bad settings."""
    place = tmp_path / "termination-log"
    place.touch()

    result = run("up", **environ, MIGRATOR_TERMINATION_LOG=str(place))
    good = place.read_text()
    bad = run("up", MIGRATOR_TERMINATION_LOG=str(place), MIGRATOR_X="1")

    assert result.exit_code == 0
    assert good.startswith('{"outcome":"ok","exit_code":0,')
    assert bad.exit_code == 2
    assert place.read_text().startswith('{"outcome":"usage","exit_code":2,')


def test_the_console(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """For a person: one line for each migration, and what has come of them."""
    exit_code = main(["up"], {**environ, "MIGRATOR_LOG_FORMAT": "console"})

    said = capsys.readouterr().out.splitlines()
    # the test's server may have an address that is not this machine's own
    lines = [line for line in said if not line.startswith("warning: sslmode=")]
    assert exit_code == 0
    assert [_TIME.sub("T", line) for line in lines[2:]] == [
        "3 migrations to run, version 0 → 3",
        "applied   1_a.sql  (1 statement, T)",
        "applied   2_b.sql  (1 statement, T)",
        "applied   3_c.sql  (1 statement, T)",
        "3 applied, version 0 → 3, T",
    ]


_TIME = re.compile(r"\d+(\.\d)? m?s\b")


def test_answers_for_a_script(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In plain format stdout has the bare number, or the table; the rest is on stderr."""
    plain = {**environ, "MIGRATOR_LOG_FORMAT": "plain"}
    main(["up-to", "1"], plain)
    nothing = capsys.readouterr().out

    main(["version"], plain)
    version = capsys.readouterr().out
    main(["status"], plain)
    table = capsys.readouterr().out

    assert (nothing, version) == ("", "1\n")
    assert [line.split()[0] for line in table.splitlines()] == [
        "STATE",
        "applied",
        "pending",
        "pending",
    ]


def test_debug_logs_statements(environ: dict[str, str]) -> None:
    """The level decides how much is logged; the verdict is always logged."""
    debug = run("up", **environ, MIGRATOR_LOG_LEVEL="debug")
    error = run("up", **environ, MIGRATOR_LOG_LEVEL="error")

    assert [line["command"] for line in debug.events("statement.finished")] == [
        "CREATE TABLE"
    ] * 3
    assert [line["event"] for line in error.lines] == ["run.finished"]


def test_a_wrong_flag_is_logged_like_every_error() -> None:
    """With exit code 2 and the verdict on stdout."""
    result = run("up", "--dry")

    assert result.exit_code == 2
    assert result.verdict["error"] == "unknown flag --dry; see `migrator help`"


def test_secrets_of_the_environment_are_masked(database: str, tmp_path: Path) -> None:
    """Also where the server quotes a statement into which ENVSUB has put one."""
    content = "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${APP_PASSWORD}'::int;\n"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        APP_PASSWORD="hunter2",
    )

    assert result.exit_code == 13
    assert 'for type integer: "********"' in result.verdict["error"]
    assert "hunter2" not in str(result.lines)


def test_a_reader_that_goes_away_stops_nothing(environ: dict[str, str]) -> None:
    """The migration is more important than its log."""
    command = [sys.executable, str(EXAMPLE.parent / "entrypoint.py"), "up"]
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        command,
        env={**environ, "PATH": os.environ["PATH"]},
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )

    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")
    assert run("version", **environ).events("version.read")[0]["version"] == 3


def test_a_step_that_another_run_has_recorded_is_reported(
    database: str, tmp_path: Path
) -> None:
    """And the verdict agrees with the table: nothing is pending."""
    content = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true);"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    result = run(
        "up", MIGRATOR_DATABASE_URL=database, MIGRATOR_MIGRATIONS_DIR=str(directory)
    )

    assert [line["version"] for line in result.events("migration.skipped")] == [1]
    assert (result.verdict["applied"], result.verdict["pending"]) == ([], 0)
    assert result.verdict["version_after"] == 1


def test_whatever_a_script_raises_there_is_a_verdict(
    database: str, tmp_path: Path
) -> None:
    """Also what is no Exception, such as asyncio's CancelledError."""
    script = b"import asyncio\n\ndef up(conn):\n    raise asyncio.CancelledError\n"
    directory = write(tmp_path / "m", {"1_a.py": script})

    result = run(
        "up", MIGRATOR_DATABASE_URL=database, MIGRATOR_MIGRATIONS_DIR=str(directory)
    )

    assert (result.exit_code, result.verdict["failed"]["line"]) == (13, 4)

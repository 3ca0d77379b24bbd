"""Files that this user may not read, such as those of `umask 077` in an image."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.postgres import as_nobody, let_through
from tests.helpers.support import Result, run, write


FILES = {"1_a.sql": "SELECT 1;", "2_b.sql": "SELECT 2;", "3_c.sql": "SELECT 3;"}
REASON = "the file cannot be read: Permission denied; fix its permissions"


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """Two of three files are applied, then the first one is closed to others."""
    directory = write(tmp_path / "m", FILES)
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
    }
    run("up-to", "2", **environ)
    (directory / "1_a.sql").chmod(0o600)
    let_through(directory)
    return environ


def unprivileged(*argv: str, environ: dict[str, str]) -> Result:
    """Run a command as a user who owns none of the files."""
    with as_nobody():
        return run(*argv, **environ)


@pytest.mark.parametrize(
    "argv",
    [("up",), ("plan",), ("down",), ("down-to", "1"), ("redo",), ("validate",)],
    ids=" ".join,
)
def test_an_unreadable_file_that_is_applied_ends_the_run(
    argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    """Its content is unknown, which is not the same as changed; 10, not drift."""
    result = unprivileged(*argv, environ=environ)

    assert result.exit_code == 10
    assert result.verdict["error"] == f"1_a.sql: {REASON}"
    assert result.events("drift.found") == []


@pytest.mark.parametrize("policy", ["warn", "fail", "ignore"])
def test_an_unreadable_file_is_10_whatever_is_done_about_drift(
    policy: str, environ: dict[str, str]
) -> None:
    """Nothing is compared before every file could be read."""
    result = unprivileged("up", environ=environ | {"MIGRATOR_ON_DRIFT": policy})

    assert result.exit_code == 10
    assert result.events("drift.found") == []


def test_an_unreadable_file_is_not_recorded_by_baseline(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Its checksum could not be noted, and would look changed ever after."""
    run("reset", **environ)
    conn.execute("DROP TABLE goose_db_version, migrator_history")
    result = unprivileged("baseline", "2", environ=environ)

    assert result.exit_code == 10
    assert conn.execute("SELECT to_regclass('goose_db_version')").fetchone() == (None,)


def test_status_needs_the_names_of_unreadable_files_alone(
    environ: dict[str, str],
) -> None:
    """It shows what is applied, as for files with other faults."""
    result = unprivileged("status", environ=environ)

    assert result.exit_code == 0
    assert [line["state"] for line in result.events("migration.listed")] == [
        "applied",
        "applied",
        "pending",
    ]

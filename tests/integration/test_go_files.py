"""Files in Go, which the program that they are compiled into has applied, or not."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import Result, run


@pytest.fixture
def directory(tmp_path: Path, conn: psycopg.Connection) -> Path:
    """An SQL file, one in Go and two in SQL; the first two are applied."""
    for number in (1, 3, 4):
        (tmp_path / f"{number}_a.sql").write_text(
            f"-- +goose Up\nCREATE TABLE t{number} ();\n"
            f"-- +goose Down\nDROP TABLE t{number};\n"
        )
    (tmp_path / "2_a.go").write_text("package migrations\n")
    conn.execute(
        "CREATE TABLE t1 (); CREATE TABLE goose_db_version (id serial PRIMARY KEY,"
        " version_id bigint NOT NULL, is_applied boolean NOT NULL,"
        " tstamp timestamp NOT NULL DEFAULT now());"
        " INSERT INTO goose_db_version (version_id, is_applied)"
        " VALUES (0, true), (1, true), (2, true)"
    )
    return tmp_path


def call(database: str, directory: Path, *argv: str) -> Result:
    """Run a command on the database with the files."""
    return run("-dir", str(directory), "postgres", database, *argv)


def test_go_files_that_are_applied_are_warnings(database: str, directory: Path) -> None:
    """`plan`, `up` and `down-to` above one work and warn; `status` lists it."""
    results = [
        call(database, directory, *line.split())
        for line in ("plan", "up", "down-to 2", "up", "redo", "status")
    ]

    assert [result.exit_code for result in results] == [0] * 6
    for result in results[:4]:
        (warning,) = result.events("file.warned")
        assert (warning["path"], warning["slug"]) == ("2_a.go", "go_file")
    listed = results[5].events("migration.listed")
    assert [line["state"] for line in listed] == ["applied"] * 4


def test_go_files_that_would_run_stop_the_run(database: str, directory: Path) -> None:
    """One that is pending, or is to be rolled back, ends with 10 before anything."""
    assert call(database, directory, "down").exit_code == 10
    (directory / "5_a.go").touch()
    result = call(database, directory, "up")

    assert (result.exit_code, result.verdict["applied"]) == (10, [])

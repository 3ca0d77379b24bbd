"""Each kind of bad input has its own exit code and one sentence that says what to do."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.support import Result, run, write


pytestmark = pytest.mark.usefixtures("both_ways")


def up(dsn: str, directory: Path, **environ: str) -> Result:
    """Run `up` on files in *directory*."""
    return run(
        "up",
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_CONNECT_WAIT="200ms",
        **environ,
    )


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A directory with one file that is all right."""
    return write(tmp_path / "good", {"1_a.sql": "CREATE TABLE a ();"})


def made(conn: psycopg.Connection) -> list[str]:
    """The tables in `public` but goose's."""
    rows = conn.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT IN ('goose_db_version', 'migrator_history') ORDER BY 1"
    )
    return [name for (name,) in rows]


def test_no_url() -> None:
    """It names the variable and shows a URL."""
    result = run("up")

    assert result.exit_code == 2
    assert result.verdict["error"] == (
        "no database: set MIGRATOR_DATABASE_URL to postgresql://user:password@"
        "host:5432/dbname, or MIGRATOR_DATABASE_URL_FILE, or PGHOST and others"
    )


def test_a_malformed_url(good: Path) -> None:
    """It shows how to write one, and nothing of what was written."""
    result = up("postgresql://u:hunter2%@h/d", good)

    assert result.exit_code == 2
    assert (
        "special characters of the password percent-encoded" in result.verdict["error"]
    )
    assert "hunter2" not in str(result.lines)


def test_a_url_in_the_wrong_variable(good: Path) -> None:
    """It is refused and not repeated."""
    result = run("", MIGRATOR_COMMAND="postgres://u:hunter2@h/db")

    assert (result.exit_code, result.verdict["command"]) == (2, "unknown")
    assert "hunter2" not in str(result.lines)


def test_an_unknown_variable(database: str, good: Path) -> None:
    """It names the nearest known one."""
    result = up(database, good, MIGRATOR_LOCKWAIT="1s")

    assert result.exit_code == 2
    assert result.verdict["error"] == (
        "MIGRATOR_LOCKWAIT is not a setting; did you mean MIGRATOR_LOCK_WAIT?"
    )


def test_an_unknown_command(database: str) -> None:
    """It lists the known ones."""
    result = run("upp", MIGRATOR_DATABASE_URL=database)

    assert result.exit_code == 2
    assert "'up', 'up-by-one', 'up-to', 'down'," in result.verdict["error"]


def test_a_wrong_password(database: str, conn: psycopg.Connection, good: Path) -> None:
    """It is not waited for, and the password is not shown."""
    role = f"locked_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'right'")
    wrong = {**conninfo_to_dict(database), "user": role, "password": "hunter2"}

    result = up(make_conninfo("", **wrong), good)

    conn.execute(f"DROP ROLE {role}")
    if result.exit_code == 0 or result.verdict["failed"]["sqlstate"] == "42501":
        pytest.skip("this server trusts everybody and asks for no password")
    assert result.exit_code == 15
    assert result.verdict["error"] == (
        f'password authentication failed for user "{role}" (SQLSTATE 28P01);'
        " check user, password and pg_hba.conf"
    )


def test_a_missing_database(database: str, good: Path) -> None:
    """It names the database."""
    nowhere = make_conninfo("", **{**conninfo_to_dict(database), "dbname": "nowhere"})

    result = up(nowhere, good)

    assert result.exit_code == 15
    assert result.verdict["error"] == (
        'database "nowhere" does not exist (SQLSTATE 3D000);'
        " create the database, or correct its name in the URL"
    )


def test_an_unreachable_host(good: Path) -> None:
    """It says how long it tried, and is worth trying again."""
    result = up("postgresql://u@127.0.0.1:1/db", good)

    assert (result.exit_code, result.verdict["retryable"]) == (20, True)
    assert result.verdict["error"].startswith("no connection within 0 s: connection to")
    assert result.verdict["error"].endswith("or raise MIGRATOR_CONNECT_WAIT")


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_directory_that_cannot_be_used(
    database: str, tmp_path: Path, kind: str
) -> None:
    """Not there, a file, or without a migration; the error has the whole path."""
    directory = tmp_path / kind
    if kind == "file":
        directory.write_text("")
    if kind == "empty":
        directory.mkdir()

    result = up(database, directory)

    assert result.exit_code == 10
    assert str(directory) in result.verdict["error"]


def test_duplicate_versions(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Both files are named; nothing is applied, not even before them."""
    directory = write(
        tmp_path / "m",
        dict.fromkeys(("1_a.sql", "2_b.sql", "00002_c.sql"), "CREATE TABLE a ();"),
    )

    result = up(database, directory)

    assert result.exit_code == 10
    assert "2_b.sql" in str(result.lines)
    assert "00002_c.sql" in str(result.lines)
    assert made(conn) == []


@pytest.mark.parametrize(
    "name", ["0012-add.sql", "add.sql", "0_zero.sql", "-1_x.sql", "x_1.sql"]
)
def test_bad_names(
    database: str, conn: psycopg.Connection, tmp_path: Path, name: str
) -> None:
    """A file that would never run is not passed over in silence."""
    directory = write(
        tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();", name: "SELECT 1;"}
    )

    result = up(database, directory)

    assert result.exit_code == 10
    assert name in result.verdict["error"]
    assert made(conn) == []


def test_broken_sql_in_the_third_of_five_files(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Two stay applied, the third leaves nothing, the rest does not run."""
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": "CREATE TABLE a ();",
            "2_b.sql": "CREATE TABLE b ();",
            "3_c.sql": "CREATE TABLE c ();\nCREATE TABEL d ();",
            "4_e.sql": "CREATE TABLE e ();",
            "5_f.sql": "CREATE TABLE f ();",
        },
    )

    result = up(database, directory)

    assert result.exit_code == 13
    assert (result.verdict["applied"], result.verdict["pending"]) == ([1, 2], 3)
    assert result.verdict["error"] == (
        '3_c.sql:3:8: syntax error at or near "TABEL" (SQLSTATE 42601);'
        " the migration was rolled back; fix the file and re-run"
    )
    assert made(conn) == ["a", "b"]


def test_faults_in_two_files_at_once(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Both are reported, and nothing is applied: not even the file before them."""
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": "CREATE TABLE a ();",
            "2_b.sql": "-- +goose Up\nSELECT 1\n",
            "3_c.sql": "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n",
        },
    )

    result = up(database, directory)

    assert result.exit_code == 10
    assert [line["path"] for line in result.events("file.rejected")] == [
        "2_b.sql",
        "3_c.sql",
    ]
    assert made(conn) == []


def test_a_line_of_5_mb(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """goose's limit is 4 MiB; the way out has none."""
    line = f"SELECT '{'x' * 5_000_000}';"
    directory = write(tmp_path / "m", {"1_a.sql": f"CREATE TABLE a ();\n{line}"})

    result = up(database, directory)
    again = up(database, directory, MIGRATOR_SPLIT="postgres")

    assert result.exit_code == 10
    assert result.verdict["error"].startswith("1_a.sql:3")
    assert "MIGRATOR_SPLIT=postgres" in result.verdict["error"]
    assert again.exit_code == 0
    assert made(conn) == ["a"]


def test_invalid_utf_8(database: str, conn: psycopg.Connection, tmp_path: Path) -> None:
    """The byte is pointed at, before anything is applied."""
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": "CREATE TABLE a ();",
            "2_b.sql": b"-- +goose Up\nSELECT 1;\nSELECT '\xff';\n",
        },
    )

    result = up(database, directory)

    assert result.exit_code == 10
    assert result.verdict["error"].startswith("2_b.sql:3:9: ")
    assert made(conn) == []


def test_a_file_that_commits_by_itself(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """It is found before it runs."""
    directory = write(
        tmp_path / "m",
        {"1_a.sql": "CREATE TABLE a ();", "2_b.sql": "CREATE TABLE b ();\nCOMMIT;"},
    )

    result = up(database, directory)

    assert result.exit_code == 10
    assert result.verdict["error"].startswith("2_b.sql:3:1: ")
    assert "NO TRANSACTION" in result.verdict["error"]
    assert made(conn) == []


def test_faults_of_what_does_not_run_are_warnings(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """goose reads lazily: a broken Down stops nobody's `up`, but `validate`."""
    directory = write(
        tmp_path / "m",
        {"1_a.sql": "-- +goose Up\nCREATE TABLE a ();\n-- +goose Down\nDROP TABLE a\n"},
    )

    result = up(database, directory)
    checked = run("validate", MIGRATOR_MIGRATIONS_DIR=str(directory))

    assert result.exit_code == 0
    assert [each["level"] for each in result.events("file.warned")] == ["warning"]
    assert result.events("file.rejected") == []
    assert checked.exit_code == 10
    assert made(conn) == ["a"]

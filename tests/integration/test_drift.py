"""Our side table: what was applied, and whether the files still say so."""

from pathlib import Path

import psycopg
import pytest

from migrator import __version__
from migrator.source.checksum import checksum
from tests.helpers.support import run, write


pytestmark = pytest.mark.usefixtures("both_ways")


ONE = "-- +goose Up\nCREATE TABLE IF NOT EXISTS a ();\n-- +goose Down\nDROP TABLE a;\n"


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """One file and a database."""
    return {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(write(tmp_path / "m", {"1_a.sql": ONE})),
    }


def change(environ: dict[str, str]) -> None:
    """Change the applied file."""
    file = Path(environ["MIGRATOR_MIGRATIONS_DIR"]) / "1_a.sql"
    file.write_text(ONE.replace("a ()", "a (x int)"))


def rows(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """What the side table says, without times."""
    return conn.execute(
        "SELECT tracking_table, tracking_id IS NOT NULL, version_id, action, path,"
        " checksum, migrator_version, done_by FROM migrator_history ORDER BY id"
    ).fetchall()


def test_what_ran_is_recorded(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Both directions, in the migration's own transaction."""
    run("up", **environ)
    run("down", **environ)

    origin = (checksum(ONE.encode()), __version__, conn.info.user)
    assert rows(conn) == [
        ("goose_db_version", True, 1, "up", "1_a.sql", *origin),
        ("goose_db_version", False, 1, "down", "1_a.sql", *origin),
    ]


def test_a_failing_migration_is_not_recorded(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """The row is rolled back with the rest."""
    directory = Path(environ["MIGRATOR_MIGRATIONS_DIR"])
    write(directory, {"2_b.sql": "CREATE TABLE b ();\nSELECT 1/0;"})

    result = run("up", **environ)

    assert result.exit_code == 13
    assert [row[2] for row in rows(conn)] == [1]


def test_a_changed_file_is_reported(environ: dict[str, str]) -> None:
    """By default as a warning; `up` and `plan` agree."""
    run("up", **environ)
    change(environ)

    results = [run(command, **environ) for command in ("up", "plan")]

    assert [r.exit_code for r in results] == [0, 0]
    for result in results:
        (found,) = result.events("drift.found")
        assert (found["version"], found["path"], found["level"]) == (
            1,
            "1_a.sql",
            "warning",
        )
        assert found["applied"] == checksum(ONE.encode()) != found["found"]


def test_a_changed_file_can_stop_the_run(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Before anything is applied, with its own exit code."""
    run("up", **environ)
    change(environ)
    directory = Path(environ["MIGRATOR_MIGRATIONS_DIR"])
    write(directory, {"2_b.sql": "CREATE TABLE b ();"})

    result = run("up", **environ, MIGRATOR_ON_DRIFT="fail")

    assert (result.exit_code, result.verdict["outcome"]) == (12, "drift")
    assert "1_a.sql" in result.verdict["error"]
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_a_change_can_be_ignored(environ: dict[str, str]) -> None:
    """With `MIGRATOR_ON_DRIFT=ignore` nothing is logged."""
    run("up", **environ)
    change(environ)

    result = run("up", **environ, MIGRATOR_ON_DRIFT="ignore")

    assert (result.exit_code, result.events("drift.found")) == (0, [])


def test_a_changed_python_file_is_reported(environ: dict[str, str]) -> None:
    """What is applied is judged, whatever it is written in."""
    file = Path(environ["MIGRATOR_MIGRATIONS_DIR"]) / "2_b.py"
    file.write_text("def up(conn):\n    pass\n")
    run("up", **environ)
    file.write_text("def up(conn):\n    conn.execute('SELECT 1')\n")

    result = run("up", **environ, MIGRATOR_ON_DRIFT="fail")

    assert [line["path"] for line in result.events("drift.found")] == ["2_b.py"]
    assert result.exit_code == 12


def test_a_role_that_may_not_write_it_migrates_all_the_same(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Somebody else made the side table: comfort is lost, nothing else."""
    role = f"reader_{conn.info.backend_pid}"
    run("up", **environ)
    conn.execute(
        f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role};"
        f" GRANT ALL ON goose_db_version TO {role}"
    )
    directory = Path(environ["MIGRATOR_MIGRATIONS_DIR"])
    write(directory, {"2_b.sql": "CREATE TABLE b ();"})

    result = run("up", **environ, MIGRATOR_ROLE=role)

    conn.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    assert (result.exit_code, result.verdict["applied"]) == (0, [2])
    assert [row[2] for row in rows(conn)] == [1]


def test_line_ends_are_no_change(environ: dict[str, str]) -> None:
    """A checkout on Windows says the same."""
    run("up", **environ)
    file = Path(environ["MIGRATOR_MIGRATIONS_DIR"]) / "1_a.sql"
    file.write_bytes(ONE.replace("\n", "\r\n").encode())

    assert run("up", **environ, MIGRATOR_ON_DRIFT="fail").exit_code == 0


def test_what_another_tool_has_applied_again_is_no_drift(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """goose took it back and applied the changed file: its row is not the one we knew."""
    run("up", **environ)
    change(environ)
    conn.execute("DELETE FROM goose_db_version WHERE version_id = 1")
    conn.execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"
    )

    result = run("up", **environ, MIGRATOR_ON_DRIFT="fail")

    assert (result.exit_code, result.events("drift.found")) == (0, [])


def test_history_can_be_turned_off(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """Then nothing of ours is in the database."""
    result = run("up", **environ, MIGRATOR_HISTORY="false")

    assert result.exit_code == 0
    assert conn.execute("SELECT to_regclass('migrator_history')").fetchone() == (None,)


def test_history_table_that_was_dropped_is_created_again(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """A history table that was dropped is created again."""
    run("up", **environ)
    conn.execute("DROP TABLE migrator_history")

    down, up = run("down", **environ), run("up", **environ)

    assert (down.exit_code, up.exit_code) == (0, 0)
    assert [row[3] for row in rows(conn)] == ["down", "up"]


@pytest.mark.parametrize("table", ["", "CREATE TABLE other (LIKE goose_db_version);"])
@pytest.mark.parametrize(
    ("privilege", "kept"), [("SELECT, INSERT, UPDATE", ["other"]), ("SELECT", [])]
)
def test_history_table_is_used_by_a_second_tracking_table(
    environ: dict[str, str],
    conn: psycopg.Connection,
    table: str,
    privilege: str,
    kept: list[str],
) -> None:
    """It is not created again; where the role may not write it, the run says so."""
    run("up", **environ)
    role = f"second_{conn.info.backend_pid}"
    conn.execute(
        f"CREATE ROLE {role}; GRANT CREATE, USAGE ON SCHEMA public TO {role};"
        f" GRANT {privilege} ON migrator_history TO {role}"
    )
    if table:
        conn.execute(
            "CREATE TABLE other (LIKE goose_db_version INCLUDING ALL);"
            f" GRANT ALL ON other TO {role}"
        )
    directory = Path(environ["MIGRATOR_MIGRATIONS_DIR"])
    (directory / "1_a.sql").write_text("-- +goose Up\nCREATE TABLE b ();\n")

    result = run("up", **environ, MIGRATOR_ROLE=role, MIGRATOR_TABLE="other")

    written = [row[0] for row in rows(conn)[1:]]
    conn.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    assert (result.exit_code, result.verdict["applied"]) == (0, [1]), result.verdict
    assert written == kept
    assert len(result.events("setting.ignored")) == (not kept)


def test_a_role_that_may_not_create_it_migrates_all_the_same(
    environ: dict[str, str], conn: psycopg.Connection
) -> None:
    """The tracking table is there, and its schema is closed: we do without."""
    role = f"closed_{conn.info.backend_pid}"
    run("version", **environ)
    conn.execute(
        "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT NULL,"
        " is_applied boolean NOT NULL, tstamp timestamp DEFAULT now());"
        " INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true);"
        f" CREATE ROLE {role}; REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        f" GRANT ALL ON goose_db_version, goose_db_version_id_seq TO {role};"
        f" CREATE SCHEMA app AUTHORIZATION {role}"
    )
    directory = Path(environ["MIGRATOR_MIGRATIONS_DIR"])
    (directory / "1_a.sql").write_text("-- +goose Up\nCREATE TABLE app.a ();\n")

    result = run("up", **environ, MIGRATOR_ROLE=role)

    conn.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")
    assert (result.exit_code, result.verdict["applied"]) == (0, [1])
    assert [e["variable"] for e in result.events("setting.ignored")] == [
        "MIGRATOR_HISTORY"
    ]
    assert conn.execute("SELECT to_regclass('migrator_history')").fetchone() == (None,)

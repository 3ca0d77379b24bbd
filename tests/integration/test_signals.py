"""SIGTERM, SIGINT and the deadline, in every phase of a real process."""

import signal
from pathlib import Path

import psycopg
import pytest

from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from tests.helpers.support import ended, heard, started, until, write


pytestmark = pytest.mark.usefixtures("both_ways")


SLEEPING = "CREATE TABLE b ();\nSELECT pg_sleep(60);"


def sessions(conn: psycopg.Connection, query: str) -> int:
    """How many other sessions of this database run or last ran the query."""
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND query LIKE %s",
        [query],
    ).fetchone()
    return row[0] if row else 0


def applied(conn: psycopg.Connection) -> list[int]:
    """Versions in goose's table."""
    rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [version for (version,) in rows]


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_in_a_statement(
    database: str, conn: psycopg.Connection, tmp_path: Path, signum: int, code: int
) -> None:
    """The statement is cancelled, its migration rolled back, nobody is left behind."""
    directory = write(
        tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();", "2_b.sql": SLEEPING}
    )

    with started(database, directory) as process:
        until(lambda: sessions(conn, "SELECT pg_sleep%"))
        result = ended(process, signum)

    assert result.exit_code == result.verdict["exit_code"] == code
    assert result.verdict["applied"] == [1]
    assert [line["event"] for line in result.lines[-3:]] == [
        "migration.failed",
        "run.interrupted",
        "run.finished",
    ]
    assert applied(conn) == [0, 1]
    until(lambda: sessions(conn, "%") == 0)


def deferring(body: str) -> str:
    """A migration whose COMMIT runs the body of a PL/pgSQL function."""
    return (
        "-- +goose Up\n"
        "CREATE TABLE b (x int);\n"
        "-- +goose StatementBegin\n"
        f"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;\n"
        "-- +goose StatementEnd\n"
        "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON b DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION f();\n"
        "INSERT INTO b VALUES (1);\n"
    )


def test_in_a_commit(database: str, conn: psycopg.Connection, tmp_path: Path) -> None:
    """Deferred constraints are cancelled as a statement is, and all is rolled back."""
    content = deferring("PERFORM pg_sleep(60); RETURN NULL;")
    directory = write(tmp_path / "m", {"1_b.sql": content})

    with started(database, directory) as process:
        until(lambda: sessions(conn, "COMMIT"))
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert result.verdict["applied"] == []
    assert applied(conn) == [0]
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_signal_in_a_commit_that_succeeds_is_reported_as_applied(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """What is committed all the same is reported as applied; what follows does not begin."""
    body = "PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN RETURN NULL;"
    contents = {"1_b.sql": deferring(body), "2_c.sql": SLEEPING}
    directory = write(tmp_path / "m", contents)

    with started(database, directory) as process:
        until(lambda: sessions(conn, "COMMIT"))
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert result.verdict["applied"] == [1]
    assert applied(conn) == [0, 1]


def test_the_deadline_in_a_commit(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """PostgreSQL has no timeout for it; the run's own deadline holds."""
    content = deferring("PERFORM pg_sleep(60); RETURN NULL;")
    directory = write(tmp_path / "m", {"1_b.sql": content})

    with started(database, directory, MIGRATOR_DEADLINE="2s") as process:
        result = ended(process)

    assert result.exit_code == 24
    assert applied(conn) == [0]


def test_while_waiting_for_the_lock(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The wait ends at once."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])

    with started(database, directory) as process:
        heard(process, "lock.contended")
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert [line["event"] for line in result.lines] == [
        "run.interrupted",
        "run.finished",
    ]


def test_while_waiting_for_the_server(tmp_path: Path) -> None:
    """The wait ends at once; nothing was touched."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})

    with started("postgresql://u@127.0.0.1:1/db", directory) as process:
        heard(process, "connection.retried")
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143


def test_in_the_sleep_of_a_retry(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A retry is not begun any more."""
    conn.execute("CREATE TABLE a ()")
    directory = write(tmp_path / "m", {"1_a.sql": "ALTER TABLE a ADD x int;"})

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE a")
        with started(database, directory, MIGRATOR_LOCK_TIMEOUT="50ms") as process:
            heard(process, "migration.retried")
            result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert applied(conn) == [0]


def test_half_way_through_a_no_transaction_file(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The statement is rolled back; what is in effect is noted, and said."""
    content = f"-- +goose Up\n-- +goose NO TRANSACTION\n{SLEEPING}\n"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    with started(database, directory) as process:
        until(lambda: sessions(conn, "SELECT pg_sleep%"))
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert result.verdict["error"] == (
        "stopped by SIGTERM: rolled back and unlocked; re-run; 1 of 2 statements of"
        " 1_a.sql are applied and recorded; the next run resumes after them"
    )
    assert conn.execute("SELECT to_regclass('b')").fetchone() == ("b",)


def test_in_the_first_statement_of_a_no_transaction_file(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """It has a transaction of its own: nothing is in effect."""
    content = "-- +goose Up\n-- +goose NO TRANSACTION\nSELECT pg_sleep(60);\n"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    with started(database, directory) as process:
        until(lambda: sessions(conn, "SELECT pg_sleep%"))
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert "may still have been applied" not in result.verdict["error"]


def test_the_deadline(database: str, conn: psycopg.Connection, tmp_path: Path) -> None:
    """It cancels and rolls back as a signal does, with its own code."""
    directory = write(tmp_path / "m", {"1_b.sql": SLEEPING})

    with started(database, directory, MIGRATOR_DEADLINE="2s") as process:
        result = ended(process)

    assert result.exit_code == 24
    assert result.verdict["retryable"] is True
    assert applied(conn) == [0]
    until(lambda: sessions(conn, "%") == 0)


def test_a_killed_process_leaves_a_clean_database(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """SIGKILL in a migration: the next run applies it as if nothing had happened."""
    directory = write(
        tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();", "2_b.sql": SLEEPING}
    )
    with started(database, directory) as process:
        until(lambda: sessions(conn, "SELECT pg_sleep%"))
        process.kill()
        process.wait()
    (directory / "2_b.sql").write_text("-- +goose Up\nCREATE TABLE b ();\n")

    with started(database, directory, MIGRATOR_LOCK_WAIT="60s") as process:
        result = ended(process)

    assert result.exit_code == 0
    assert applied(conn) == [0, 1, 2]

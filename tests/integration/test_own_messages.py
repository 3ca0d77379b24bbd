"""What the server refuses of our own messages: the COMMIT, and the version's row."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.helpers.support import Result, run, write


pytestmark = pytest.mark.usefixtures("both_ways")

DEFERRED = """\
CREATE TABLE p (i int PRIMARY KEY);
CREATE TABLE c (i int REFERENCES p DEFERRABLE INITIALLY DEFERRED);
"""
ROLLED_BACK = "the migration was rolled back; "
UNFIT = (
    f'{ROLLED_BACK}"public"."goose_db_version" and migrator_history beside it must take'
    " the rows of goose and of migrator: remove the column, constraint, index or trigger"
    " that was added, also where a file adds it, then re-run"
)
GONE = (
    f"{ROLLED_BACK}the file, or another session since this run began, dropped or renamed"
    " what it names: remove that from the file, or restore it, then re-run"
)


def migrate(dsn: str, directory: Path, *argv: str, **environ: str) -> Result:
    """Run a command, by default `up`."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_RETRY="2s",
        **environ,
    )


@pytest.fixture
def directory(database: str, tmp_path: Path) -> Path:
    """A directory whose first migration is applied."""
    made = write(tmp_path / "m", {"00001_a.sql": DEFERRED})
    assert migrate(database, made).exit_code == 0
    return made


def versions(conn: psycopg.Connection) -> list[int]:
    """What the tracking table says."""
    rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [version for (version,) in rows]


def place(result: Result) -> dict[str, Any]:
    """The fields of the place at which a run failed."""
    failed = result.verdict["failed"]
    names = ("version", "path", "line", "column", "statement", "phase")
    return {name: failed[name] for name in names if name in failed}


def test_a_deferred_constraint_at_commit(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The place is the COMMIT, not line 1; the error has DETAIL and what to do."""
    write(directory, {"00002_b.sql": "INSERT INTO c VALUES (7);\nSELECT 1;"})

    result = migrate(database, directory)

    assert (result.exit_code, place(result)) == (
        13,
        {"version": 2, "path": "00002_b.sql", "phase": "at COMMIT"},
    )
    assert result.verdict["error"] == (
        '00002_b.sql at COMMIT: insert or update on table "c" violates foreign key'
        ' constraint "c_i_fkey": Key (i)=(7) is not present in table "p" (SQLSTATE'
        f" 23503); {ROLLED_BACK}fix the data or the file, then re-run"
    )
    assert versions(conn) == [0, 1]


def test_contention_at_commit_is_retried(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A serialization failure of the COMMIT is no fault of the file."""
    conn.execute(
        "CREATE SEQUENCE attempt; CREATE FUNCTION once() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN IF nextval('attempt') = 1 THEN RAISE 'first'"
        " USING ERRCODE = '40001'; END IF; RETURN NULL; END $$;"
        " CREATE CONSTRAINT TRIGGER t AFTER INSERT ON p DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION once()"
    )
    write(directory, {"00002_b.sql": "INSERT INTO p VALUES (7);"})

    result = migrate(database, directory)

    assert (result.exit_code, versions(conn)) == (0, [0, 1, 2])
    (retried,) = result.events("migration.retried")
    assert (retried["path"], retried["sqlstate"]) == ("00002_b.sql", "40001")


def test_a_deferred_constraint_of_a_file_without_a_transaction(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """There the statement's own end is the COMMIT, and nothing was in a transaction."""
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nINSERT INTO c VALUES (7);\n"
    write(directory, {"00002_b.sql": text})

    result = migrate(database, directory)

    assert (result.exit_code, place(result)["line"]) == (13, 3)
    assert result.verdict["error"] == (
        '00002_b.sql:3:1: insert or update on table "c" violates foreign key'
        ' constraint "c_i_fkey": Key (i)=(7) is not present in table "p" (SQLSTATE'
        " 23503); nothing of this migration was applied; fix the file and re-run"
    )


def test_detail_of_a_statement(database: str, directory: Path) -> None:
    """PostgreSQL's DETAIL says which row it is about."""
    write(directory, {"00002_b.sql": "INSERT INTO p VALUES (7), (7);"})

    result = migrate(database, directory)

    assert result.verdict["error"] == (
        '00002_b.sql:2:1: duplicate key value violates unique constraint "p_pkey":'
        " Key (i)=(7) already exists (SQLSTATE 23505);"
        f" {ROLLED_BACK}fix the file and re-run"
    )


EXTRA = "ALTER TABLE goose_db_version ADD extra int NOT NULL DEFAULT 1;"
UNFIT_TABLES = {
    "an extra NOT NULL column": (
        f"{EXTRA} ALTER TABLE goose_db_version ALTER extra DROP DEFAULT",
        "23502",
        (
            'null value in column "extra" of relation "goose_db_version" violates not-null'
            " constraint: Failing row contains ("
        ),
    ),
    "a unique index": (
        (
            "CREATE UNIQUE INDEX u ON goose_db_version (is_applied)"
            " WHERE version_id > 0 AND is_applied"
        ),
        "23505",
        (
            'duplicate key value violates unique constraint "u": Key (is_applied)=(t)'
            " already exists"
        ),
    ),
    "a check": (
        "ALTER TABLE goose_db_version ADD CONSTRAINT few CHECK (version_id < 2)",
        "23514",
        'new row for relation "goose_db_version" violates check constraint "few":',
    ),
    "an extra column of the history": (
        (
            "ALTER TABLE migrator_history ADD x int NOT NULL DEFAULT 1;"
            " ALTER TABLE migrator_history ALTER x DROP DEFAULT"
        ),
        "23502",
        'null value in column "x" of relation "migrator_history" violates not-null',
    ),
}


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize(
    ("change", "sqlstate", "message"), UNFIT_TABLES.values(), ids=UNFIT_TABLES.keys()
)
def test_a_tracking_table_that_does_not_take_the_row(
    database: str, conn: psycopg.Connection, directory: Path, change: str, sqlstate: str, message: str, *, transaction: bool
) -> None:  # fmt: skip
    """It is the table that must change, not the file: 11, and nothing is applied."""
    conn.execute(change.encode())
    head = "" if transaction else "-- +goose NO TRANSACTION\n"
    write(directory, {"00002_b.sql": f"{head}-- +goose Up\nCREATE TABLE b ();\n"})

    result = migrate(database, directory)

    state = ROLLED_BACK if transaction else "nothing of this migration was applied; "
    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (11, sqlstate)
    assert place(result) == {
        "version": 2,
        "path": "00002_b.sql",
        "phase": "recording the version",
    }
    assert result.verdict["error"].startswith(
        f"00002_b.sql, recording the version: {message}"
    )
    assert result.verdict["error"].endswith(UNFIT.replace(ROLLED_BACK, state))
    assert (versions(conn), relation(conn, "b")) == ([0, 1], None)


def relation(conn: psycopg.Connection, name: str) -> str | None:
    """The relation of that name, if there is one."""
    (found,) = conn.execute("SELECT to_regclass(%s)::text", [name]).fetchone() or (
        None,
    )
    return str(found) if found else None


def test_a_column_too_small_for_a_timestamp(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """An int4 version_id cannot hold a version that is a time."""
    conn.execute("ALTER TABLE goose_db_version ALTER version_id TYPE int")
    write(directory, {"20261130120000_b.sql": "CREATE TABLE b ();"})

    result = migrate(database, directory)
    message = result.verdict["error"]
    conn.execute(message.split("for the version: ")[1].removesuffix(", then re-run"))
    again = migrate(database, directory)

    assert (result.exit_code, message) == (
        11,
        (
            "20261130120000_b.sql, recording the version: integer out of range (SQLSTATE"
            f" 22003); {ROLLED_BACK}the column version_id is too small for the version:"
            ' ALTER TABLE "public"."goose_db_version" ALTER COLUMN version_id TYPE bigint,'
            " then re-run"
        ),
    )
    assert (again.exit_code, versions(conn)) == (0, [0, 1, 20261130120000])


BY_THE_FILE = {
    "dropped": (
        "DROP TABLE goose_db_version;",
        f'relation "public.goose_db_version" does not exist (SQLSTATE 42P01); {GONE}',
    ),
    "renamed": (
        "ALTER TABLE goose_db_version RENAME TO g;",
        f'relation "public.goose_db_version" does not exist (SQLSTATE 42P01); {GONE}',
    ),
    "history dropped": (
        "DROP TABLE migrator_history;",
        f'relation "public.migrator_history" does not exist (SQLSTATE 42P01); {GONE}',
    ),
    "read-only": (
        "SET TRANSACTION READ ONLY;\nSELECT 1;",
        (
            "cannot execute SELECT in a read-only transaction (SQLSTATE 25006);"
            f" {ROLLED_BACK}the file makes the transaction read-only (SET TRANSACTION,"
            " default_transaction_read_only): remove that from the file, then re-run"
        ),
    ),
}


@pytest.mark.parametrize(
    ("text", "message"), BY_THE_FILE.values(), ids=BY_THE_FILE.keys()
)
def test_a_row_that_the_file_makes_impossible(
    database: str, conn: psycopg.Connection, directory: Path, text: str, message: str
) -> None:
    """The file is to be fixed, and the message says what in it."""
    write(directory, {"00002_b.sql": text})

    result = migrate(database, directory)
    write(directory, {"00002_b.sql": "SELECT 1;"})
    again = migrate(database, directory)

    assert (result.exit_code, result.verdict["error"]) == (
        13,
        f"00002_b.sql, recording the version: {message}",
    )
    assert (again.exit_code, versions(conn)) == (0, [0, 1, 2])


@pytest.mark.parametrize(
    "setting",
    [
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;",
        "SET default_transaction_read_only = on;",
    ],
)
@pytest.mark.parametrize("text", ["SELECT 1;", "CREATE TABLE b ();"])
def test_a_session_that_the_file_makes_read_only(
    database: str, conn: psycopg.Connection, directory: Path, setting: str, text: str
) -> None:
    """It is the file's doing, and nobody has to look at the role or the database."""
    head = "-- +goose NO TRANSACTION\n-- +goose Up\n"
    write(directory, {"00002_b.sql": f"{head}{setting}\n{text}\n"})

    result = migrate(database, directory)
    write(directory, {"00002_b.sql": "SELECT 1;"})
    again = migrate(database, directory)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (13, "25006")
    assert result.verdict["error"].endswith(
        "; nothing of this migration was applied; the file makes the transaction"
        " read-only (SET TRANSACTION, default_transaction_read_only): remove that from"
        " the file, then re-run"
    )
    assert (again.exit_code, versions(conn)) == (0, [0, 1, 2])


@pytest.mark.encoding("LATIN1")
def test_a_name_that_the_database_cannot_hold(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The history has the file's name, which is what has to change."""
    write(directory, {"00002_€.sql": "SELECT 1;"})

    result = migrate(database, directory)
    (directory / "00002_€.sql").rename(directory / "00002_b.sql")
    again = migrate(database, directory)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (13, "22P05")
    assert result.verdict["error"].endswith(
        f"{ROLLED_BACK}the file's name has a character that the encoding of the"
        " database lacks: rename the file, then re-run"
    )
    assert (again.exit_code, versions(conn)) == (0, [0, 1, 2])


def test_a_file_that_ends_as_another_role(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The version is recorded as ourselves, so that role needs no right to it."""
    role = f"other_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}".encode())
    write(directory, {"00002_b.sql": f"SET ROLE {role};"})

    try:
        result = migrate(database, directory)
    finally:
        conn.execute(f"DROP ROLE {role}".encode())

    assert (result.exit_code, versions(conn)) == (0, [0, 1, 2])


def test_a_down_whose_row_stays(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A trigger that refuses the DELETE is the table's, too."""
    text = "-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE c;\n"
    write(directory, {"00002_b.sql": text})
    migrate(database, directory)
    conn.execute(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'rows stay'; END $$; CREATE TRIGGER keep BEFORE DELETE"
        " ON goose_db_version FOR EACH ROW EXECUTE FUNCTION keep()"
    )

    result = migrate(database, directory, "down")

    said = "rows stay; PL/pgSQL function public.keep() line 1 at RAISE"
    assert (result.exit_code, result.verdict["error"]) == (
        11,
        f"00002_b.sql, recording the version: {said} (SQLSTATE P0001); {UNFIT}",
    )
    assert (versions(conn), relation(conn, "c")) == ([0, 1, 2], "c")


def test_a_role_without_rights_on_the_tables(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """It is denied, and the grants are named."""
    write(
        directory,
        {"00002_b.sql": "REVOKE INSERT ON goose_db_version FROM CURRENT_USER;"},
    )
    role = f"poor_{conn.info.backend_pid}"
    conn.execute(
        f"CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role};"
        f" ALTER TABLE goose_db_version OWNER TO {role};"
        f" ALTER TABLE migrator_history OWNER TO {role}"
    )

    try:
        result = migrate(database, directory, MIGRATOR_ROLE=role)
    finally:
        conn.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")

    assert (result.exit_code, result.verdict["error"]) == (
        15,
        (
            "00002_b.sql, recording the version: permission denied for table"
            " goose_db_version (SQLSTATE 42501); grant the migrating role SELECT, INSERT and"
            ' DELETE on "public"."goose_db_version", and SELECT, INSERT and UPDATE on'
            " migrator_history, or remove from the file what takes them away (REVOKE, SET"
            " ROLE)"
        ),
    )


def test_a_row_that_is_refused_after_a_part_is_applied(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Without a transaction the run resumes there once the table takes the row."""
    conn.execute(
        f"{EXTRA} ALTER TABLE goose_db_version ALTER extra DROP DEFAULT".encode()
    )
    head = "-- +goose NO TRANSACTION\n-- +goose Up\n"
    text = f"{head}CREATE TABLE b ();\nCREATE TABLE d ();\n"
    write(directory, {"00002_b.sql": text})

    result = migrate(database, directory)
    between = relation(conn, "b"), relation(conn, "d")
    conn.execute("ALTER TABLE goose_db_version DROP extra")
    again = migrate(database, directory)

    assert result.exit_code == 14
    assert result.verdict["error"].startswith(
        "00002_b.sql, recording the version: statement 2 of 2 of a NO TRANSACTION"
        ' migration failed: null value in column "extra"'
    )
    assert (
        "; what ran before it is applied and recorded, and the next run resumes there: "
    ) in result.verdict["error"]
    assert "rolled back" not in result.verdict["error"]
    assert between == ("b", None)
    assert (again.exit_code, relation(conn, "d"), versions(conn)) == (0, "d", [0, 1, 2])


@pytest.mark.parametrize("history", ["true", "false"])
def test_a_row_that_is_refused_after_all_is_applied(
    database: str, conn: psycopg.Connection, directory: Path, history: str
) -> None:
    """Nothing runs twice: the run after the fix only records the version."""
    conn.execute(
        f"{EXTRA} ALTER TABLE goose_db_version ALTER extra DROP DEFAULT".encode()
    )
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE b ();\nVACUUM b;\n"
    write(directory, {"00002_b.sql": text})

    result = migrate(database, directory, MIGRATOR_HISTORY=history)
    conn.execute("ALTER TABLE goose_db_version DROP extra")
    if history == "false":
        conn.execute(
            result.verdict["error"].split(
                "do not re-run it; record the version manually: "
            )[1]
        )
    again = migrate(database, directory, MIGRATOR_HISTORY=history)

    assert result.exit_code == 14
    assert "rolled back" not in result.verdict["error"]
    assert "null value in column" in result.verdict["error"]
    assert (again.exit_code, versions(conn)) == (0, [0, 1, 2])


def test_baseline_with_a_table_that_does_not_take_the_rows(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """It is the same trouble as after a migration, and has the same code."""
    conn.execute(
        "DELETE FROM goose_db_version WHERE version_id > 0;"
        f" {EXTRA} ALTER TABLE goose_db_version ALTER extra DROP DEFAULT".encode()
    )

    result = migrate(database, directory, "baseline", "1")

    assert (result.exit_code, versions(conn)) == (11, [0])
    assert result.verdict["error"].startswith(
        "goose_db_version is not a goose tracking table: null value in column"
    )
    assert result.verdict["error"].endswith("also where a file adds it, then re-run")

"""What a NO TRANSACTION file that failed says of the database is what is there."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import Result, run, write


NOPE = "ALTER TABLE nope ADD x int;"
REFUSED = 'relation "nope" does not exist (SQLSTATE 42P01)'
CLEAN = "nothing of this migration was applied; fix the file and re-run"
HEAD = "-- +goose NO TRANSACTION\n-- +goose Up\n"


def migrate(dsn: str, tmp_path: Path, text: str, *argv: str, **environ: str) -> Result:
    """Run a command, by default `up`, on one file."""
    directory = write(tmp_path / "m", {"00001_a.sql": text})
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK_TIMEOUT="100ms",
        MIGRATOR_LOCK_RETRY="300ms",
        **environ,
    )


NOTHING = {
    "nothing": "",
    "SET": "SET lock_timeout = '1s';",
    "set_config": "SELECT set_config('lock_timeout', '1s', false);",
    "RESET and DISCARD": "RESET lock_timeout;\nDISCARD ALL;",
    "LISTEN and SHOW": "LISTEN a;\nSHOW lock_timeout;",
    "PREPARE": "PREPARE p AS SELECT 1;\nDEALLOCATE p;",
    "BEGIN": "BEGIN;",
    "an empty transaction": "BEGIN;\nSET LOCAL lock_timeout = '1s';\nCOMMIT;",
    "its own ROLLBACK": "BEGIN;\nCREATE TABLE b ();\nROLLBACK;",
    "its own open transaction": "START TRANSACTION;\nCREATE TABLE b ();",
    "AND CHAIN": "BEGIN;\nCOMMIT AND CHAIN;\nCREATE TABLE b ();",
}


@pytest.mark.parametrize("history", ["true", "false"])
@pytest.mark.parametrize("before", NOTHING.values(), ids=NOTHING.keys())
def test_what_leaves_nothing_is_not_applied(
    database: str, conn: psycopg.Connection, tmp_path: Path, before: str, history: str
) -> None:
    """13, as without it: a file of which nothing is in the database is free to change."""
    text = "\n".join(filter(None, [before, NOPE]))
    line = text.count("\n") + 3

    result = migrate(database, tmp_path, HEAD + text, MIGRATOR_HISTORY=history)
    fixed = migrate(
        database, tmp_path, f"{HEAD}CREATE TABLE b ();", MIGRATOR_HISTORY=history
    )

    assert (result.exit_code, result.verdict["error"]) == (
        13,
        f"00001_a.sql:{line}:1: {REFUSED}; {CLEAN}",
    )
    assert fixed.exit_code == 0


@pytest.mark.parametrize("history", ["true", "false"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE INDEX CONCURRENTLY i ON nope (x);",
        "DROP INDEX CONCURRENTLY nope;",
        "VACUUM nope;",
        "LOCK TABLE nope;",
    ],
)
def test_what_is_refused_outside_of_a_block_is_not_applied(
    database: str, tmp_path: Path, statement: str, history: str
) -> None:
    """The catalogs show that nothing is left of it; the file is free to change."""
    before = "SET lock_timeout = '1s';\n"

    result = migrate(
        database, tmp_path, f"{HEAD}{before}{statement}", MIGRATOR_HISTORY=history
    )
    fixed = migrate(
        database, tmp_path, f"{HEAD}CREATE TABLE b ();", MIGRATOR_HISTORY=history
    )

    assert (result.exit_code, fixed.exit_code) == (13, 0)
    assert result.verdict["error"].endswith(f"; {CLEAN}")


@pytest.mark.parametrize("history", ["true", "false"])
@pytest.mark.parametrize(
    "before",
    [
        "SET lock_timeout = '1s';\nCREATE TABLE b ();",
        "CREATE TABLE b ();\nSET lock_timeout = '1s';",
        "BEGIN;\nCREATE TABLE b ();\nEND;",
        "BEGIN;\nCREATE TABLE b ();\nCOMMIT AND CHAIN;",
        "SELECT 1;",
    ],
)
def test_what_leaves_something_is_applied(
    database: str, tmp_path: Path, before: str, history: str
) -> None:
    """14: of what follows one of these something is in the database, or may be."""
    text = f"{HEAD}{before}\n{NOPE}"

    result = migrate(database, tmp_path, text, MIGRATOR_HISTORY=history)

    assert result.exit_code == 14
    assert "rolled back" not in result.verdict["error"]


def test_down_leaves_nothing_either(database: str, tmp_path: Path) -> None:
    """The same holds for the way back."""
    text = f"{HEAD}SELECT 1;\n-- +goose Down\nSET lock_timeout = '1s';\n{NOPE}\n"
    migrate(database, tmp_path, text)

    result = migrate(database, tmp_path, text, "down")

    assert (result.exit_code, result.verdict["error"]) == (
        13,
        f"00001_a.sql:6:1: {REFUSED}; {CLEAN}",
    )


def test_what_leaves_nothing_after_a_resume(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """An attempt that was stopped before it left anything does not make it partial."""
    conn.execute("CREATE TABLE a (x int)")
    text = f"{HEAD}SET lock_timeout = '50ms';\nCREATE INDEX CONCURRENTLY i ON a (x);\n"
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE a")
        locked = migrate(database, tmp_path, text)
    conn.execute("DROP TABLE a")

    result = migrate(database, tmp_path, text)

    assert (locked.exit_code, result.exit_code) == (22, 13)
    assert "applied" not in locked.verdict["error"]
    assert "may still have been applied" not in locked.verdict["error"]
    assert result.verdict["error"].endswith(f"; {CLEAN}")


def test_what_was_applied_before_a_resume_counts(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """And an earlier attempt that left something does."""
    text = f"{HEAD}CREATE TABLE b ();\nSET lock_timeout = '1s';\n{NOPE}"

    results = [migrate(database, tmp_path, text) for _ in range(2)]

    assert [result.exit_code for result in results] == [14, 14]


def test_a_prepared_statement_is_prepared_again(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """It is gone with its session, as a SET is, and set up again where the run resumes."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE go (x int)")
    text = (
        f"{HEAD}PREPARE p AS INSERT INTO a SELECT 1 / count(*) FROM go;\n"
        "INSERT INTO a VALUES (0);\nEXECUTE p;\n"
    )
    stopped = migrate(database, tmp_path, text)
    conn.execute("INSERT INTO go VALUES (1)")

    result = migrate(database, tmp_path, text)

    assert (stopped.exit_code, result.exit_code) == (14, 0)
    rows = conn.execute("SELECT x FROM a ORDER BY x").fetchall()
    assert rows == [(0,), (1,)]


@pytest.mark.parametrize(("before", "code"), [("", 13), ("CREATE TABLE b ();\n", 14)])
def test_a_transaction_that_the_file_leaves_open(
    database: str, tmp_path: Path, before: str, code: int
) -> None:
    """It is rolled back; partial is only what ran before it."""
    text = f"{HEAD}{before}BEGIN;\nCREATE TABLE c ();\n"

    result = migrate(database, tmp_path, text)

    assert result.exit_code == code
    assert "the file leaves a transaction open" in result.verdict["error"]


@pytest.mark.parametrize(
    "kind", ["CALL p();", "DO $$ BEGIN COMMIT; PERFORM 1/0; END $$;"]
)
def test_the_second_run_repeats_why_the_first_one_failed(
    database: str, conn: psycopg.Connection, tmp_path: Path, kind: str
) -> None:
    """Of an outcome that only a human can know, the error is kept."""
    conn.execute(
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS"
        " $$ BEGIN COMMIT; PERFORM 1 / 0; END $$"
    )
    text = f"{HEAD}-- +goose StatementBegin\n{kind}\n-- +goose StatementEnd\n"

    first, second = (migrate(database, tmp_path, text) for _ in range(2))

    assert (first.exit_code, second.exit_code) == (14, 14)
    for result in (first, second):
        assert (
            "failed: division by zero (SQLSTATE 22012); outcome unknown"
            in (result.verdict["error"])
        )
        assert result.verdict["failed"]["sqlstate"] == "22012"
        assert result.verdict["failed"]["line"] == 4
    assert ", begun " in second.verdict["error"]


def test_what_is_kept_of_an_error_is_bounded_and_masked(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Neither the table nor the second run's message has a secret in it."""
    text = (
        f"{HEAD}-- +goose StatementBegin\nDO $$ BEGIN COMMIT;"
        " RAISE 'no hunter22 %', repeat('x', 5000); END $$;\n-- +goose StatementEnd\n"
    )

    results = [migrate(database, tmp_path, text, MY_TOKEN="hunter22") for _ in range(2)]

    (kept,) = conn.execute("SELECT sent::text FROM migrator_history").fetchone() or (
        "",
    )
    assert "hunter22" not in kept
    assert len(kept) < 1500
    assert "no ********" in kept
    assert "hunter22" not in str(results[1].lines)


EACH_ENCODING = [
    pytest.param(marks=pytest.mark.encoding(each), id=each)
    for each in ("UTF8", "LATIN1", "SQL_ASCII")
]


@pytest.mark.parametrize((), EACH_ENCODING)
def test_any_text_of_an_error_is_kept(database: str, tmp_path: Path) -> None:
    """Whatever characters an exception has, and the database's encoding lacks."""
    directory = tmp_path / "m"
    directory.mkdir()
    text = "TRANSACTION = False\n\ndef up(conn):\n    raise ValueError('ä€\\0\\\\\\udc80')\n"
    (directory / "00001_a.py").write_text(text)

    results = [
        run(
            "up",
            MIGRATOR_DATABASE_URL=database,
            MIGRATOR_MIGRATIONS_DIR=str(directory),
        )
        for _ in range(2)
    ]

    messages = [result.verdict["failed"]["message"] for result in results]
    assert [result.exit_code for result in results] == [14, 14]
    assert messages[0].startswith("ValueError: ä€")
    assert messages[0] == messages[1]


@pytest.mark.parametrize((), EACH_ENCODING)
def test_an_index_of_any_name_is_recorded(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """What the intent says of a statement has its names, in any encoding."""
    conn.execute("CREATE TABLE a (x int)")

    result = migrate(
        database, tmp_path, f'{HEAD}CREATE INDEX CONCURRENTLY "ä" ON a (x);'
    )

    assert result.exit_code == 0, result.verdict["error"]

"""What PostgreSQL and its extensions refuse in a transaction, with the way out."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import Result, run, write


ALONE = (
    "it cannot run in a transaction: put it into a file of its own with"
    " -- +goose NO TRANSACTION, then re-run"
)
SEQUENTIAL = (
    "put SET LOCAL citus.multi_shard_modify_mode TO 'sequential'; before the first"
    " statement of the file, then re-run"
)
COMMITS = "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'"
# citusdata/citus: relation_access_tracking.c, table.c, cascade_table_operation_…c,
# multi_executor.c, alter_table.c; the hint is the same everywhere
CITUS_HINT = (
    "Try re-running the transaction with"
    " \"SET LOCAL citus.multi_shard_modify_mode TO ''sequential'';\""
)
CITUS = [
    (
        'cannot execute DDL on table "ref" because there was a parallel DDL access to'
        ' distributed table "dist" in the same transaction'
    ),
    (
        "cannot execute select on table because there was a parallel modify access to"
        ' distributed table "dist" in the same transaction'
    ),
    (
        'cannot modify table "ref" because there was a parallel operation on a'
        " distributed table in the transaction"
    ),
    (
        "cannot run ALTER TABLE ... ADD FOREIGN KEY command because there was a parallel"
        " operation on a distributed table in the transaction"
    ),
    (
        'cannot execute parallel DDL on table "dist" after DDL command on reference table'
        ' "ref" because there is a foreign key between them and "ref" has been accessed'
        " in this transaction"
    ),
]
WITHOUT_HINT = CITUS[:4]


def raising(message: str, options: str) -> str:
    """A statement that fails as an extension's does."""
    return f"DO $$ BEGIN RAISE EXCEPTION '%', '{message}' USING {options}; END $$;\n"


def up(database: str, directory: Path, name: str, content: str | bytes) -> Result:
    """Run one file."""
    return run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(write(directory / "m", {name: content})),
    )


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "REINDEX TABLE parted;\n",
            "REINDEX TABLE cannot run inside a transaction block (SQLSTATE 25001)",
        ),
        ("CALL p();\n", "invalid transaction termination (SQLSTATE 2D000)"),
        (
            "DO $$ BEGIN COMMIT; END $$;\n",
            "invalid transaction termination (SQLSTATE 2D000)",
        ),
        (
            raising(
                "refresh_continuous_aggregate() cannot run inside a transaction block",
                "ERRCODE = '25001'",
            ),
            (
                "refresh_continuous_aggregate() cannot run inside a transaction block"
                " (SQLSTATE 25001)"
            ),
        ),
    ],
)
def test_what_cannot_run_in_a_transaction_is_advised_where_it_can(
    database: str, conn: psycopg.Connection, tmp_path: Path, statement: str, words: str
) -> None:
    """PostgreSQL's own statements, procedures that commit, TimescaleDB's."""
    conn.execute(COMMITS)
    conn.execute("CREATE TABLE parted (x int PRIMARY KEY) PARTITION BY LIST (x)")

    result = up(database, tmp_path, "00001_a.sql", statement)

    # PL/pgSQL's place and its context, where there are some, are others' tests
    message, _, state = words.partition(" (SQLSTATE")
    error = result.verdict["error"]
    assert result.exit_code == 13
    assert error.startswith("00001_a.sql:2:")
    assert f": {message}" in error
    assert error.endswith(f" (SQLSTATE{state}; the migration was rolled back; {ALONE}")


def test_a_late_set_transaction_is_no_such_statement(
    database: str, tmp_path: Path
) -> None:
    """It has the same SQLSTATE, and would have no effect in a file of its own."""
    late = "SELECT 1;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n"

    result = up(database, tmp_path, "00001_a.sql", late)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (13, "25001")
    assert "NO TRANSACTION" not in result.verdict["error"]


def test_a_function_is_advised_its_own_word(database: str, tmp_path: Path) -> None:
    """Python says it with TRANSACTION."""
    script = b"""\
import psycopg


def up(conn: psycopg.Connection) -> None:
    conn.execute("VACUUM")
"""

    result = up(database, tmp_path, "00001_a.py", script)

    assert (result.exit_code, result.verdict["error"]) == (
        13,
        (
            "00001_a.py:5:5: VACUUM cannot run inside a transaction block (SQLSTATE"
            " 25001); the migration was rolled back; it cannot run in a transaction: put"
            " it into a file of its own with TRANSACTION = False, then re-run"
        ),
    )


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("message", "options"),
    [
        *((message, f"HINT = '{CITUS_HINT}'") for message in CITUS),
        *((message, "ERRCODE = 'XX000'") for message in WITHOUT_HINT),
    ],
)
def test_citus_parallel_access_is_advised_the_sequential_mode(
    database: str, tmp_path: Path, message: str, options: str
) -> None:
    """In a file, the transaction is the file."""
    result = up(database, tmp_path, "00001_a.sql", raising(message, options))

    assert result.exit_code == 13
    assert result.verdict["failed"]["message"] == message
    assert result.verdict["error"].endswith(
        f"; the migration was rolled back; {SEQUENTIAL}"
    )

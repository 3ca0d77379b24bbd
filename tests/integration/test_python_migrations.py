"""Migrations in Python against a real server."""

import signal
import subprocess
import time
from pathlib import Path
from textwrap import dedent
from typing import Any

import psycopg
import pytest

from migrator import MigrationRunner
from migrator.events.base import Event
from tests.helpers.support import ROOT, Result, ended, run, started, until, write
from tests.integration.test_signals import applied, sessions


pytestmark = pytest.mark.usefixtures("both_ways")


TABLE = "CREATE TABLE a (x int);"
NO_TRANSACTION = "TRANSACTION = False\n\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory whose first migration makes a table."""
    return write(tmp_path / "m", {"1_a.sql": TABLE})


def script(directory: Path, body: str, *, head: str = "") -> Path:
    """Add version 2, in Python: *body* is that of `up`, from line 2 after *head*."""
    indented = "".join(f"    {line}\n" for line in dedent(body).strip().splitlines())
    path = directory / "00002_b.py"
    path.write_text(f"{head}def up(conn):\n{indented}")
    return path


def migrate(dsn: str, directory: Path, *argv: str, **environ: str) -> Result:
    """Run a command, by default `up`, with little patience."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{"MIGRATOR_LOCK_TIMEOUT": "100ms", "MIGRATOR_LOCK_RETRY": "300ms", **environ},
    )


def said(process: subprocess.Popen[str], event: str) -> bool:
    """Wait until the process tells an event; False when it ends before."""
    assert process.stdout is not None
    return any(event in line for line in process.stdout)


def rows(conn: psycopg.Connection) -> list[int]:
    """What table a holds."""
    return [x for (x,) in conn.execute("SELECT x FROM a ORDER BY x")]


def outcome(result: Result) -> tuple[int, int | None, str]:
    """Exit code, line and message of a run that failed in version 2."""
    failed: dict[str, Any] = result.verdict["failed"]
    assert failed["path"] == "00002_b.py"
    return result.exit_code, failed.get("line"), failed.get("message", "")


def test_up_and_down(database: str, conn: psycopg.Connection, directory: Path) -> None:
    """Both functions run in order with SQL, and each is recorded as SQL is."""
    path = script(directory, "conn.execute('INSERT INTO a VALUES (1)')")
    path.write_text(
        path.read_text() + "def down(conn):\n    conn.execute('DELETE FROM a')\n"
    )

    up = migrate(database, directory, MIGRATOR_LOG_LEVEL="debug")
    after_up = rows(conn), applied(conn)
    down = migrate(database, directory, "down")

    statements = [
        {name: line[name] for name in ("path", "line", "statement", "command")}
        for line in up.events("statement.finished")
    ]
    assert (up.exit_code, up.verdict["applied"], after_up) == (
        0,
        [1, 2],
        ([1], [0, 1, 2]),
    )
    assert statements[1:] == [
        {"path": "00002_b.py", "line": 1, "statement": 1, "command": "up(conn)"}
    ]
    assert (down.exit_code, down.verdict["reverted"]) == (0, [2])
    assert (rows(conn), applied(conn)) == ([], [0, 1])


def test_redo_runs_the_module_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """No state of the module is left from one direction to the next."""
    script(
        directory,
        "seen.append(1)\nconn.execute('INSERT INTO a VALUES (%s)', [len(seen)])",
        head="seen = []\n",
    )
    migrate(database, directory)

    result = migrate(database, directory, "redo")

    assert (result.exit_code, rows(conn)) == (0, [1, 1])


def test_savepoints(database: str, conn: psycopg.Connection, directory: Path) -> None:
    """`conn.transaction()` rolls back a part, and the migration goes on."""
    script(
        directory,
        """
        import psycopg
        for x in (1, 2, 3):
            try:
                with conn.transaction():
                    conn.execute("INSERT INTO a VALUES (%s)", [x])
                    conn.execute("SELECT 1 / (2 - %s)", [x])
            except psycopg.errors.DivisionByZero:
                pass
        """,
    )

    result = migrate(database, directory)

    assert (result.exit_code, rows(conn), applied(conn)) == (0, [1, 3], [0, 1, 2])


def test_a_database_error_is_explained(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """As for SQL, with the innermost line of the file; all is rolled back."""
    script(
        directory,
        """
        conn.execute("INSERT INTO a VALUES (1)")
        broken(conn)
        """,
        head="def broken(conn):\n    conn.execute('SELECT nothing')\n\n",
    )

    result = migrate(database, directory)

    assert result.exit_code == 13
    assert result.verdict["error"] == (
        '00002_b.py:2:5: column "nothing" does not exist (SQLSTATE 42703);'
        " the migration was rolled back; fix the file and re-run"
    )
    assert (rows(conn), applied(conn)) == ([], [0, 1])


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        ("conn.execute('SELECT 1')\n{}['x']", 3, "KeyError: 'x'"),
        ("raise SystemExit('no')", 2, "SystemExit: no"),
        ("raise ValueError('a\\n\\nb')", 2, "ValueError: a; b"),
        ("assert False", 2, "AssertionError"),
        ("import json\njson.loads('{')", 3, "JSONDecodeError: Expecting property name"),
        ("import os.nothing", 2, "ModuleNotFoundError: No module named 'os.nothing'"),
    ],
)
def test_any_exception_is_a_failure(
    database: str, conn: psycopg.Connection, directory: Path, body: str, line: int, message: str
) -> None:  # fmt: skip
    """The error has type and text at the file's own line; all is rolled back."""
    script(directory, f"conn.execute('INSERT INTO a VALUES (1)')\n{body}")

    result = migrate(database, directory)

    code, found, error = outcome(result)
    assert (code, found) == (13, line + 1)
    assert error.startswith(message)
    assert (rows(conn), applied(conn)) == ([], [0, 1])


def test_the_traceback_shows_the_file(database: str, directory: Path) -> None:
    """It begins in the file and quotes the line that ran, as it was read."""
    path = script(directory, "raise KeyError(7)  # here")

    result = migrate(database, directory)

    assert result.verdict["failed"]["context"].splitlines()[:3] == [
        "Traceback (most recent call last):",
        f'  File "{path}", line 2, in up',
        "    raise KeyError(7)  # here",
    ]


def test_what_was_read_is_what_runs(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A file that changes after the start of a run changes nothing in it."""
    script(directory, "conn.execute('INSERT INTO a VALUES (2)')")
    (directory / "1_a.sql").unlink()
    (directory / "1_a.py").write_text(
        "from pathlib import Path\n"
        "def up(conn):\n"
        "    conn.execute('CREATE TABLE a (x int)')\n"
        "    Path(__file__).with_name('00002_b.py').write_text('broken')\n"
    )

    result = migrate(database, directory)

    assert (result.exit_code, rows(conn)) == (0, [2])


@pytest.mark.parametrize("method", ["commit", "rollback"])
def test_the_transaction_is_not_the_functions_to_end(
    database: str, conn: psycopg.Connection, directory: Path, method: str
) -> None:
    """`conn.commit()` is refused before it does harm, so all is rolled back."""
    script(directory, f"conn.execute('INSERT INTO a VALUES (1)')\nconn.{method}()")

    result = migrate(database, directory)

    assert outcome(result) == (
        13,
        3,
        (
            "the transaction also holds the version's row, and is committed with it: set"
            " TRANSACTION = False for a function that commits by itself"
        ),
    )
    assert (rows(conn), applied(conn)) == ([], [0, 1])


@pytest.mark.parametrize(
    ("ending", "left"), [("COMMIT", [1]), ("ROLLBACK", []), ("COMMIT; SELECT 1", [1])]
)
def test_a_transaction_that_is_ended_in_sql_is_caught(
    database: str, conn: psycopg.Connection, directory: Path, ending: str, left: list[int]
) -> None:  # fmt: skip
    """What is not clean is not called clean."""
    script(
        directory, f"conn.execute('INSERT INTO a VALUES (1)')\nconn.execute('{ending}')"
    )

    result = migrate(database, directory)

    assert result.exit_code == 14
    assert result.verdict["error"].startswith(
        "00002_b.py:1:1: the file contains COMMIT or ROLLBACK, which ended the"
        " migration's transaction; "
    )
    assert (rows(conn), applied(conn)) == (left, [0, 1])


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "try:\n    conn.execute('SELECT nothing')\nexcept Exception:\n    pass",
            (
                "the function went on after a statement had failed and aborted the"
                " transaction; put what may fail into `with conn.transaction():`"
            ),
        ),
        ("conn.close()", "the function closed the connection, which is not its own"),
        (
            "conn.close()\nconn.execute('SELECT 1')",
            "the function closed the connection, which is not its own",
        ),
        (
            "conn.pgconn.send_query(b'SELECT pg_sleep(60)')",
            "the function left a command unfinished",
        ),
    ],
)
def test_a_connection_in_another_state_is_caught(
    database: str, conn: psycopg.Connection, directory: Path, body: str, message: str
) -> None:
    """It is not recorded as applied, and the message says what the function did."""
    script(directory, f"conn.execute('INSERT INTO a VALUES (1)')\n{body}")

    code, _, error = outcome(migrate(database, directory))

    assert (code, error) == (13, message)
    until(lambda: sessions(conn, "%") == 0)
    assert (rows(conn), applied(conn)) == ([], [0, 1])


def test_habits_of_the_connection_do_not_stay(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A row factory that the function sets is not ours afterwards."""
    script(
        directory,
        """
        from psycopg.rows import dict_row
        conn.row_factory = dict_row
        conn.autocommit = False
        conn.execute("INSERT INTO a VALUES (1)")
        conn.commit()
        """,
        head=NO_TRANSACTION,
    )
    write(directory, {"3_c.sql": "INSERT INTO a VALUES (3);"})

    result = migrate(database, directory)

    assert (result.exit_code, rows(conn), applied(conn)) == (0, [1, 3], [0, 1, 2, 3])


def test_without_transaction(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """What may not run in a transaction block runs, and batches commit one by one."""
    script(
        directory,
        """
        for x in (1, 2):
            with conn.transaction():
                conn.execute("INSERT INTO a VALUES (%s)", [x])
        conn.execute("CREATE INDEX CONCURRENTLY i ON a (x)")
        """,
        head=NO_TRANSACTION,
    )

    result = migrate(database, directory)

    assert (result.exit_code, rows(conn), applied(conn)) == (0, [1, 2], [0, 1, 2])


REFUSES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END';
CREATE TRIGGER refuse BEFORE UPDATE ON migrator_history EXECUTE FUNCTION refuse()
"""


def test_a_function_that_makes_its_own_record_impossible(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """It has run without a transaction: the message says that, and how to record it."""
    script(directory, f"conn.execute({REFUSES!r})", head=NO_TRANSACTION)

    result = migrate(database, directory)

    assert (result.exit_code, applied(conn)) == (14, [0, 1])
    assert (
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)"
        in (result.verdict["error"])
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("conn.execute('SELECT 1 / 0')", "division by zero (SQLSTATE 22012)"),
        ("{}['x']", "KeyError: 'x'"),
        ("conn.execute('BEGIN')", "the function left a transaction open"),
    ],
)
def test_without_transaction_half_way_is_partial(
    database: str, conn: psycopg.Connection, directory: Path, body: str, reason: str
) -> None:
    """What ran before stays, and the error says so."""
    body = f"conn.execute('INSERT INTO a VALUES (1)')\n{body}"
    script(directory, body, head=NO_TRANSACTION)

    result = migrate(database, directory)

    assert result.exit_code == 14
    assert (
        f"up(conn) of a migration with TRANSACTION = False failed: {reason}; outcome"
        " unknown: all, a part or nothing of it may be applied; check the database"
    ) in result.verdict["error"]
    assert (rows(conn), applied(conn)) == ([1], [0, 1])


@pytest.mark.parametrize("head", ["", NO_TRANSACTION])
def test_a_module_that_does_not_load_is_clean(
    database: str, conn: psycopg.Connection, directory: Path, head: str
) -> None:
    """Also without a transaction, which is not rolled back then: there was none."""
    path = script(directory, "pass", head=f"{head}1 / 0\n")
    line = path.read_text().splitlines().index("1 / 0") + 1

    result = migrate(database, directory)

    state = "nothing of this migration was applied" if head else "was rolled back"
    assert outcome(result) == (13, line, "ZeroDivisionError: division by zero")
    assert f"{state}; fix the file" in result.verdict["error"]
    assert applied(conn) == [0, 1]


def test_a_lock_timeout_is_retried(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The whole function runs again, until the patience ends."""
    migrate(database, directory)
    script(directory, "conn.execute('ALTER TABLE a ADD y int')")

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE a IN ACCESS SHARE MODE")
        failed = migrate(database, directory)
    passed = migrate(database, directory)

    assert (outcome(failed)[0], failed.verdict["failed"]["sqlstate"]) == (22, "55P03")
    assert failed.events("migration.retried")[0]["line"] == 2
    assert passed.verdict["applied"] == [2]


def test_output_of_a_script_is_logged(database: str, directory: Path) -> None:
    """Each line is an event; stdout holds nothing but JSON."""
    script(
        directory,
        """
        print("one", 1)
        print()
        print("two\\nthree", end="")
        """,
        head="print('loaded')\n",
    )

    result = migrate(database, directory)

    assert [
        (line["version"], line["path"], line["message"])
        for line in result.events("script.printed")
    ] == [(2, "00002_b.py", text) for text in ("loaded", "one 1", "two", "three")]


def test_an_observer_may_print(
    database: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the library's caller prints about an event is no event itself."""
    script(directory, "print('one')\nconn.execute('DROP TABLE IF EXISTS nothing')")

    def observe(event: Event) -> None:
        print(event.name)  # noqa: T201 - the point

    MigrationRunner(database, directory, observe=observe).up()

    assert capsys.readouterr().out.split()[-5:] == [
        "migration.started",
        "script.printed",
        "server.noticed",
        "statement.finished",
        "migration.applied",
    ]


def test_notices_are_reported_with_the_scripts_place(
    database: str, directory: Path
) -> None:
    """As for SQL; the place is the function's."""
    script(directory, "conn.execute('DROP TABLE IF EXISTS nothing')")

    (notice,) = migrate(database, directory).events("server.noticed")

    assert (notice["path"], notice["line"]) == ("00002_b.py", 1)


def test_a_dataclass_finds_its_module(database: str, directory: Path) -> None:
    """What looks its module up by name works as in an imported module."""
    script(
        directory,
        "assert Row(1).x == 1",
        head=(
            "from __future__ import annotations\n"
            "from dataclasses import dataclass, InitVar\n"
            "@dataclass\nclass Row:\n    x: int\n    y: InitVar[int] = 0\n\n"
        ),
    )

    assert migrate(database, directory).exit_code == 0


def test_plan_and_validate(database: str, directory: Path) -> None:
    """A script is one line of the plan, with its real place, and counts as one."""
    script(directory, "pass", head="\n\n")

    plan = migrate(database, directory, "plan")
    validated = migrate(database, directory, "validate")

    line = plan.events("statement.planned")[1]
    shown = ("version", "path", "line", "statement", "transaction", "text")
    assert [line[name] for name in shown] == [2, "00002_b.py", 3, 1, True, "up(conn)"]
    (found,) = validated.events("files.validated")
    assert (found["files"], found["statements"]) == (2, 2)


def test_faults_stop_the_run_before_anything_is_applied(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """`up` and `validate` tell a Python file's faults as an SQL file's."""
    (directory / "00002_b.py").write_text("import q_q\n\n\ndef up(): ...\n")

    result = migrate(database, directory)
    validated = migrate(database, directory, "validate")

    faults = [(line["line"], line["slug"]) for line in result.events("file.rejected")]
    assert (result.exit_code, validated.exit_code) == (10, 10)
    assert faults == [(1, "no_module"), (4, "signature")]
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


LOOP = "while True:\n    pass"
QUERIES = "while True:\n    conn.execute('SELECT 1')"
SAVEPOINTS = (
    "while True:\n    with conn.transaction():\n        conn.execute('SELECT 1')"
)
SLEEP = "conn.execute('SELECT pg_sleep(60)')"
STUBBORN = """\
import time
end = time.monotonic() + 10
while time.monotonic() < end:
    try:
        time.sleep(10)
    except BaseException:
        break
"""


@pytest.mark.parametrize(
    "body",
    [LOOP, QUERIES, SAVEPOINTS, SLEEP, STUBBORN],
    ids=["loop", "queries", "savepoints", "sleep", "stubborn"],
)
def test_sigterm_interrupts_it(
    database: str, conn: psycopg.Connection, directory: Path, body: str
) -> None:
    """Python or SQL: it is interrupted, rolled back and not recorded."""
    script(
        directory,
        f"conn.execute('INSERT INTO a VALUES (1)')\nprint('ready')\n{body}",
    )

    with started(database, directory) as process:
        assert said(process, "script.printed")
        time.sleep(0.1)
        result = ended(process, signal.SIGTERM)

    assert (result.exit_code, result.verdict["outcome"]) == (143, "terminated")
    assert (rows(conn), applied(conn)) == ([], [0, 1])
    until(lambda: sessions(conn, "%") == 0)


def test_sigterm_without_transaction_is_partial(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """What is not clean is not called clean: 14 in place of 143."""
    body = f"conn.execute('INSERT INTO a VALUES (1)')\nprint('ready')\n{LOOP}"
    script(directory, body, head=NO_TRANSACTION)

    with started(database, directory) as process:
        assert said(process, "script.printed")
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 14
    assert "stopped by SIGTERM" in result.verdict["error"]
    assert (rows(conn), applied(conn)) == ([1], [0, 1])


def test_a_repeatable_function_is_called_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Its author has said that it may be: stopped is then no matter for a human."""
    body = f"conn.execute('INSERT INTO a VALUES (1)')\nprint('ready')\n{LOOP}"
    head = f"{NO_TRANSACTION}\nREPEATABLE = True\n"
    script(directory, body, head=head)
    with started(database, directory) as process:
        assert said(process, "script.printed")
        result = ended(process, signal.SIGTERM)
    script(directory, "conn.execute('INSERT INTO a VALUES (2)')", head=head)

    again = migrate(database, directory)

    assert (result.exit_code, again.exit_code) == (143, 0)
    assert (rows(conn), applied(conn)) == ([1, 2], [0, 1, 2])


def test_what_cannot_be_known_is_not_called_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Until a human says how far it came; both runs tell the error and its line."""
    script(directory, HALF, head=NO_TRANSACTION)

    results = [migrate(database, directory) for _ in range(2)]

    assert [outcome(result) for result in results] == [(14, 6, "KeyError: 'x'")] * 2
    assert ", begun " in results[1].verdict["error"]
    for result in results:
        assert result.verdict["error"].startswith("00002_b.py:6:")
        assert "failed: KeyError: 'x'; outcome unknown" in result.verdict["error"]
    assert rows(conn) == [1]


HALF = """\
conn.execute('INSERT INTO a SELECT 1 + count(*) FROM a')
if conn.execute("SELECT to_regclass('ok')").fetchone() == (None,):
    {}['x']
"""


@pytest.mark.parametrize(
    ("answer", "left"), [("was applied", [1]), ("was not", [1, 2])]
)
def test_a_human_answers_whether_a_function_is_applied(
    database: str, conn: psycopg.Connection, directory: Path, answer: str, left: list[int]
) -> None:  # fmt: skip
    """As the error says: then it is recorded without a call, or called again."""
    script(directory, HALF, head=NO_TRANSACTION)
    error = migrate(database, directory).verdict["error"]
    conn.execute("CREATE TABLE ok ()")

    conn.execute(error.split(f" if it {answer}, ")[1].split(";")[0])
    again = migrate(database, directory)

    assert (again.exit_code, rows(conn), applied(conn)) == (0, left, [0, 1, 2])


def test_a_function_that_is_applied_in_part_is_called_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The third answer: REPEATABLE, set after the failure, and nothing to record."""
    script(directory, HALF, head=NO_TRANSACTION)
    failed = migrate(database, directory)
    conn.execute("CREATE TABLE ok ()")
    script(directory, HALF, head=f"{NO_TRANSACTION}REPEATABLE = True\n")

    again = migrate(database, directory)

    assert failed.verdict["error"].endswith(
        "; if a part was, make up(conn) safe to call again and set REPEATABLE = True in"
        " the file: it is called again, and nothing has to be recorded"
    )
    assert (again.exit_code, rows(conn), applied(conn)) == (0, [1, 2], [0, 1, 2])


@pytest.mark.parametrize("history", ["true", "false"])
def test_a_repeatable_function_that_fails(
    database: str, conn: psycopg.Connection, directory: Path, history: str
) -> None:
    """Partial, at the line where it failed; the next run calls it again."""
    script(directory, HALF, head=f"{NO_TRANSACTION}REPEATABLE = True\n")
    failed = migrate(database, directory, MIGRATOR_HISTORY=history)
    conn.execute("CREATE TABLE ok ()")

    again = migrate(database, directory, MIGRATOR_HISTORY=history)

    assert outcome(failed) == (14, 7, "KeyError: 'x'")
    assert failed.verdict["error"].endswith("re-run: the function is called again")
    assert (again.exit_code, rows(conn)) == (0, [1, 2])


def test_a_function_that_was_killed_has_no_error(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Nobody could record why; the next run says so, and offers the same answers."""
    script(directory, f"print('ready')\n{LOOP}", head=NO_TRANSACTION)
    with started(database, directory) as process:
        assert said(process, "script.printed")
        process.kill()
        process.wait()

    result = migrate(database, directory)

    assert result.exit_code == 14
    assert (
        " did not end, and no error was recorded, as when the process is killed"
    ) in result.verdict["error"]


def test_sigterm_is_kept_as_the_reason(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Nothing was rolled back, so neither run says so."""
    script(directory, f"print('ready')\n{LOOP}", head=NO_TRANSACTION)
    with started(database, directory) as process:
        assert said(process, "script.printed")
        first = ended(process, signal.SIGTERM)

    second = migrate(database, directory)

    for result in (first, second):
        assert "failed: stopped by SIGTERM; outcome unknown" in result.verdict["error"]
        assert "rolled back" not in result.verdict["error"]


def test_an_ended_session_is_worth_another_run(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The connection is lost, nothing is recorded, and the exit code says try again."""
    script(directory, "conn.execute('SELECT pg_terminate_backend(pg_backend_pid())')")

    result = migrate(database, directory)

    assert (result.exit_code, result.verdict["retryable"]) == (23, True)
    assert applied(conn) == [0, 1]


def test_the_readmes_backfill_is_taken_up_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A batch that fails leaves those before it; the next run does what is left."""
    section = (ROOT / "migrations/FORMAT.md").read_text()
    section = section.split("## Migrations in Python")[1]
    example = section.split("```python\n")[1].split("```")[0]
    (directory / "00002_b.py").write_text(example)
    conn.execute(
        "CREATE TABLE users (id int PRIMARY KEY, email text, CHECK (email <> 'u15000'));"
        "INSERT INTO users SELECT g, 'U' || g FROM generate_series(1, 20001) g"
    )
    changed = "SELECT count(*) FROM users WHERE email = lower(email)"

    failed = migrate(database, directory)
    half = conn.execute(changed).fetchone()
    conn.execute("ALTER TABLE users DROP CONSTRAINT users_email_check")
    again = migrate(database, directory)

    assert (failed.exit_code, half) == (14, (10000,))
    assert failed.verdict["error"].endswith("re-run: the function is called again")
    assert (again.exit_code, conn.execute(changed).fetchone()) == (0, (20001,))


def test_an_exception_that_cannot_be_printed_is_the_files_own(
    database: str, tmp_path: Path
) -> None:
    """Its class is named, and the exit code is that of a file that failed."""
    text = (
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\n\n"
        "def up(conn):\n    raise Mute\n"
    )
    directory = write(tmp_path / "m", {"1_a.py": text.encode()})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
    )

    assert result.exit_code == 13
    assert result.verdict["error"].startswith("1_a.py:6:5: Mute; ")

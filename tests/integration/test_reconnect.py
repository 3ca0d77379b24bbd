"""Sessions die in the middle of a run, and the run succeeds all the same."""

import re
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, Split, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.events.base import Event, Observer
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.connection.session import Row
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from migrator.pg.locking.stale_sessions import (
    end_sessions,
    query_processes,
    read_processes,
)
from migrator.source.load import load
from tests.helpers import support
from tests.helpers.commit_cutter import CutPoint, cut_at_commit
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.support import (
    Recorder,
    Result,
    files,
    heard,
    migration,
    run,
    started,
    write,
)


pytestmark = pytest.mark.usefixtures("both_ways")

EVERY = [
    pytest.param(when, id=when.name.lower())
    for when in (CutPoint.ANSWERED, CutPoint.NEVER, CutPoint.LATE)
]
BODY = """\
-- +goose Up
INSERT INTO ran VALUES ('up {n}');
CREATE TABLE t{n} ();
-- +goose Down
INSERT INTO ran VALUES ('down {n}');
DROP TABLE t{n};
"""


@pytest.fixture
def directory(tmp_path: Path, conn: psycopg.Connection) -> Path:
    """Three files that note in a table of their own that they have run."""
    conn.execute("CREATE TABLE ran (what text); CREATE SEQUENCE tries")
    names = {f"{n}_t.sql": BODY.replace("{n}", str(n)) for n in (1, 2, 3)}
    return write(tmp_path / "m", names)


def migrate(dsn: str, directory: Path, *argv: str, **environ: str) -> Result:
    """Run the command with little patience for the server."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{"MIGRATOR_CONNECT_WAIT": "10s", **environ},
    )


def loaded(directory: Path) -> Files:
    """The files as a run reads them."""
    return load(directory, split=Split.GOOSE, environ={})


def ran(conn: psycopg.Connection) -> list[str]:
    """What has run and is committed."""
    return [row[0] for row in conn.execute("SELECT what FROM ran")]


def applied(conn: psycopg.Connection) -> list[int]:
    """The versions in goose's table, by row."""
    query = "SELECT version_id FROM goose_db_version ORDER BY id"
    return [row[0] for row in conn.execute(query)]


def runner(dsn: str, observe: Observer) -> Runner:
    """A runner with little patience."""
    database = Database(dsn=parse_dsn(dsn), backoff=Backoff(total_s=10))
    return Runner(database=database, observe=observe)


def sessions(conn: psycopg.Connection) -> list[int]:
    """The process ids of our own sessions, that of the lock first."""
    query = (
        "SELECT pid FROM pg_stat_activity a WHERE application_name = 'migrator'"
        " AND datname = current_database() ORDER BY NOT EXISTS (SELECT FROM pg_locks l"
        " WHERE l.pid = a.pid AND locktype = 'advisory')"
    )
    return [row[0] for row in conn.execute(query)]


@pytest.mark.parametrize("when", EVERY)
def test_a_commit_whose_answer_is_lost(
    database: str, conn: psycopg.Connection, directory: Path, when: CutPoint
) -> None:
    """Each file takes effect once, and all of them are in the verdict of this run."""
    with cut_at_commit(database, when) as cut:
        result = migrate(cut.dsn, directory)

    verdict = result.verdict
    assert (cut.happened, result.exit_code) == (True, 0), verdict
    assert (verdict["applied"], verdict["pending"]) == ([1, 2, 3], 0)
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert applied(conn) == [0, 1, 2, 3]
    assert len(result.events("connection.lost")) == 1
    assert len(result.events("plan.made")) == 1
    assert result.events("migration.failed") == []
    if when is CutPoint.ANSWERED:
        assert result.events("commit.confirmed")[0]["version"] == 1


def test_tables_whose_creation_is_unanswered(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A cut before there is a plan begins the run once more."""
    with cut_at_commit(database, CutPoint.TABLES) as cut:
        result = migrate(cut.dsn, directory)

    assert (cut.happened, result.exit_code) == (True, 0), result.verdict
    assert result.verdict["applied"] == [1, 2, 3]
    assert applied(conn) == [0, 1, 2, 3]
    assert len(result.events("plan.made")) == 1


@pytest.mark.parametrize("when", EVERY[:2])
@pytest.mark.parametrize("command", ["down", "redo", "up-by-one"])
def test_one_step_is_one_step(
    database: str,
    conn: psycopg.Connection,
    directory: Path,
    command: str,
    when: CutPoint,
) -> None:
    """A cut makes `down`, `redo` and `up-by-one` take no step more."""
    assert migrate(database, directory, "up-to", "2").exit_code == 0

    with cut_at_commit(database, when) as cut:
        result = migrate(cut.dsn, directory, command)

    expected = {
        "down": (["down 2"], [0, 1]),
        "redo": (["down 2", "up 2"], [0, 1, 2]),
        "up-by-one": (["up 3"], [0, 1, 2, 3]),
    }
    assert (cut.happened, result.exit_code) == (True, 0), result.verdict
    assert (ran(conn)[2:], applied(conn)) == expected[command]
    assert len(result.verdict["applied"]) == (command != "down")
    assert len(result.verdict["reverted"]) == (command != "up-by-one")


@pytest.mark.parametrize("lock", ["table", "none"])
def test_a_cut_under_another_lock(
    database: str, conn: psycopg.Connection, directory: Path, lock: str
) -> None:
    """The lease is freed at once, and without any lock the sessions are known too."""
    with cut_at_commit(database, CutPoint.LATE) as cut:
        result = migrate(cut.dsn, directory, MIGRATOR_LOCK=lock)

    assert (cut.happened, result.exit_code) == (True, 0), result.verdict
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert applied(conn) == [0, 1, 2, 3]
    assert result.events("lock.contended") == []


def test_a_cut_under_another_role(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A role that may end nobody's sessions is put aside for ours."""
    role = f"owner_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role}")
    conn.execute(f"GRANT ALL ON ran TO {role}")

    with cut_at_commit(database, CutPoint.NEVER) as cut:
        result = migrate(cut.dsn, directory, MIGRATOR_ROLE=role)

    found = (result.exit_code, ran(conn), applied(conn))
    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert (cut.happened, *found) == (True, 0, ["up 1", "up 2", "up 3"], [0, 1, 2, 3])
    assert result.events("lock.contended") == []


@pytest.mark.parametrize("when", [CutPoint.ANSWERED, CutPoint.CLOSED, CutPoint.LATE])
def test_a_cut_before_a_pooler(
    database: str, conn: psycopg.Connection, directory: Path, when: CutPoint
) -> None:
    """A pooler makes up process ids: the table's own lock shows what was committed."""
    with pgbouncer(database) as pooled, cut_at_commit(pooled, when) as cut:
        result = migrate(cut.dsn, directory)

    assert (cut.happened, result.exit_code) == (True, 0), result.verdict
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert applied(conn) == [0, 1, 2, 3]


def test_a_network_that_stays_away(database: str, directory: Path) -> None:
    """The run ends with 23 once CONNECT_WAIT is spent, and says both."""
    with cut_at_commit(database, CutPoint.NEVER, stays=False) as cut:
        result = migrate(cut.dsn, directory, MIGRATOR_CONNECT_WAIT="1s")

    assert (result.exit_code, result.verdict["retryable"]) == (23, True)
    assert re.search(r"; no other one within \d+ s: .*refused", result.verdict["error"])
    assert [e["path"] for e in result.events("migration.failed")] == ["1_t.sql"]
    assert len(result.events("connection.retried")) > 1


def test_without_a_connect_wait_there_is_no_second_session(
    database: str, directory: Path
) -> None:
    """With CONNECT_WAIT=0 a lost session ends the run."""
    with cut_at_commit(database, CutPoint.NEVER) as cut:
        result = migrate(cut.dsn, directory, MIGRATOR_CONNECT_WAIT="0")

    assert result.exit_code == 23
    assert result.events("connection.lost") == []


def test_a_signal_ends_the_wait(database: str, directory: Path) -> None:
    """SIGTERM while nobody answers: 143, and not after CONNECT_WAIT."""
    with (
        cut_at_commit(database, CutPoint.NEVER, stays=False) as cut,
        started(cut.dsn, directory, MIGRATOR_CONNECT_WAIT="1h") as process,
    ):
        heard(process, "connection.retried")
        result = support.ended(process, signal.SIGTERM)

    assert result.exit_code == 143


KILLED_ONCE = """\
-- +goose Up
INSERT INTO ran VALUES ('up 2');
SELECT CASE WHEN nextval('tries') <= {times} THEN pg_terminate_backend(pg_backend_pid()) END;
"""


@pytest.mark.parametrize("times", [1, 2])
def test_a_statement_whose_session_is_ended(
    database: str, conn: psycopg.Connection, directory: Path, times: int
) -> None:
    """It runs again, at most two times more."""
    write(directory, {"2_t.sql": KILLED_ONCE.replace("{times}", str(times))})

    result = migrate(database, directory)

    lost = result.events("connection.lost")
    assert (result.exit_code, result.verdict["applied"]) == (0, [1, 2, 3])
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert [each["attempt"] for each in lost] == list(range(1, times + 1))
    assert {(each["version"], each["path"]) for each in lost} == {(2, "2_t.sql")}


def test_a_statement_that_ends_each_session(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Three attempts, and the error says that the file may be the cause."""
    write(directory, {"2_t.sql": KILLED_ONCE.replace("{times}", "9")})

    result = migrate(database, directory)

    assert (result.exit_code, result.verdict["applied"]) == (23, [1])
    assert "; that was attempt 3 at this migration" in result.verdict["error"]
    assert conn.execute("SELECT last_value FROM tries").fetchone() == (3,)
    assert (ran(conn), applied(conn)) == (["up 1"], [0, 1])


ALONE = "-- +goose NO TRANSACTION\n-- +goose Up\n"
OTHERS = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()"""


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("lead", ["", "DO $$BEGIN PERFORM 1; END$$;\n"])
def test_a_file_that_terminates_all_other_sessions(
    database: str, directory: Path, conn: psycopg.Connection, lead: str
) -> None:
    """It ends the session of its own lock: at the third time its line is named."""
    write(directory, {"2_t.sql": f"{lead}{OTHERS};\nSELECT pg_sleep(1);"})
    conn.close()

    result = migrate(database, directory)

    failed = result.verdict["failed"]
    assert (result.exit_code, failed["path"]) == (13, "2_t.sql")
    assert failed["line"] == 2 + lead.count("\n")
    assert "application_name <> current_setting" in result.verdict["error"]
    assert len(result.events("connection.lost")) == 2
    with psycopg.connect(database) as again:
        assert applied(again) == [0, 1]


END_AND_WAIT = f"""SELECT CASE WHEN n >= 0 THEN pg_sleep(1)::text END
FROM (SELECT count(ended) AS n FROM ({OTHERS}) AS e (ended)) AS c"""
"""A session that is terminated ends a little later."""

IN_A_FUNCTION = f"""-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION end_others() RETURNS text LANGUAGE sql AS $$ {END_AND_WAIT} $$;
-- +goose StatementEnd
"""


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("3_t.sql", "-- +goose Up\nSELECT 1;\nSELECT end_others();\n", 3),
        ("3_t.py", "\ndef up(conn):\n    conn.execute('SELECT end_others()')\n", 2),
    ],
)
def test_a_function_that_terminates_all_other_sessions(
    database: str,
    directory: Path,
    conn: psycopg.Connection,
    name: str,
    text: str,
    line: int,
) -> None:
    """What calls it is named, although its text does not say what it does."""
    (directory / "3_t.sql").unlink()
    write(directory, {"2_t.sql": IN_A_FUNCTION, name: text.encode()})
    conn.close()

    result = migrate(database, directory)

    failed = result.verdict["failed"]
    assert (result.exit_code, failed["path"], failed["line"]) == (13, name, line)
    assert "application_name <> current_setting" in result.verdict["error"]
    with psycopg.connect(database) as again:
        assert applied(again) == [0, 1, 2]


@pytest.mark.parametrize(
    ("lead", "code", "state"),
    [
        ("", 13, "nothing of this migration was applied"),
        ("CREATE TABLE z ();\n", 14, "what ran before it is applied and recorded"),
    ],
)
def test_a_no_transaction_file_that_terminates_all_other_sessions(
    database: str,
    directory: Path,
    conn: psycopg.Connection,
    lead: str,
    code: int,
    state: str,
) -> None:
    """At the third time its line is named, and what of the file is applied."""
    write(directory, {"2_t.sql": f"{ALONE}{lead}{END_AND_WAIT};\n"})
    conn.close()

    result = migrate(database, directory)

    failed = result.verdict["failed"]
    assert (result.exit_code, failed["path"]) == (code, "2_t.sql")
    assert failed["line"] == 3 + lead.count("\n")
    assert state in result.verdict["error"]
    assert "application_name <> current_setting" in result.verdict["error"]
    with psycopg.connect(database) as again:
        assert applied(again) == [0, 1]


@pytest.mark.usefixtures("both_ways")
def test_a_file_that_spares_sessions_of_its_own_name_is_applied(
    database: str, directory: Path, conn: psycopg.Connection
) -> None:
    """As the error about it says."""
    spare = "AND application_name <> current_setting('application_name')"
    write(directory, {"2_t.sql": f"{OTHERS} {spare};"})
    conn.close()

    result = migrate(database, directory)

    assert (result.exit_code, len(result.events("connection.lost"))) == (0, 0)


def test_a_script_runs_again(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """A migration in Python with a transaction is rolled back and runs again."""
    (directory / "2_t.sql").unlink()
    (directory / "2_t.py").write_text(
        "def up(conn):\n"
        "    conn.execute(\"INSERT INTO ran VALUES ('up 2')\")\n"
        "    conn.execute(\"SELECT CASE WHEN nextval('tries') = 1"
        ' THEN pg_terminate_backend(pg_backend_pid()) END")\n'
    )

    result = migrate(database, directory)

    assert (result.exit_code, result.verdict["applied"]) == (0, [1, 2, 3])
    assert ran(conn) == ["up 1", "up 2", "up 3"]


def test_a_file_without_a_transaction_resumes(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """In the same run, behind what is in effect."""
    body = KILLED_ONCE.replace("{times}", "1")
    write(directory, {"2_t.sql": f"-- +goose NO TRANSACTION\n{body}"})

    result = migrate(database, directory)

    assert (result.exit_code, result.verdict["applied"]) == (0, [1, 2, 3])
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert [each["through"] for each in result.events("migration.resumed")] == [1]


@pytest.mark.parametrize("which", ["lock", "work", "both"])
def test_a_session_that_is_ended_between_migrations(
    database: str, conn: psycopg.Connection, which: str
) -> None:
    """Both sessions are opened again, whichever was ended."""
    recorder = Recorder()

    def end(event: Event) -> None:
        recorder(event)
        if recorder.names.count("migration.applied") == 1:
            guard, work = sessions(conn)
            doomed = {"lock": [guard], "work": [work], "both": [guard, work]}[which]
            for pid in doomed:
                conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            recorder.events.append(recorder.events[-1])

    conn.execute("CREATE TABLE ran (what text)")
    three = files(
        *(
            migration(n, f"INSERT INTO ran VALUES ('up {n}')", "SELECT pg_sleep(0.05)")
            for n in (1, 2, 3)
        )
    )
    steps = runner(database, end).run(three, Up())

    assert [step.migration.version for step in steps] == [1, 2, 3]
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert applied(conn) == [0, 1, 2, 3]
    assert recorder.names.count("connection.lost") == 1
    assert recorder.names.count("lock.acquired") == 2


def test_what_another_run_does_meanwhile_is_skipped(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """Somebody who was quicker than our second session leaves us nothing to do."""
    recorder, other = Recorder(), []

    def while_lost(event: Event) -> None:
        recorder(event)
        if event.name == "connection.lost":
            other.append(migrate(database, directory).exit_code)

    with cut_at_commit(database, CutPoint.CLOSED) as cut:
        steps = runner(cut.dsn, while_lost).run(loaded(directory), Up())

    skipped = recorder.names.count("migration.skipped")
    assert (other, len(steps) + skipped) == ([0], 3)
    assert ran(conn) == ["up 1", "up 2", "up 3"]
    assert applied(conn) == [0, 1, 2, 3]


def test_all_is_done_while_somebody_keeps_the_lock(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """By what the table says then: the run ends, and does not wait for the lock."""
    write(directory, {"2_t.sql": KILLED_ONCE.replace("{times}", "1")})
    recorder = Recorder()

    def finish(event: Event) -> None:
        recorder(event)
        if event.name == "connection.lost":
            assert migrate(database, directory).exit_code == 0
            conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])

    impatient = Policy(lock_backoff=Backoff(total_s=0.3))
    steps = replace(runner(database, finish), policy=impatient).run(
        loaded(directory), Up()
    )

    names = Counter(recorder.names)
    assert (names["lock.acquired"], names["lock.contended"]) == (1, 0)
    assert len(steps) + names["migration.skipped"] == 3
    assert names["migration.applied"] == len(steps)
    assert ran(conn) == ["up 1", "up 2", "up 3"]


def test_a_commit_that_a_failover_has_lost(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """What was reported as applied, and is not there any more, is applied again."""
    recorder = Recorder()

    def fail_over(event: Event) -> None:
        recorder(event)
        if event.name == "migration.applied" and getattr(event, "version", 0) == 2:
            for pid in sessions(conn):
                conn.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
            if recorder.names.count("commit.lost") == 0:
                conn.execute(
                    "DROP TABLE t2; DELETE FROM goose_db_version WHERE version_id = 2"
                )

    steps = runner(database, fail_over).run(loaded(directory), Up())

    assert [step.migration.version for step in steps] == [1, 2, 3]
    assert recorder.names.count("commit.lost") == 1
    assert sorted(applied(conn)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, ()),
        ((None,), ()),
        (("7 1.5,8 2.5",), ("7 1.5", "8 2.5")),
    ],
)
def test_processes_of_an_answer(answer: Row | None, expected: tuple[str, ...]) -> None:
    """Neither a session that sees none nor a proxy without an answer is a bug."""
    assert read_processes(answer) == expected


def test_a_process_of_somebody_else_is_left_alone(
    database: str, conn: psycopg.Connection
) -> None:
    """The same number, begun at another time, is another process."""
    with psycopg.connect(database, autocommit=True) as ours:
        (known,) = query_processes(ours, ours)
        stranger = f"{ours.info.backend_pid} 1.000000"

        assert known.startswith(f"{ours.info.backend_pid} ")
        assert end_sessions(conn, (stranger,))
        assert ours.execute("SELECT 1").fetchone() == (1,)
        while not end_sessions(conn, (known,)):
            pass
        with pytest.raises(psycopg.OperationalError):
            ours.execute("SELECT 1")

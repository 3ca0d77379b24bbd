"""A migration without a transaction that was stopped goes on at the right statement."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.facts import Place, ServerMessage
from migrator.domain.model import (
    Down,
    Files,
    HistoryMode,
    OnInvalidIndex,
    Statement,
    Up,
)
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import (
    ConnectionLostError,
    ContentionError,
    LockLostError,
    MigratorError,
    PartiallyAppliedError,
    StatementFailedError,
)
from migrator.events.base import Event
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.tracking.store import TrackingStore
from tests.helpers.support import (
    Recorder,
    ended,
    files,
    migration,
    run,
    started,
    until,
    write,
)


QUICK = Policy(retry_backoff=Backoff(total_s=0.3, initial_s=0.05))
RESUMED, DROPPED = "migration.resumed", "index.dropped"


def runner(
    dsn: str, recorder: Recorder | None = None, *, patience_s: float = 1
) -> Runner:
    """A runner with little patience; without any, a lost session ends it."""
    database = Database(
        dsn=parse_dsn(dsn),
        session=Session(lock_timeout_s=0.2),
        backoff=Backoff(total_s=patience_s),
    )
    observe = recorder or (lambda event: None)
    return Runner(database=database, policy=QUICK, observe=observe)


def loose(*statements: str) -> Files:
    """One migration without a transaction."""
    return files(migration(1, *statements, transaction=False))


def one(conn: psycopg.Connection, query: str) -> object:
    """The first column of the first row."""
    row = conn.execute(query).fetchone()
    return row[0] if row else None


def history(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """What the journal and goose's table say."""
    query = (
        "SELECT action, h.state, h.statement, g.version_id FROM migrator_history h"
        " LEFT JOIN goose_db_version g ON g.id = h.tracking_id ORDER BY h.id"
    )
    return list(conn.execute(query))


def stop_after(monkeypatch: pytest.MonkeyPatch, start: str, *, times: int = 1) -> None:
    """Lose the connection when a statement is through, before anything is noted."""
    send, left = StatementExecutor.send, times

    def lose(
        self: StatementExecutor, statement: Statement, place: Place
    ) -> tuple[str, ...]:
        nonlocal left
        tags = send(self, statement, place)
        if statement.text.startswith(start) and left:
            left -= 1
            self.conn.close()
            words = ServerMessage(None, "cut by a test")
            raise ConnectionLostError(words, doing="a test", place=place)
        return tags

    monkeypatch.setattr(StatementExecutor, "send", lose)


def test_the_next_run_resumes_after_what_is_applied(
    database: str, conn: psycopg.Connection
) -> None:
    """What ran is not run again; the failed statement is, and what follows it."""
    conn.execute("CREATE TABLE go (x int); CREATE TABLE a (x int)")
    half = loose(
        "INSERT INTO a VALUES (1)",
        "SELECT 1 / count(*) FROM go",
        "INSERT INTO a VALUES (2)",
    )
    with pytest.raises(PartiallyAppliedError, match="statement 2 of 3"):
        runner(database).run(half, Up())
    assert history(conn) == [("up", "open", 1, None)]
    conn.execute("INSERT INTO go VALUES (1)")
    recorder = Recorder()

    runner(database, recorder).run(half, Up())

    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]
    assert history(conn) == [("up", None, None, 1)]
    assert [(e.through, e.statements) for e in recorder.of(RESUMED)] == [(1, 3)]


def test_the_failed_statement_may_be_fixed(
    database: str, conn: psycopg.Connection
) -> None:
    """Only what is in effect has to be as it was."""
    conn.execute("CREATE TABLE a (x int)")
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(loose("INSERT INTO a VALUES (1)", "SELECT 1 / 0"), Up())

    runner(database).run(
        loose("INSERT INTO a VALUES (1)", "SELECT 1", "INSERT INTO a VALUES (2)"), Up()
    )

    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]


@pytest.mark.parametrize(
    "changed", [("INSERT INTO a VALUES (7)", "SELECT 1"), ()], ids=["other", "fewer"]
)
def test_a_file_that_changed_in_what_is_in_effect_is_refused(
    database: str, conn: psycopg.Connection, changed: tuple[str, ...]
) -> None:
    """Nothing is run, and the words say who began it and what to do."""
    conn.execute("CREATE TABLE a (x int)")
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(loose("INSERT INTO a VALUES (1)", "SELECT 1 / 0"), Up())

    with pytest.raises(PartiallyAppliedError) as caught:
        runner(database).run(loose(*changed), Up())

    assert "1 of its statements are applied since" in str(caught.value)
    assert 'DELETE FROM "public"."migrator_history" WHERE id = 1' in str(caught.value)
    assert one(conn, "SELECT array_agg(x) FROM a") == [1]
    conn.execute("DELETE FROM migrator_history WHERE id = 1")
    runner(database).run(loose("SELECT 1"), Up())
    assert one(conn, "SELECT max(version_id) FROM goose_db_version") == 1


def test_a_first_statement_that_fails_leaves_no_intent(
    database: str, conn: psycopg.Connection
) -> None:
    """Neither an effect nor a row: the file may change in any way."""
    with pytest.raises(StatementFailedError):
        runner(database).run(loose("SELECT 1 / 0", "SELECT 1"), Up())

    assert history(conn) == []


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_stopped_in_a_statement(
    database: str, conn: psycopg.Connection, tmp_path: Path, signum: int
) -> None:
    """The statement is rolled back, what ran before it is not run again."""
    conn.execute("CREATE TABLE a (x int)")
    content = (
        "-- +goose Up\n-- +goose NO TRANSACTION\nINSERT INTO a VALUES (1);\n"
        "INSERT INTO a SELECT 2 FROM pg_sleep((SELECT coalesce(max(x), 60) FROM wait));\n"
    )
    conn.execute("CREATE TABLE wait (x int)")
    directory = write(tmp_path / "m", {"1_a.sql": content})
    with started(database, directory) as process:
        until(lambda: sleeping(conn))
        process.send_signal(signum)
        stopped = process.wait(20)
    conn.execute("INSERT INTO wait VALUES (0)")
    until(lambda: not sleeping(conn))

    with started(database, directory) as process:
        result = ended(process)

    assert stopped == (143 if signum == signal.SIGTERM else -signal.SIGKILL)
    assert result.exit_code == 0
    assert [line["through"] for line in result.events(RESUMED)] == [1]
    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]


def sleeping(conn: psycopg.Connection) -> bool:
    """Whether another session of this database sleeps; one that nobody reads ends."""
    query = (
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        " AND datname = current_database()"
    )
    return bool(one(conn, query))


UNIQUE = "CREATE UNIQUE INDEX CONCURRENTLY {}i ON a (x)"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('i')"


@pytest.mark.parametrize("unless", ["", "IF NOT EXISTS "])
def test_a_unique_index_over_duplicates(
    database: str, conn: psycopg.Connection, unless: str
) -> None:
    """It is left INVALID and said so; when they are gone the next run builds it."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    building = loose(UNIQUE.format(unless), "INSERT INTO a VALUES (3)")
    with pytest.raises(PartiallyAppliedError) as caught:
        runner(database).run(building, Up())
    assert one(conn, VALID) is False
    conn.execute("TRUNCATE a")
    recorder = Recorder()

    runner(database, recorder).run(building, Up())

    assert "could not create unique index" in str(caught.value)
    assert "DROP INDEX CONCURRENTLY public.i" in str(caught.value)
    assert one(conn, VALID) is True
    assert [e.index for e in recorder.of(DROPPED)] == ["public.i"]
    assert one(conn, "SELECT count(*) FROM a") == 1


def test_the_index_may_become_another_one(
    database: str, conn: psycopg.Connection
) -> None:
    """The statement that failed is fixed: what it left is removed all the same."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(loose(UNIQUE.format("")), Up())

    runner(database).run(loose("CREATE INDEX CONCURRENTLY j ON a (x)"), Up())

    assert one(
        conn,
        "SELECT array_agg(relname::text) FROM pg_class WHERE relkind = 'i' AND relname IN ('i', 'j')",
    ) == ["j"]


@pytest.mark.parametrize("unless", ["", "IF NOT EXISTS "])
def test_an_invalid_index_of_an_earlier_attempt_by_whomever(
    database: str, conn: psycopg.Connection, unless: str
) -> None:
    """IF NOT EXISTS would be content with it; here it is dropped and built again."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(UNIQUE.format(""))
    conn.execute("TRUNCATE a")

    runner(database).run(loose(UNIQUE.format(unless)), Up())

    assert one(conn, VALID) is True


def test_an_invalid_index_is_left_when_the_settings_say_so(
    database: str, conn: psycopg.Connection
) -> None:
    """Then a human must look."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    keeping = replace(
        runner(database), policy=QUICK._replace(on_invalid_index=OnInvalidIndex.FAIL)
    )
    with pytest.raises(PartiallyAppliedError):
        keeping.run(loose(UNIQUE.format("")), Up())
    conn.execute("TRUNCATE a")

    with pytest.raises(PartiallyAppliedError, match="MIGRATOR_ON_INVALID_INDEX=drop"):
        keeping.run(loose(UNIQUE.format("")), Up())

    assert one(conn, VALID) is False


def test_an_index_that_another_session_builds_is_left_alone(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The run waits for it, and does not drop it; once it is built, all is well."""
    conn.execute("CREATE TABLE a (x int)")
    building = loose("CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (x)")
    with (
        psycopg.connect(database) as old,
        psycopg.connect(database, autocommit=True) as builder,
    ):
        old.execute("SELECT count(*) FROM a")
        old.execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
        builder.pgconn.send_query(b"CREATE INDEX CONCURRENTLY i ON a (x)")
        until(
            lambda: one(conn, "SELECT count(*) FROM pg_stat_progress_create_index") == 1
        )
        until(lambda: one(conn, VALID) is False)

        with pytest.raises(ContentionError, match="is INVALID, and session"):
            runner(database).run(building, Up())

        old.rollback()
        until(lambda: one(conn, VALID) is True)
        while builder.pgconn.get_result() is not None:
            pass
    runner(database).run(building, Up())
    assert one(conn, "SELECT max(version_id) FROM goose_db_version") == 1


@pytest.mark.parametrize("ended_too", [True, False], ids=["session-ends", "stays"])
def test_a_build_whose_process_was_killed(
    database: str, conn: psycopg.Connection, tmp_path: Path, *, ended_too: bool
) -> None:
    """Its session may end with it or go on: the next run leaves one valid index."""
    conn.execute("CREATE TABLE a (x int)")
    content = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nINSERT INTO a VALUES (1);\n"
        "CREATE INDEX CONCURRENTLY i ON a (x);\n"
    )
    directory = write(tmp_path / "m", {"1_a.sql": content})
    building = "SELECT pid FROM pg_stat_progress_create_index WHERE phase ~ 'waiting'"
    with psycopg.connect(database) as old:
        old.execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
        patient = {"MIGRATOR_LOCK_TIMEOUT": "60s"}
        with started(database, directory, **patient) as process:
            until(lambda: one(conn, building))
            process.kill()
            process.wait()
        if ended_too:
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", [one(conn, building)])
    assert one(conn, "SELECT max(version_id) FROM goose_db_version") == 0

    with started(database, directory) as process:
        result = ended(process)

    assert result.exit_code == 0
    assert one(conn, VALID) is True
    assert one(conn, "SELECT count(*) FROM a") == 1
    assert len(result.events(DROPPED)) == ended_too


TRACED = [
    pytest.param("CREATE INDEX CONCURRENTLY i ON a (x)", id="create-index"),
    pytest.param("CREATE INDEX CONCURRENTLY ON a (x)", id="create-unnamed-index"),
    pytest.param("DROP INDEX CONCURRENTLY old", id="drop-index"),
    pytest.param("ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY", id="detach"),
    pytest.param("REINDEX INDEX CONCURRENTLY old", id="reindex"),
    pytest.param("CREATE DATABASE {}_made", id="create-database"),
    pytest.param("DROP DATABASE {}_old", id="drop-database"),
    pytest.param("VACUUM a", id="vacuum"),
]


@pytest.fixture
def side_databases(conn: psycopg.Connection) -> Iterator[str]:
    """Names of databases beside the test's own, dropped at the end."""
    name = str(one(conn, "SELECT current_database()"))
    conn.execute(f"CREATE DATABASE {name}_old")
    yield name
    for suffix in ("old", "made"):
        conn.execute(f"DROP DATABASE IF EXISTS {name}_{suffix}")


@pytest.mark.parametrize("statement", TRACED)
def test_what_came_through_unnoticed_is_not_done_twice(
    database: str,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    side_databases: str,
    statement: str,
) -> None:
    """The catalogs tell that it is in effect, though nobody could note it."""
    conn.execute(
        "CREATE TABLE a (x int); CREATE INDEX old ON a (x);"
        "CREATE TABLE p (x int) PARTITION BY LIST (x);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    text = statement.format(side_databases)
    step = loose("INSERT INTO a VALUES (1)", text, "INSERT INTO a VALUES (2)")
    stop_after(monkeypatch, text)
    with pytest.raises(ConnectionLostError):
        runner(database, patience_s=0).run(step, Up())
    before = shape(conn)

    runner(database).run(step, Up())

    assert shape(conn) == before
    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]
    assert history(conn) == [("up", None, None, 1)]


def test_a_continuous_aggregate_is_refreshed_again(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It commits in pieces, and does no harm twice: nobody has to say whether it ran."""
    conn.execute(
        "CREATE TABLE a (x int); CREATE PROCEDURE refresh_continuous_aggregate"
        " (v text, since text, til text) LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO a VALUES (2); COMMIT; END'"
    )
    text = "CALL public.refresh_continuous_aggregate('v', NULL, NULL)"
    step = loose("INSERT INTO a VALUES (1)", text, "INSERT INTO a VALUES (3)")
    stop_after(monkeypatch, text)
    with pytest.raises(ConnectionLostError):
        runner(database, patience_s=0).run(step, Up())

    runner(database).run(step, Up())

    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2, 2, 3]
    assert history(conn) == [("up", None, None, 1)]


AGGREGATE = "CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous) AS SELECT 1 AS x"


def test_a_continuous_aggregate_that_was_not_made_is_no_riddle(
    database: str, conn: psycopg.Connection
) -> None:
    """The server's error is the reason, for the catalogs say that nothing is left."""
    conn.execute("CREATE TABLE a (x int)")
    step = loose("INSERT INTO a VALUES (1)", AGGREGATE)

    with pytest.raises(PartiallyAppliedError, match="parameter namespace") as caught:
        runner(database).run(step, Up())

    assert "UPDATE" not in str(caught.value)
    assert history(conn) == [("up", "open", 1, None)]


def test_a_continuous_aggregate_is_there_before_it_is_filled(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nobody but a human can say whether a run that was cut off has filled it."""
    send = StatementExecutor.send

    def plainly(
        self: StatementExecutor, statement: Statement, place: Place
    ) -> tuple[str, ...]:
        text = statement.text.replace("WITH (timescaledb.continuous) ", "")
        return send(self, statement._replace(text=text), place)

    monkeypatch.setattr(StatementExecutor, "send", plainly)
    stop_after(monkeypatch, AGGREGATE)
    with pytest.raises(ConnectionLostError):
        runner(database, patience_s=0).run(loose(AGGREGATE), Up())

    with pytest.raises(PartiallyAppliedError, match="statement 1 of 1"):
        runner(database).run(loose(AGGREGATE), Up())

    assert history(conn) == [("up", "sent", 0, None)]


def test_two_builds_that_came_through_unnoticed(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is noted of the second one fits the file, though nobody noted the first."""
    conn.execute("CREATE TABLE a (x int)")
    builds = (
        "CREATE INDEX CONCURRENTLY i ON a (x)",
        "CREATE INDEX CONCURRENTLY j ON a (x)",
    )
    step = loose("INSERT INTO a VALUES (1)", *builds, "INSERT INTO a VALUES (2)")
    for text in builds:
        stop_after(monkeypatch, text)
        with pytest.raises(ConnectionLostError):
            runner(database, patience_s=0).run(step, Up())

    runner(database).run(step, Up())

    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]
    assert history(conn) == [("up", None, None, 1)]


def shape(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """The relations, whether indexes are valid, partitions and databases."""
    query = (
        "SELECT c.relname::text, indisvalid, inhparent::regclass::text FROM pg_class c"
        " LEFT JOIN pg_index ON indexrelid = c.oid LEFT JOIN pg_inherits ON"
        " inhrelid = c.oid WHERE relnamespace = 'public'::regnamespace AND relname !~"
        " 'migrator|goose' UNION ALL SELECT datname, true, null FROM pg_database"
        " WHERE datname LIKE current_database() || '%' ORDER BY 1"
    )
    return list(conn.execute(query))


@pytest.mark.parametrize("statement", TRACED[3:5])
def test_what_was_cut_off_in_its_middle_is_finished(
    database: str, conn: psycopg.Connection, statement: str
) -> None:
    """A pending detachment is finalized, what REINDEX has left is dropped."""
    conn.execute(
        "CREATE TABLE a (x int); CREATE INDEX old ON a (x);"
        "CREATE TABLE p (x int) PARTITION BY LIST (x);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    # a build waits without ours
    step = loose("SET lock_timeout = '300ms'", statement)
    with psycopg.connect(database) as old:
        old.execute("SELECT count(*) FROM p")
        old.execute("INSERT INTO a VALUES (1)")
        with pytest.raises(ContentionError):
            runner(database).run(step, Up())

    runner(database).run(step, Up())

    expected = [("a", None, None), ("old", True, None), ("p", None, None)]
    partition = ("p1", None, None if "DETACH" in statement else "p")
    assert [row for row in shape(conn) if row[0] in {"a", "old", "p", "p1"}] == [
        *expected,
        partition,
    ]
    assert not [row for row in shape(conn) if "_cc" in str(row[0])]


def test_a_transaction_of_the_files_own_is_noted_with_its_commit(
    database: str, conn: psycopg.Connection
) -> None:
    """Both are there or neither is; what is open when the run stops is begun again."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE go (x int)")
    own = loose(
        "BEGIN",
        "INSERT INTO a VALUES (1)",
        "COMMIT",
        "BEGIN",
        "INSERT INTO a VALUES (2)",
        "SELECT 1 / count(*) FROM go",
        "COMMIT",
    )
    with pytest.raises(PartiallyAppliedError, match="statement 6 of 7"):
        runner(database).run(own, Up())
    assert history(conn) == [("up", "open", 3, None)]
    conn.execute("INSERT INTO go VALUES (1)")

    runner(database).run(own, Up())

    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1, 2]


PROCEDURE = """
CREATE TABLE a (x int); CREATE TABLE go (x int);
CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO a VALUES (1); COMMIT; PERFORM 1 / count(*) FROM go; END $$
"""


@pytest.mark.parametrize("in_effect", [True, False])
def test_a_procedure_that_commits_has_an_unknown_outcome_until_a_human_records_it(
    database: str, conn: psycopg.Connection, *, in_effect: bool
) -> None:
    """Each run ends with the recipe; its two answers lead on."""
    conn.execute(PROCEDURE)
    step = loose("CALL p()", "INSERT INTO a VALUES (2)")
    for _ in range(2):
        with pytest.raises(PartiallyAppliedError) as caught:
            runner(database).run(step, Up())
    advice = str(caught.value).split("re-run: ")[1]
    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == [1]
    conn.execute("INSERT INTO go VALUES (1)")

    assert "if a part was, make the statement idempotent" in advice
    answer = advice.split("; ")[0 if in_effect else 1].split(", ", 1)[1]
    conn.execute(answer)
    runner(database).run(step, Up())

    expected = [1, 2] if in_effect else [1, 1, 2]
    assert one(conn, "SELECT array_agg(x ORDER BY x) FROM a") == expected


def test_settings_of_the_file_apply_where_it_resumes(
    database: str, conn: psycopg.Connection
) -> None:
    """SET and set_config are repeated in the new session."""
    conn.execute("CREATE SCHEMA s; CREATE SCHEMA t; CREATE TABLE t.go (x int)")
    setting = loose(
        "SET search_path = s",
        "SELECT set_config('search_path', 't,' || current_schema(), false)",
        "CREATE TABLE a ()",
        "SELECT 1 / count(*) FROM go",
        "CREATE TABLE b ()",
    )
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(setting, Up())
    conn.execute("INSERT INTO t.go VALUES (1)")

    runner(database).run(setting, Up())

    assert one(conn, "SELECT to_regclass('t.b')::text") == "t.b"


def test_a_temporary_table_cannot_be_had_back(
    database: str, conn: psycopg.Connection
) -> None:
    """What is gone with the session is not missed in silence."""
    conn.execute("CREATE TABLE go (x int)")
    temporary = loose("CREATE TEMP TABLE a ()", "SELECT 1 / count(*) FROM go")
    with pytest.raises(PartiallyAppliedError, match="division by zero"):
        runner(database).run(temporary, Up())
    conn.execute("INSERT INTO go VALUES (1)")

    with pytest.raises(
        PartiallyAppliedError, match="something that ended with its session"
    ):
        runner(database).run(temporary, Up())


def test_another_role_of_the_file_does_not_write_the_journal(
    database: str, conn: psycopg.Connection
) -> None:
    """SET ROLE holds for the file's statements, and ours are our own."""
    conn.execute("DROP ROLE IF EXISTS nobody_else; CREATE ROLE nobody_else")
    conn.execute("CREATE SCHEMA s AUTHORIZATION nobody_else")
    as_other = loose(
        "SET ROLE nobody_else", "CREATE TABLE s.a ()", "CREATE TABLE s.b ()"
    )

    try:
        runner(database).run(as_other, Up())

        owner = one(conn, "SELECT tableowner FROM pg_tables WHERE tablename = 'b'")
        assert owner == "nobody_else"
        assert history(conn) == [("up", None, None, 1)]
    finally:
        conn.execute("DROP OWNED BY nobody_else CASCADE; DROP ROLE nobody_else")


def test_a_file_that_wants_a_transaction_by_now_is_refused(
    database: str, conn: psycopg.Connection
) -> None:
    """What is in effect would run a second time."""
    conn.execute("CREATE TABLE a (x int)")
    statements = ("INSERT INTO a VALUES (1)", "SELECT 1 / 0")
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(loose(*statements), Up())

    with pytest.raises(PartiallyAppliedError, match="make it NO TRANSACTION again"):
        runner(database).run(files(migration(1, *statements)), Up())

    assert one(conn, "SELECT array_agg(x) FROM a") == [1]


def test_what_others_have_done_since_is_not_gone_on_with(
    database: str, conn: psycopg.Connection
) -> None:
    """A row of goose's ends the intent, also when goose rolls it back later."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE go (x int)")
    half = loose("INSERT INTO a VALUES (1)", "SELECT 1 / count(*) FROM go")
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(half, Up())
    conn.execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"
    )
    conn.execute("INSERT INTO go VALUES (1); TRUNCATE a")
    down = half.migrations[0]._replace(down=migration(1, "SELECT 1").up)

    runner(database).run(files(down), Down())
    runner(database).run(half, Up())

    assert one(conn, "SELECT array_agg(x) FROM a") == [1]


def test_two_runs_without_a_lock_do_nothing_twice(
    database: str, conn: psycopg.Connection
) -> None:
    """What the other one has noted since is seen before a statement is committed."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE go (x int)")
    step = loose(
        "INSERT INTO a VALUES (1)",
        "INSERT INTO a SELECT 1 + 1 / count(*) FROM go",
        "INSERT INTO a VALUES (3)",
    )
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(step, Up())
    conn.execute("INSERT INTO go VALUES (1)")

    def overtake(event: Event) -> None:
        if event.name == "statement.finished" and event.statement == 2:  # type: ignore[attr-defined]
            conn.execute("UPDATE migrator_history SET statement = 2")

    overtaken = replace(runner(database), observe=overtake)
    with pytest.raises(LockLostError, match="another run has continued"):
        overtaken.run(step, Up())

    assert one(conn, "SELECT array_agg(x) FROM a") == [1]


def test_status_shows_what_has_begun(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """It is neither applied nor pending."""
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\nSELECT 1 / 0;\n"
        },
    )
    known = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
    }
    assert run("up", **known).exit_code == 14

    result = run("status", "--check", **known)

    assert result.exit_code == 3
    assert [line["state"] for line in result.events("migration.listed")] == ["begun"]


def test_what_refuses_a_block_unexpectedly_runs_without_one(
    database: str, conn: psycopg.Connection
) -> None:
    """By the server's word: REINDEX does so only for a partitioned table."""
    conn.execute("CREATE TABLE p (x int PRIMARY KEY) PARTITION BY LIST (x)")

    runner(database).run(loose("REINDEX TABLE p", "SELECT 1"), Up())

    assert history(conn) == [("up", None, None, 1)]


def test_down_resumes_too(database: str, conn: psycopg.Connection) -> None:
    """The way back has an intent of its own."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE go (x int)")
    both = migration(1, "SELECT 1", transaction=False)
    down = migration(1, "INSERT INTO a VALUES (1)", "SELECT 1 / count(*) FROM go").up
    both = both._replace(down=down)
    runner(database).run(files(both), Up())
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(files(both), Down())
    conn.execute("INSERT INTO go VALUES (1)")

    runner(database).run(files(both), Down())

    assert one(conn, "SELECT array_agg(x) FROM a") == [1]
    assert history(conn) == [("up", None, None, None), ("down", None, None, None)]


@pytest.mark.parametrize(
    ("keep", "state", "noted"),
    [
        (HistoryMode.AUTO, None, [("up", None, None, 2)]),
        (HistoryMode.FALSE, "open", []),
    ],
)
def test_what_was_recorded_by_hand_since_is_closed(
    database: str,
    conn: psycopg.Connection,
    keep: HistoryMode,
    state: str | None,
    noted: list[tuple[object, ...]],
) -> None:
    """Its intent is of no use any more; without a history of ours it is left alone."""
    with pytest.raises(PartiallyAppliedError):
        runner(database).run(loose("SELECT 1", "SELECT 1 / 0"), Up())
    row = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"
    conn.execute(row)
    again = replace(runner(database), store=TrackingStore(history_mode=keep))

    again.run(files(migration(1, "SELECT 1"), migration(2, "SELECT 1")), Up())

    assert history(conn) == [("up", state, 1, None), *noted]


@pytest.mark.parametrize("text", ["SELECT 1 / 0", "CALL p()"])
def test_without_a_history_nothing_is_recorded(
    database: str, conn: psycopg.Connection, text: str
) -> None:
    """Without a history a half-applied file is for a human; the next run starts over."""
    conn.execute(PROCEDURE)
    bare = replace(
        runner(database), store=TrackingStore(history_mode=HistoryMode.FALSE)
    )
    half = loose("CREATE TABLE IF NOT EXISTS b ()", text)

    for _ in range(2):
        with pytest.raises(
            PartiallyAppliedError, match="complete or revert it manually"
        ):
            bare.run(half, Up())

    assert one(conn, "SELECT to_regclass('migrator_history')") is None


def test_a_lock_timeout_is_retried_from_the_statement_that_met_it(
    database: str, conn: psycopg.Connection
) -> None:
    """Each statement is one transaction: those before it are not run again."""
    conn.execute("CREATE TABLE a (x int); CREATE TABLE b (x int)")
    step = loose("INSERT INTO a VALUES (1)", "ALTER TABLE b ADD y int")
    recorder = Recorder()

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE b")
        with pytest.raises(MigratorError) as caught:
            runner(database, recorder).run(step, Up())
    runner(database).run(step, Up())

    assert isinstance(caught.value, ContentionError)
    assert recorder.of("migration.retried")
    assert one(conn, "SELECT array_agg(x) FROM a") == [1]

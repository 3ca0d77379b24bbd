"""The main loop against a real server."""

import threading
from dataclasses import replace

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, HistoryMode, Lock, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import (
    AccessDeniedError,
    ContentionError,
    InvalidTrackingTableError,
    LockWaitTimeoutError,
    MissingSchemaError,
    OutOfOrderError,
    PartiallyAppliedError,
    StatementFailedError,
    StatementTimeoutError,
    TrackingTableLockedError,
)
from migrator.events.base import Event, Observer
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from migrator.pg.tracking.store import TrackingStore
from tests.helpers.support import Recorder, files, migration


pytestmark = pytest.mark.usefixtures("both_ways")


QUICK = Policy(
    lock_backoff=Backoff(total_s=0.3),
    retry_backoff=Backoff(total_s=0.3, initial_s=0.05),
)


def runner(
    dsn: str,
    *,
    policy: Policy = QUICK,
    session: Session | None = None,
    table: str = "goose_db_version",
    observe: Observer = lambda event: None,
) -> Runner:
    """A runner with little patience."""
    database = Database(
        dsn=parse_dsn(dsn),
        session=session or Session(lock_timeout_s=0.2),
        backoff=Backoff(total_s=1),
    )
    return Runner(
        database=database, store=TrackingStore(table), policy=policy, observe=observe
    )


def versions(
    conn: psycopg.Connection, table: str = "goose_db_version"
) -> list[tuple[int, bool]]:
    """What goose's table holds."""
    query = f"SELECT version_id, is_applied FROM {table} ORDER BY id"
    return conn.execute(query.encode()).fetchall()


def relations(conn: psycopg.Connection) -> set[str]:
    """Names of the tables and indexes that migrations made in `public`."""
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'i') AND relname NOT SIMILAR TO '(goose|migrator)%'"
    )
    return {name for (name,) in rows}


TWO = files(migration(1, "CREATE TABLE a (x int)"), migration(2, "CREATE TABLE b ()"))


def test_up_applies_all_and_records_each(
    database: str, conn: psycopg.Connection
) -> None:
    """Every file runs once, in order, with its row after goose's row 0."""
    steps = runner(database).run(TWO, Up())

    assert [step.migration.version for step in steps] == [1, 2]
    assert relations(conn) == {"a", "b"}
    assert versions(conn) == [(0, True), (1, True), (2, True)]


def test_up_twice_does_nothing_the_second_time(database: str) -> None:
    """The second run neither locks nor creates anything."""
    runner(database).run(TWO, Up())
    recorder = Recorder()

    steps = runner(database, observe=recorder).run(TWO, Up())

    assert steps == ()
    assert recorder.names == ["connection.opened", "plan.made"]


def test_the_events_of_a_run(database: str) -> None:
    """Events are emitted in the order in which they happen."""
    recorder = Recorder()

    runner(database, observe=recorder).run(TWO, Up(to=1))

    assert recorder.names == [
        "connection.opened",
        "lock.acquired",
        "plan.made",
        "migration.started",
        "statement.finished",
        "migration.applied",
    ]


def test_a_failing_statement_runs_once(database: str, conn: psycopg.Connection) -> None:
    """A sequence, which no rollback resets, counts the attempts."""
    conn.execute("CREATE SEQUENCE attempts")
    broken = files(
        migration(1, "SELECT 1"),
        migration(2, "SELECT 2", "SELECT 1 / (nextval('attempts') * 0)"),
    )

    with pytest.raises(StatementFailedError):
        runner(database).run(broken, Up())

    row = conn.execute("SELECT last_value, is_called FROM attempts").fetchone()
    assert row == (1, True)


def test_a_failing_migration_leaves_nothing_behind(
    database: str, conn: psycopg.Connection
) -> None:
    """What its earlier statements did is rolled back with it; earlier files stay."""
    broken = files(
        migration(1, "CREATE TABLE a (x int)"),
        migration(2, "CREATE TABLE b ()", "INSERT INTO a\nVALUES (1, 2)"),
        migration(3, "CREATE TABLE c ()"),
    )

    with pytest.raises(StatementFailedError) as caught:
        runner(database).run(broken, Up())

    assert str(caught.value.place) == "00002_test.sql:4:12"
    assert caught.value.server.sqlstate == "42601"
    assert relations(conn) == {"a"}
    assert versions(conn) == [(0, True), (1, True)]


def test_the_table_is_what_goose_creates(
    database: str, conn: psycopg.Connection
) -> None:
    """Column by column, as goose v3.27.3 creates it."""
    runner(database).run(TWO, Up())

    rows = conn.execute(
        "SELECT column_name, data_type, is_nullable, column_default, is_identity,"
        " identity_generation FROM information_schema.columns"
        " WHERE table_name = 'goose_db_version' ORDER BY ordinal_position"
    ).fetchall()
    assert rows == [
        ("id", "integer", "NO", None, "YES", "BY DEFAULT"),
        ("version_id", "bigint", "NO", None, "NO", None),
        ("is_applied", "boolean", "NO", None, "NO", None),
        ("tstamp", "timestamp without time zone", "NO", "now()", "NO", None),
    ]


def test_a_table_in_another_schema(database: str, conn: psycopg.Connection) -> None:
    """`schema.table` is created there, with goose's case folding."""
    conn.execute("CREATE SCHEMA ops")

    runner(database, table="ops.Versions").run(TWO, Up())

    assert versions(conn, "ops.versions") == [(0, True), (1, True), (2, True)]


def test_a_table_in_a_missing_schema_is_refused(database: str) -> None:
    """The error names the table and says what to do."""
    with pytest.raises(MissingSchemaError) as caught:
        runner(database, table="ops.versions").run(TWO, Up())

    assert str(caught.value) == (
        'ops.versions cannot be created: schema "ops" does not exist (SQLSTATE 3F000);'
        " create the schema, or correct MIGRATOR_TABLE"
    )


def test_a_table_of_somebody_else_is_refused(
    database: str, conn: psycopg.Connection
) -> None:
    """A table without goose's columns is not written to."""
    conn.execute("CREATE TABLE goose_db_version (x int)")

    with pytest.raises(InvalidTrackingTableError):
        runner(database).run(TWO, Up())

    assert relations(conn) == set()


def test_an_empty_table_gets_row_0(database: str, conn: psycopg.Connection) -> None:
    """goose stops on such a table; here it is what it was before its first row."""
    conn.execute(
        "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT"
        " NULL, is_applied boolean NOT NULL, tstamp timestamp NULL DEFAULT now())"
    )

    runner(database).run(TWO, Up(to=1))

    assert versions(conn) == [(0, True), (1, True)]


def test_a_search_path_of_a_file_hides_nothing(
    database: str, conn: psycopg.Connection
) -> None:
    """pg_dump empties the search path; our row and the next file do not notice."""
    dump = files(
        migration(
            1,
            "SELECT pg_catalog.set_config('search_path', '', false)",
            "CREATE TABLE public.a ()",
        ),
        migration(2, "SET ROLE pg_monitor", "RESET ROLE", "CREATE TABLE b ()"),
    )

    runner(database).run(dump, Up())

    assert relations(conn) == {"a", "b"}
    assert versions(conn) == [(0, True), (1, True), (2, True)]


def test_a_file_may_deallocate_all(database: str, conn: psycopg.Connection) -> None:
    """What the run itself has prepared is prepared again; each statement is reported once."""
    sweeping = files(
        *(migration(n, f"CREATE TABLE a{n} ()") for n in range(1, 4)),
        migration(4, "PREPARE own AS SELECT 1", "DEALLOCATE ALL"),
        *(migration(n, f"CREATE TABLE a{n} ()") for n in range(5, 8)),
    )
    recorder = Recorder()

    runner(database, observe=recorder).run(sweeping, Up())

    assert versions(conn) == [(n, True) for n in range(8)]
    finished = [(e.version, e.command) for e in recorder.of("statement.finished")]
    created = [(n, "CREATE TABLE") for n in range(1, 8)]
    assert finished == [
        *created[:3],
        (4, "PREPARE"),
        (4, "DEALLOCATE ALL"),
        *created[4:],
    ]


def test_settings_hold_for_every_migration(
    database: str, conn: psycopg.Connection
) -> None:
    """What a file sets for the session is gone in the next file."""
    probe = (
        "INSERT INTO seen SELECT current_setting('lock_timeout'),"
        " current_setting('statement_timeout'), current_setting('search_path')"
    )
    conn.execute("CREATE SCHEMA app; CREATE TABLE app.seen (a text, b text, c text)")
    session = Session(
        lock_timeout_s=1.5, statement_timeout_s=60, search_path="app, public"
    )

    runner(database, session=session, table="public.v").run(
        files(
            migration(1, probe, "SET lock_timeout = 7", "SET search_path = 'x'"),
            migration(2, probe),
        ),
        Up(),
    )

    expected = ("1500ms", "1min", "app, public")
    assert conn.execute("TABLE app.seen").fetchall() == [expected, expected]


def test_no_transaction_runs_statement_by_statement(
    database: str, conn: psycopg.Connection
) -> None:
    """What may not run in a transaction block runs in such a file."""
    concurrent = files(
        migration(1, "CREATE TABLE a (x int)"),
        migration(2, "CREATE INDEX CONCURRENTLY i ON a (x)", transaction=False),
    )

    runner(database).run(concurrent, Up())

    assert relations(conn) == {"a", "i"}
    assert versions(conn) == [(0, True), (1, True), (2, True)]


def test_no_transaction_half_way_is_partial(
    database: str, conn: psycopg.Connection
) -> None:
    """What ran before the failing statement stays, and the error says so."""
    half = files(migration(1, "CREATE TABLE a ()", "SELECT 1 / 0", transaction=False))

    with pytest.raises(PartiallyAppliedError) as caught:
        runner(database).run(half, Up())

    assert str(caught.value) == (
        "00001_test.sql:3:1: statement 2 of 2 of a NO TRANSACTION migration"
        " failed: division by zero (SQLSTATE 22012); what ran before it is"
        " applied and recorded; fix the statement or the data and re-run: the next"
        " run resumes here"
    )
    assert relations(conn) == {"a"}
    assert versions(conn) == [(0, True)]


def test_no_transaction_at_its_first_statement_is_clean(database: str) -> None:
    """A first statement that PostgreSQL rolls back leaves nothing: exit 13, not 14."""
    broken = files(migration(1, "SELECT 1 / 0", "SELECT 1", transaction=False))

    with pytest.raises(StatementFailedError):
        runner(database).run(broken, Up())


def test_a_failed_concurrent_index_is_partial(
    database: str, conn: psycopg.Connection
) -> None:
    """Also as the first statement: it leaves an INVALID index behind."""
    conn.execute("CREATE TABLE a (x int); INSERT INTO a VALUES (1), (1)")
    broken = files(
        migration(1, "CREATE UNIQUE INDEX CONCURRENTLY i ON a (x)", transaction=False)
    )

    with pytest.raises(PartiallyAppliedError):
        runner(database).run(broken, Up())

    assert relations(conn) == {"a", "i"}


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "END"])
def test_a_file_that_ends_our_transaction_is_caught(
    database: str, conn: psycopg.Connection, ending: str
) -> None:
    """Nothing after it runs, and it is not recorded as applied."""
    commits = files(migration(1, "CREATE TABLE a ()", ending, "CREATE TABLE b ()"))

    with pytest.raises(PartiallyAppliedError) as caught:
        runner(database).run(commits, Up())

    assert (
        caught.value.reason
        == "the file contains COMMIT or ROLLBACK, which ended the migration's"
        " transaction"
    )
    assert caught.value.place.line == 3
    assert relations(conn) == (set() if ending == "ROLLBACK" else {"a"})
    assert versions(conn) == [(0, True)]


def test_a_transaction_left_open_is_caught(
    database: str, conn: psycopg.Connection
) -> None:
    """A NO TRANSACTION file that begins and does not commit is rolled back: all of it."""
    opens = files(migration(1, "BEGIN", "CREATE TABLE a ()", transaction=False))

    with pytest.raises(
        StatementFailedError, match="leaves a transaction open; nothing"
    ):
        runner(database).run(opens, Up())

    assert relations(conn) == set()


def test_a_version_that_appears_meanwhile_is_not_applied_twice(
    database: str, conn: psycopg.Connection
) -> None:
    """A migrator without a lock beside us costs a rollback, not a second row."""
    runner(database).run(TWO, Up(to=1))
    racing = files(
        TWO.migrations[0],
        migration(
            2,
            "CREATE TABLE b ()",
            "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)",
        ),
    )

    steps = runner(database).run(racing, Up())

    assert steps == ()
    assert versions(conn) == [(0, True), (1, True)]


def test_a_migrator_without_a_lock_that_commits_first_wins(
    database: str, conn: psycopg.Connection
) -> None:
    """Its row is not visible yet when ours is to be written: we wait, and roll back."""
    runner(database).run(TWO, Up(to=1))
    other = psycopg.connect(database)
    other.execute(
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true)"
    )
    waiting = (
        "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'ShareRowExclusiveLock'"
    )
    patient = Session(lock_timeout_s=30)
    taken: list[object] = []
    us = threading.Thread(
        target=lambda: taken.append(runner(database, session=patient).run(TWO, Up()))
    )

    us.start()
    while us.is_alive() and conn.execute(waiting).fetchone() is None:
        us.join(0.02)
    other.commit()
    us.join()
    other.close()

    assert taken == [()]
    assert relations(conn) == {"a"}
    assert versions(conn) == [(0, True), (1, True), (2, True)]


def test_a_role_that_may_only_insert_migrates(
    database: str, conn: psycopg.Connection
) -> None:
    """SELECT and INSERT on the table are enough for `up`; the lock needs more."""
    role = f"modest_{conn.info.backend_pid}"
    runner(database).run(TWO, Up(to=1))
    conn.execute(
        f"CREATE ROLE {role}; GRANT ALL ON SCHEMA public TO {role};"
        f" GRANT SELECT, INSERT ON goose_db_version, migrator_history TO {role}"
    )

    steps = runner(database, session=Session(role=role)).run(TWO, Up())

    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert len(steps) == 1
    assert versions(conn) == [(0, True), (1, True), (2, True)]


def test_copy_streams_its_rows(database: str, conn: psycopg.Connection) -> None:
    """A `COPY … FROM stdin` statement gets its rows."""

    plain = migration(1, "CREATE TABLE a (x int)", "COPY a FROM stdin")
    create, copy = plain.up.statements
    rows = copy._replace(data=("1\n", "2\n"))
    copying = plain._replace(up=plain.up._replace(statements=(create, rows)))

    runner(database).run(files(copying), Up())

    assert conn.execute("TABLE a").fetchall() == [(1,), (2,)]


def test_bytes_that_are_not_utf_8_reach_the_server(database: str) -> None:
    """The server says what is wrong with them; we do not crash."""
    broken = files(migration(1, "SELECT '\udcff'"))

    with pytest.raises(StatementFailedError) as caught:
        runner(database).run(broken, Up())

    assert caught.value.server.sqlstate == "22021"


@pytest.mark.encoding("SQL_ASCII")
def test_bytes_that_are_not_utf_8_are_copied(
    database: str, conn: psycopg.Connection
) -> None:
    """Rows of a COPY go as they were read, where the database takes any byte."""
    any_byte = "SET client_encoding = 'SQL_ASCII'; CREATE TABLE a (x text)"
    plain = migration(1, any_byte, "COPY a FROM stdin")
    create, copy = plain.up.statements
    rows = copy._replace(data=("\udcff\n",))
    copying = plain._replace(up=plain.up._replace(statements=(create, rows)))

    runner(database).run(files(copying), Up())

    assert conn.execute("SELECT x::bytea FROM a").fetchone() == (b"\xff",)


def test_notices_are_reported_with_their_place(database: str) -> None:
    """`RAISE NOTICE` and the server's own words become events."""
    recorder = Recorder()
    noisy = files(migration(1, "DROP TABLE IF EXISTS nothing"))

    runner(database, observe=recorder).run(noisy, Up())

    (notice,) = [e for e in recorder.events if e.name == "server.noticed"]
    assert (notice.path, notice.line, notice.notice, notice.sqlstate) == (  # type: ignore[attr-defined]
        "00001_test.sql",
        2,
        "NOTICE",
        "00000",
    )


def test_of_a_statements_notices_a_thousand_are_reported(database: str) -> None:
    """And that there are more; those of the next statement are reported again."""
    recorder = Recorder()
    loop = "DO $$ BEGIN FOR i IN 1..1005 LOOP RAISE NOTICE 'row %', i; END LOOP; END $$"
    noisy = files(migration(1, loop, "DROP TABLE IF EXISTS nothing"))

    runner(database, observe=recorder).run(noisy, Up())

    said = [event.message for event in recorder.of("server.noticed")]
    assert said == [
        *(f"row {number}" for number in range(1, 1001)),
        "further notices of this statement, after 1000, are dropped",
        'table "nothing" does not exist, skipping',
    ]


def test_a_lock_timeout_is_retried_and_then_raised(
    database: str, conn: psycopg.Connection
) -> None:
    """The whole migration runs again until the patience ends."""
    conn.execute("CREATE TABLE a (x int)")
    recorder = Recorder()
    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE a IN ACCESS SHARE MODE")

        with pytest.raises(ContentionError) as caught:
            runner(database, observe=recorder).run(
                files(migration(1, "ALTER TABLE a ADD y int")), Up()
            )

    assert caught.value.server.sqlstate == "55P03"
    assert caught.value.attempts == 1 + recorder.names.count("migration.retried") > 1


def test_a_lock_that_is_released_in_time_is_waited_for(
    database: str, conn: psycopg.Connection
) -> None:
    """A retry succeeds once the table is free."""
    conn.execute("CREATE TABLE a (x int)")
    other = psycopg.connect(database)
    other.execute("LOCK TABLE a IN ACCESS SHARE MODE")
    patient = Policy(retry_backoff=Backoff(total_s=30, initial_s=0.05))
    recorder = Recorder()

    def observe(event: Event) -> None:
        recorder(event)
        if recorder.names[-1] == "migration.retried":
            other.close()

    runner(database, policy=patient, observe=observe).run(
        files(migration(1, "ALTER TABLE a ADD y int")), Up()
    )

    assert recorder.names.count("migration.retried") == 1
    assert versions(conn) == [(0, True), (1, True)]


def test_a_statement_timeout_has_its_own_error(database: str) -> None:
    """Its error differs from that of somebody's cancel, which has the same SQLSTATE."""
    session = Session(statement_timeout_s=0.1)

    with pytest.raises(StatementTimeoutError):
        runner(database, session=session).run(
            files(migration(1, "SELECT pg_sleep(10)")), Up()
        )


def test_missing_privileges_are_denied(database: str, conn: psycopg.Connection) -> None:
    """For a role that may not create its table, the error names the privilege."""
    role = f"poor_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}")

    with pytest.raises(AccessDeniedError) as caught:
        runner(database, session=Session(role=role)).run(TWO, Up())

    conn.execute(f"DROP ROLE {role}")
    assert caught.value.server.sqlstate == "42501"
    assert "grant the role USAGE" in str(caught.value)


def test_missing_files_are_refused_and_then_allowed(
    database: str, conn: psycopg.Connection
) -> None:
    """goose's rule, and goose's order: the missing ones first."""
    runner(database).run(Files(TWO.migrations[1:]), Up())
    three = Files((*TWO.migrations, migration(3, "CREATE TABLE c ()")))

    with pytest.raises(OutOfOrderError) as caught:
        runner(database).run(three, Up())
    runner(database, policy=Policy(allow_missing=True)).run(three, Up())

    assert (caught.value.paths, caught.value.newest) == (("00001_test.sql",), 2)
    assert [v for v, _ in versions(conn)] == [0, 2, 1, 3]


def test_a_second_migrator_waits_and_finds_nothing_to_do(
    database: str, conn: psycopg.Connection
) -> None:
    """Many run at once, among them a concurrent index: all succeed, each file once."""
    concurrent = files(
        migration(1, "CREATE TABLE a (x int)"),
        migration(2, "CREATE INDEX CONCURRENTLY i ON a (x)", transaction=False),
        migration(3, "SELECT pg_sleep(0.2)"),
    )
    done: list[object] = []

    def one() -> None:
        try:
            done.append(len(runner(database, policy=Policy()).run(concurrent, Up())))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            done.append(error)

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done, key=str) == [0] * 7 + [3]
    assert versions(conn) == [(0, True), (1, True), (2, True), (3, True)]


def test_a_lock_that_is_released_after_a_refusal_is_taken(
    database: str, conn: psycopg.Connection
) -> None:
    """The answer to the first attempt is not that to the next one."""
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])
    recorder = Recorder()

    def release(event: Event) -> None:
        recorder(event)
        if event.name == "lock.contended":
            conn.execute("SELECT pg_advisory_unlock_all()")

    patient = Policy(lock_backoff=Backoff(total_s=10, max_s=0.1))
    steps = runner(database, policy=patient, observe=release).run(TWO, Up())

    assert len(steps) == 2
    assert recorder.names[1:3] == ["lock.contended", "lock.acquired"]


def test_a_held_lock_names_its_holder(database: str, conn: psycopg.Connection) -> None:
    """The error says which session it is."""
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])

    with pytest.raises(LockWaitTimeoutError) as caught:
        runner(database).run(TWO, Up())

    assert f"pid {conn.info.backend_pid}, user " in str(caught.value)
    assert relations(conn) == set()


def test_no_lock_when_none_is_asked_for(
    database: str, conn: psycopg.Connection
) -> None:
    """`none` runs beside a holder."""
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])

    runner(database, policy=Policy(lock=Lock.NONE)).run(TWO, Up())

    assert relations(conn) == {"a", "b"}


@pytest.mark.parametrize("transaction", [True, False])
def test_a_lost_lock_stops_the_run(
    database: str, conn: psycopg.Connection, *, transaction: bool
) -> None:
    """When the lock's session dies, no further statement begins and nothing commits."""
    killer = (
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_locks"
        " WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    lost = migration(1, killer, "CREATE TABLE a ()", transaction=transaction)

    with pytest.raises(StatementFailedError):
        runner(database).run(files(lost), Up())

    assert relations(conn) == set()
    assert versions(conn) == [(0, True)]


@pytest.mark.parametrize("history", [True, False])
def test_a_row_that_cannot_be_written_is_a_tracking_table_error(
    database: str,
    conn: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    *,
    history: bool,
) -> None:
    """All of a NO TRANSACTION file is in effect: it must not run again."""
    monkeypatch.setattr(
        "migrator.pg.execution.no_transaction._RECORD_BACKOFF", Backoff(total_s=0.2)
    )
    whole = files(migration(1, "CREATE TABLE a ()", "VACUUM a", transaction=False))
    runner(database).run(files(migration(9, "SELECT 1")), Up())
    row = "INSERT INTO goose_db_version (version_id, is_applied) VALUES (8, true)"

    with psycopg.connect(database) as other:

        def intrude(event: Event) -> None:
            if event.name == "statement.finished" and not other.info.transaction_status:
                other.execute(row)

        policy = QUICK._replace(allow_missing=True)
        again = runner(database, policy=policy, observe=intrude)
        again = replace(
            again, store=TrackingStore(history_mode=HistoryMode(str(history)))
        )
        with pytest.raises(
            ContentionError if history else PartiallyAppliedError
        ) as caught:
            again.run(whole, Up())

    assert (
        "2 of 2 statements of 00001_test.sql are applied and recorded"
        if history
        else "INSERT INTO goose_db_version (version_id, is_applied) VALUES (1, true)"
    ) in str(caught.value)
    assert relations(conn) == {"a"}
    resumed = runner(database, policy=policy)
    assert resumed.run(whole, Up()) if history else True


def test_an_error_about_another_connection_is_the_files_own(database: str) -> None:
    """dblink and its like raise class 08 in a session that is well."""
    foreign = "DO $$ BEGIN RAISE EXCEPTION 'far away' USING ERRCODE = '08001'; END $$"

    with pytest.raises(StatementFailedError):
        runner(database).run(files(migration(1, foreign)), Up())


def test_a_locked_table_is_busy_and_not_a_lost_connection(database: str) -> None:
    """22: try again when nobody holds that lock."""
    runner(database).run(TWO, Up(to=1))

    with psycopg.connect(database) as other:
        other.execute("LOCK TABLE goose_db_version")
        with pytest.raises(TrackingTableLockedError):
            runner(database).run(TWO, Up())


def test_a_name_that_is_no_name_is_refused(database: str) -> None:
    """As a bad table, not as an internal error."""
    with pytest.raises(InvalidTrackingTableError):
        runner(database, table="my-table").run(TWO, Up())


def test_the_lock_is_released(database: str, conn: psycopg.Connection) -> None:
    """After a run, also a failed one, nobody holds it."""
    with pytest.raises(StatementFailedError):
        runner(database).run(files(migration(1, "SELECT 1 / 0")), Up())

    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [GOOSE_LOCK_ID]).fetchone()
    assert row == (True,)


def test_read_state_needs_to_read_only(database: str, conn: psycopg.Connection) -> None:
    """Nothing is created, and a role with SELECT is enough."""
    runner(database).run(TWO, Up())
    role = f"reader_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}; GRANT SELECT ON goose_db_version TO {role}")

    with runner(database, session=Session(role=role)).read_state() as (_, history):
        seen = history.current

    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert seen == 2


def test_read_state_of_an_empty_database_creates_nothing(
    database: str, conn: psycopg.Connection
) -> None:
    """No table means version 0."""
    with runner(database).read_state() as (_, history):
        seen = (history.exists, history.current)

    assert seen == (False, 0)
    assert conn.execute("SELECT to_regclass('goose_db_version')").fetchone() == (None,)

"""Through a real PgBouncer in transaction mode."""

import threading
from pathlib import Path

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, Lock, Split, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import LockLostError, LockWaitTimeoutError, UsageError
from migrator.events.base import Observer
from migrator.events.database import LockAcquired, SessionSettingsNotApplied
from migrator.events.run import ConnectionOpened
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from migrator.pg.tracking.store import TrackingStore
from migrator.process.cancellation import Cancellation
from migrator.source.load import load
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.support import Recorder, files, migration, run, write


pytestmark = pytest.mark.usefixtures("both_ways")


TWO = files(migration(1, "CREATE TABLE a (x int)"), migration(2, "CREATE TABLE b ()"))
PROBE = (
    "CREATE TABLE public.seen AS SELECT current_setting('lock_timeout') AS locks,"
    " current_setting('statement_timeout') AS statements,"
    " current_setting('search_path') AS path, current_user::text AS role"
)


def runner(
    dsn: str,
    *,
    policy: Policy | None = None,
    session: Session | None = None,
    observe: Observer = lambda event: None,
) -> Runner:
    """A runner of this database."""
    database = Database(
        dsn=parse_dsn(dsn),
        session=session or Session(),
        backoff=Backoff(total_s=5),
    )
    return Runner(
        database=database,
        store=TrackingStore(),
        policy=policy or Policy(),
        observe=observe,
    )


def versions(conn: psycopg.Connection) -> list[int]:
    """What goose's table holds, oldest first."""
    rows = conn.execute("SELECT version_id FROM public.goose_db_version ORDER BY id")
    return [version for (version,) in rows]


def session_locks(conn: psycopg.Connection) -> int:
    """How many advisory locks anybody has in this database."""
    row = conn.execute(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    ).fetchone()
    return row[0] if row else -1


def at_once(dsns: list[str], work: Files) -> list[object]:
    """How many steps each of several runs took, or what it raised."""
    done: list[object] = []

    def one(dsn: str) -> None:
        try:
            done.append(len(runner(dsn).run(work, Up())))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            done.append(error)

    threads = [threading.Thread(target=one, args=[dsn]) for dsn in dsns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done, key=str)


@pytest.mark.parametrize("size", [1, 5])
def test_many_at_once(database: str, conn: psycopg.Connection, size: int) -> None:
    """Each migration runs once, also where one server session serves everybody."""
    slow = files(
        migration(1, "CREATE TABLE a (x int)"),
        migration(2, "CREATE INDEX CONCURRENTLY i ON a (x)", transaction=False),
        migration(3, "SELECT pg_sleep(0.3)"),
    )

    with pgbouncer(database, size=size) as dsn:
        done = at_once([dsn] * 8, slow)

    assert done == [0] * 7 + [3]
    assert versions(conn) == [0, 1, 2, 3]
    assert session_locks(conn) == 0


def test_with_others_that_connect_directly(
    database: str, conn: psycopg.Connection
) -> None:
    """The lease and the session lock exclude each other: each migration runs once."""
    slow = files(migration(1, "CREATE TABLE a ()"), migration(2, "SELECT pg_sleep(1)"))

    with pgbouncer(database) as dsn:
        done = at_once([dsn, database] * 4, slow)

    assert done == [0] * 7 + [2]
    assert versions(conn) == [0, 1, 2]


@pytest.mark.parametrize(
    ("mode", "size"), [("transaction", 1), ("transaction", 5), ("session", 5)]
)
def test_a_pooler_is_noticed(
    database: str, conn: psycopg.Connection, mode: str, size: int
) -> None:
    """The lock is then goose's lease, and the events say so."""
    recorder = Recorder()

    with pgbouncer(database, size=size, mode=mode) as dsn:
        runner(dsn, observe=recorder).run(TWO, Up())

    reported = [
        event.pooler if isinstance(event, ConnectionOpened) else event.kind
        for event in recorder.events
        if isinstance(event, ConnectionOpened | LockAcquired)
    ]
    assert reported == [True, "table"]
    assert versions(conn) == [0, 1, 2]
    assert session_locks(conn) == 0


def test_without_a_pooler(database: str, conn: psycopg.Connection) -> None:
    """The lock is goose's session lock, and no lease table is made."""
    recorder = Recorder()

    runner(database, observe=recorder).run(TWO, Up())

    reported = [
        event.pooler if isinstance(event, ConnectionOpened) else event.kind
        for event in recorder.events
        if isinstance(event, ConnectionOpened | LockAcquired)
    ]
    assert reported == [False, "session"]
    assert conn.execute("SELECT to_regclass('goose_lock')").fetchone() == (None,)


def test_a_session_lock_is_refused(database: str, conn: psycopg.Connection) -> None:
    """Asked for by name it ends the run before anything is done, and none is taken."""
    with pgbouncer(database, size=1) as dsn, pytest.raises(UsageError) as caught:
        runner(dsn, policy=Policy(lock=Lock.SESSION)).run(TWO, Up())

    assert str(caught.value) == (
        "MIGRATOR_LOCK=session needs a server session of its own, and a pooler is in"
        " between: set MIGRATOR_LOCK=auto or table, or connect to the server itself"
    )
    assert session_locks(conn) == 0
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_our_settings_hold_in_each_migration(
    database: str, conn: psycopg.Connection
) -> None:
    """Timeouts, search path and role come along with the transaction."""
    role = f"owner_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}; GRANT CREATE ON SCHEMA public TO {role}")
    session = Session(
        lock_timeout_s=1.5, statement_timeout_s=60, role=role, search_path="public"
    )

    with pgbouncer(database) as dsn:
        runner(dsn, session=session).run(files(migration(1, PROBE)), Up())

    seen = conn.execute("TABLE seen").fetchall()
    owners = conn.execute(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()
    conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert seen == [("1500ms", "1min", "public", role)]
    assert owners == [(role,)]


def test_own_transaction_has_what_it_asks_for_through_a_pooler(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """The isolation level of a file's BEGIN is asked for before anything runs."""
    (tmp_path / "1_a.sql").write_text(
        "-- +goose Up\nBEGIN ISOLATION LEVEL SERIALIZABLE;\nCREATE TABLE seen AS"
        " SELECT current_setting('transaction_isolation');\nCOMMIT;\n"
    )

    with pgbouncer(database) as dsn:
        work = load(tmp_path, split=Split.GOOSE, environ={})
        runner(dsn, session=Session(search_path="public")).run(work, Up())

    assert conn.execute("TABLE seen").fetchall() == [("serializable",)]


def test_nothing_leaks_into_the_pool(database: str) -> None:
    """What we and the files set is gone when another client gets the same session."""
    leaking = files(
        migration(1, "SELECT set_config('search_path', '', false)"),
        migration(
            2, "SET statement_timeout = '1h'", "SET ROLE pg_monitor", "RESET ROLE"
        ),
    )
    names = ("search_path", "lock_timeout", "statement_timeout", "role")

    with pgbouncer(database, size=1) as dsn:
        with psycopg.connect(dsn, autocommit=True) as client:
            before = [client.execute(f"SHOW {n}".encode()).fetchone() for n in names]
        runner(dsn).run(leaking, Up())
        with psycopg.connect(dsn, autocommit=True) as client:
            after = [client.execute(f"SHOW {n}".encode()).fetchone() for n in names]

    assert after == before == [('"$user", public',), ("0",), ("0",), ("none",)]


def test_deferred_constraints_are_checked_under_the_settings(
    database: str, conn: psycopg.Connection
) -> None:
    """A deferred trigger finds what the migration's search path shows it."""
    conn.execute("CREATE SCHEMA app; CREATE TABLE app.seen (x int)")
    deferred = files(
        migration(
            1,
            "CREATE TABLE app.a (x int)",
            "CREATE FUNCTION app.note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO seen VALUES (NEW.x); RETURN NULL; END $$",
            "CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.a DEFERRABLE INITIALLY"
            " DEFERRED FOR EACH ROW EXECUTE FUNCTION app.note()",
            "INSERT INTO app.a VALUES (1)",
        )
    )

    with pgbouncer(database) as dsn:
        runner(dsn, session=Session(search_path="app, public")).run(deferred, Up())

    assert conn.execute("TABLE app.seen").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "form", ["?search_path=app", "?options=-c%20search_path%3Dapp"]
)
def test_options_that_the_pooler_refuses(
    database: str, conn: psycopg.Connection, form: str
) -> None:
    """Run-time parameters of the URL are set by us instead."""
    conn.execute("CREATE SCHEMA app")

    with pgbouncer(database) as dsn:
        info = psycopg.conninfo.conninfo_to_dict(dsn)
        url = f"postgresql://{info['user']}@127.0.0.1:{info['port']}/{info['dbname']}"
        runner(url + form).run(files(migration(1, PROBE)), Up())

    assert conn.execute("SELECT path FROM seen").fetchall() == [("app",)]
    assert conn.execute("SELECT count(*) FROM app.goose_db_version").fetchone() == (2,)


def test_options_that_nobody_can_set_later(database: str) -> None:
    """Other switches of a server are an error that says what to write."""
    with pgbouncer(database) as dsn, pytest.raises(UsageError) as caught:
        runner(f"{dsn} options='-d 5'").run(TWO, Up())

    assert str(caught.value) == (
        "the pooler refuses the connection's `options`: write each of them as"
        " `-c name=value`, or connect to the server itself"
    )


def test_without_a_transaction_settings_do_not_hold(
    database: str, conn: psycopg.Connection
) -> None:
    """The file runs, after a warning that names them."""
    recorder = Recorder()
    alone = files(migration(1, "CREATE TABLE a ()", transaction=False))

    with pgbouncer(database) as dsn:
        runner(dsn, observe=recorder).run(alone, Up())

    (event,) = [e for e in recorder.events if isinstance(e, SessionSettingsNotApplied)]
    assert (event.version, event.path) == (1, "00001_test.sql")
    assert {"lock_timeout", "statement_timeout"} < set(event.settings)
    assert versions(conn) == [0, 1]


def test_without_a_transaction_nothing_runs_in_the_wrong_place(
    database: str, conn: psycopg.Connection
) -> None:
    """With a role or search path the run stops before its first migration."""
    alone = files(
        migration(1, "CREATE TABLE a ()"),
        migration(2, "CREATE TABLE b ()", transaction=False),
    )

    with pgbouncer(database) as dsn, pytest.raises(UsageError) as caught:
        runner(dsn, session=Session(search_path="public")).run(alone, Up())

    assert str(caught.value).startswith("00002_test.sql: a NO TRANSACTION migration")
    assert versions(conn) == [0]


def test_a_pool_that_is_too_small_ends_a_long_migration(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One session cannot migrate and renew the lease: the error says what to raise."""
    monkeypatch.setattr("migrator.pg.locking.lease_lock.LEASE_S", 1)
    policy = Policy(heartbeat_s=0.1)
    long = files(migration(1, "CREATE TABLE a ()", "SELECT pg_sleep(60)"))

    with pgbouncer(database, size=1) as dsn, pytest.raises(LockLostError) as caught:
        runner(dsn, policy=policy).run(long, Up())

    assert str(caught.value) == (
        "the migration lock was lost: it could not be renewed within 1 s; the pooler"
        " needs a second server connection for the lock (PgBouncer: default_pool_size), or"
        " connect to the server itself; what was not committed is rolled back;"
        " re-run"
    )
    assert versions(conn) == [0]
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_a_lock_that_is_stuck_in_the_pool(database: str) -> None:
    """A session lock that another program left there is reported, not ignored."""
    policy = Policy(lock_backoff=Backoff(total_s=0.2))

    with pgbouncer(database, size=2) as dsn:
        with psycopg.connect(dsn, autocommit=True) as careless:
            careless.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])
        with pytest.raises(LockWaitTimeoutError) as caught:
            runner(dsn, policy=policy).run(TWO, Up())

    assert (caught.value.holder or "").startswith("pid ")


def test_version_reads_with_role_and_search_path(
    database: str, conn: psycopg.Connection
) -> None:
    """`version` finds the table in the schema that the settings name."""
    conn.execute("CREATE SCHEMA app")
    session = Session(search_path="app")

    with pgbouncer(database) as dsn:
        runner(dsn, session=session).run(TWO, Up())
        with runner(dsn, session=session).read_state() as (_, history):
            seen = history.current

    assert seen == 2


def test_the_command_through_a_pooler(database: str, tmp_path: Path) -> None:
    """All lines are as the schema says, up and down."""
    directory = write(
        tmp_path / "m",
        {
            "1_a.sql": "-- +goose Up\nCREATE TABLE a ();\n-- +goose Down\nDROP TABLE a;\n"
        },
    )

    with pgbouncer(database) as dsn:
        environ = {
            "MIGRATOR_DATABASE_URL": dsn,
            "MIGRATOR_MIGRATIONS_DIR": str(directory),
        }
        codes = [run(name, **environ).exit_code for name in ("up", "redo", "down")]

    assert codes == [0, 0, 0]


def test_the_connection_of_a_pooler_knows_it(database: str) -> None:
    """Detection costs no statement of its own: the first one answers it."""
    with pgbouncer(database, size=1) as dsn:
        settings = Database(dsn=parse_dsn(dsn), backoff=Backoff(total_s=1))
        with settings.connect(lambda event: None, Cancellation()) as conn:
            shown = conn.execute("SHOW lock_timeout").fetchone()

    assert shown == ("0",)


def test_what_the_pooler_keeps_for_a_client_is_put_back(
    database: str, conn: psycopg.Connection
) -> None:
    """PgBouncer hands a file's time zone on to the next transaction of its client."""
    names = ("TimeZone", "DateStyle", "client_encoding", "application_name")
    found = ", ".join(f"current_setting('{each}')" for each in names)
    probe = f"CREATE TABLE {{}} AS SELECT ARRAY[{found}] AS found"
    spoil = (
        "SET TIME ZONE 'Asia/Tokyo'",
        "SET DateStyle = 'German'",
        "SET client_encoding = 'LATIN1'",
        "SET application_name = 'other'",
    )
    work = files(
        migration(1, probe.format("before")),
        migration(2, *spoil),
        migration(3, probe.format("behind")),
    )

    with pgbouncer(database) as dsn:
        runner(dsn).run(work, Up())

    before, behind = (
        conn.execute(f"SELECT found FROM {each}").fetchone()
        for each in ("before", "behind")
    )
    assert behind == before

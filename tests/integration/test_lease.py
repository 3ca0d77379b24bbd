"""goose's lease table as the lock: against a real server, and against goose's source."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.model import Lock, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import (
    AccessDeniedError,
    ForeignObjectError,
    LockLostError,
    LockWaitTimeoutError,
    StatementFailedError,
)
from migrator.events.base import Event, Observer
from migrator.events.database import LockAcquired, LockContended
from migrator.exit_codes import ExitCode, exit_code
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.locking import lease
from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from migrator.pg.tracking.store import TrackingStore
from tests.compat.goose import MODULE
from tests.helpers.support import (
    Recorder,
    files,
    migration,
    parsed,
    run,
    started,
    write,
)


pytestmark = pytest.mark.usefixtures("both_ways")


QUICK = Policy(
    lock=Lock.TABLE, lock_backoff=Backoff(total_s=0.3, max_s=0.1), heartbeat_s=0.05
)
PATIENT = Policy(
    lock=Lock.TABLE, lock_backoff=Backoff(total_s=30, max_s=0.1), heartbeat_s=0.05
)
TWO = files(migration(1, "CREATE TABLE a (x int)"), migration(2, "CREATE TABLE b ()"))
STOLEN = "UPDATE goose_lock SET locked_by = 'thief-1-00'"
FREE = (GOOSE_LOCK_ID, False, None, None, None)


def runner(
    dsn: str,
    *,
    policy: Policy = QUICK,
    session: Session | None = None,
    observe: Observer = lambda event: None,
) -> Runner:
    """A runner that takes the lease."""
    database = Database(
        dsn=parse_dsn(dsn),
        session=session or Session(),
        backoff=Backoff(total_s=1),
    )
    return Runner(
        database=database, store=TrackingStore(), policy=policy, observe=observe
    )


def versions(conn: psycopg.Connection) -> list[int]:
    """What goose's table holds, oldest first."""
    rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
    return [version for (version,) in rows]


def leases(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """The rows of goose's lease table, without the time of their last change."""
    return conn.execute(
        "SELECT lock_id, locked, locked_by, locked_at, lease_expires_at FROM goose_lock"
    ).fetchall()


def held(conn: psycopg.Connection, holder: str, until: str) -> None:
    """Let *holder* have the lease, as goose writes it."""
    conn.execute(lease.CREATE.replace("{table}", "IF NOT EXISTS goose_lock").encode())
    conn.execute(
        "INSERT INTO goose_lock VALUES (%s, true, '2026-01-02 03:04:05Z', %s,"
        " now() + %s::interval, now())",
        [GOOSE_LOCK_ID, holder, until],
    )


def when(name: str, act: Callable[[], object]) -> Observer:
    """An observer that acts once, at the first event of that name."""
    acts = iter([act])

    def observe(event: Event) -> None:
        if event.name == name:
            for each in acts:
                each()

    return observe


def test_the_table_is_what_goose_creates(
    database: str, conn: psycopg.Connection
) -> None:
    """Column by column; after a run the row is there and free."""
    runner(database).run(TWO, Up())

    columns = conn.execute(
        "SELECT column_name, data_type, is_nullable, column_default"
        " FROM information_schema.columns WHERE table_name = 'goose_lock'"
        " ORDER BY ordinal_position"
    ).fetchall()
    assert columns == [
        ("lock_id", "bigint", "NO", None),
        ("locked", "boolean", "NO", "false"),
        ("locked_at", "timestamp with time zone", "YES", None),
        ("locked_by", "text", "YES", None),
        ("lease_expires_at", "timestamp with time zone", "YES", None),
        ("updated_at", "timestamp with time zone", "YES", None),
    ]
    assert leases(conn) == [FREE]
    assert versions(conn) == [0, 1, 2]


def test_the_statements_are_those_of_goose() -> None:
    """Word by word, as lock/internal/store/postgres.go of goose's module has them."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed: goose's source cannot be read")
    found = subprocess.run(
        ["go", "mod", "download", "-json", MODULE],
        capture_output=True,
        text=True,
        check=True,
    )
    (folder,) = re.findall(r'"Dir": "(.*)"', found.stdout)
    source = (Path(folder) / "lock/internal/store/postgres.go").read_text()
    texts = re.findall(r"Sprintf\(`(.*?)`", source, re.DOTALL)

    written = [_words(re.sub(r"%s|\$\d", "?", text)) for text in texts]

    ours = (
        lease.CREATE,
        lease.ACQUIRE,
        lease.RELEASE,
        lease.RENEW,
        lease.CLEAN_UP,
    )
    asked = [_words(re.sub(r"\{\w+\}", "?", text)) for text in ours]
    assert [text for text in asked if text not in written] == []
    assert len(written) == len(asked) + 1  # CheckLockStatus, which nobody calls


def _words(text: str) -> str:
    return " ".join(text.replace("(", " ( ").replace(")", " ) ").split())


def test_lease_names_its_holder(database: str, conn: psycopg.Connection) -> None:
    """While we run the row has our name, as goose writes it, for 30 seconds."""
    noting = files(
        migration(
            1,
            "CREATE TABLE seen AS SELECT locked, locked_by,"
            " lease_expires_at - updated_at AS lease FROM goose_lock",
        )
    )

    runner(database, policy=Policy(lock=Lock.TABLE)).run(noting, Up())

    ((locked, holder, length),) = conn.execute("TABLE seen").fetchall()
    name = re.escape(f"{socket.gethostname()}-{os.getpid()}")
    assert (locked, length.total_seconds()) == (True, lease.LEASE_S)
    assert re.fullmatch(name + "-[0-9a-f]{8}", holder)


def test_lease_is_renewed(database: str, conn: psycopg.Connection) -> None:
    """The lease's end moves on while a statement runs."""
    ends: list[object] = []

    def note() -> None:
        for _ in range(2):
            row = conn.execute("SELECT lease_expires_at FROM goose_lock").fetchone()
            while row in ends:
                time.sleep(0.01)
                row = conn.execute("SELECT lease_expires_at FROM goose_lock").fetchone()
            ends.append(row)

    thread = threading.Thread(target=note)
    runner(database, observe=when("migration.started", thread.start)).run(
        files(migration(1, "SELECT pg_sleep(1)")), Up()
    )
    thread.join()

    assert len(ends) == 2


def test_lease_is_released_after_a_failure(
    database: str, conn: psycopg.Connection
) -> None:
    """A failed run does not keep the next one waiting, and its error is reported."""
    with pytest.raises(StatementFailedError):
        runner(database).run(files(migration(1, "SELECT 1 / 0")), Up())

    assert leases(conn) == [FREE]


def test_a_holder_is_reported(database: str, conn: psycopg.Connection) -> None:
    """The error says who it is, since when, and until when it is believed."""
    held(conn, "api-7-0a1b2c3d", until="1 hour")
    recorder = Recorder()

    with pytest.raises(LockWaitTimeoutError) as caught:
        runner(database, observe=recorder).run(TWO, Up())

    holders = {e.holder for e in recorder.events if isinstance(e, LockContended)}
    assert holders == {caught.value.holder}
    assert re.fullmatch(
        r"api-7-0a1b2c3d, since 2026-01-02 03:04:05\+00, lease until 20[-\d]+ [:\d]+\+00",
        caught.value.holder or "",
    )
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)


def test_lease_of_a_dead_holder_is_acquired(
    database: str, conn: psycopg.Connection
) -> None:
    """A lease that has ended is taken over at once."""
    held(conn, "api-7-0a1b2c3d", until="-1 second")
    recorder = Recorder()

    runner(database, observe=recorder).run(TWO, Up())

    assert recorder.names[1] == "lock.acquired"
    assert leases(conn) == [FREE]


def test_leases_of_other_locks_that_have_ended_are_freed(
    database: str, conn: psycopg.Connection
) -> None:
    """Whoever waits does it, as goose before each retry; what is believed stays."""
    held(conn, "api-7-0a1b2c3d", until="1 hour")
    conn.execute(
        "INSERT INTO goose_lock SELECT id, true, locked_at, 'job-' || id,"
        " now() + until, now() FROM goose_lock,"
        " (VALUES (1, interval '-1 second'), (2, interval '1 hour')) others (id, until)"
    )

    with pytest.raises(LockWaitTimeoutError):
        runner(database).run(TWO, Up())

    rows = conn.execute("SELECT lock_id, locked, locked_by FROM goose_lock ORDER BY 1")
    assert rows.fetchall() == [
        (1, False, None),
        (2, True, "job-2"),
        (GOOSE_LOCK_ID, True, "api-7-0a1b2c3d"),
    ]


def test_a_living_holder_is_waited_for(database: str, conn: psycopg.Connection) -> None:
    """One that renews its short lease keeps it, until it lets go."""
    held(conn, "api-7-0a1b2c3d", until="0.2 seconds")
    waits: list[Event] = []
    stop = threading.Event()

    def live() -> None:
        while not stop.wait(0.05):
            conn.execute(
                "UPDATE goose_lock SET lease_expires_at = now() + '0.2 seconds'::interval"
            )
        conn.execute("UPDATE goose_lock SET locked = false")

    def observe(event: Event) -> None:
        if isinstance(event, LockContended):
            waits.append(event)
        if len(waits) == 5:
            stop.set()

    thread = threading.Thread(target=live)
    thread.start()
    steps = runner(database, policy=PATIENT, observe=observe).run(TWO, Up())
    thread.join()

    assert len(waits) >= 5
    assert len(steps) == 2


@pytest.mark.parametrize("kinds", [(Lock.TABLE,), (Lock.TABLE, Lock.SESSION)])
def test_many_at_once(
    database: str, conn: psycopg.Connection, kinds: tuple[Lock, ...]
) -> None:
    """Each migration runs once, also when some take the lease and some the other lock."""
    work = files(
        migration(1, "CREATE TABLE a (x int)"),
        migration(2, "CREATE INDEX CONCURRENTLY i ON a (x)", transaction=False),
        migration(3, "SELECT pg_sleep(0.3)"),
    )
    done: list[object] = []

    def one(kind: Lock) -> None:
        try:
            done.append(len(runner(database, policy=Policy(lock=kind)).run(work, Up())))
        except Exception as error:  # noqa: BLE001 - shown by the assertion
            done.append(error)

    threads = [
        threading.Thread(target=one, args=[kinds[number % len(kinds)]])
        for number in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done, key=str) == [0] * 7 + [3]
    assert versions(conn) == [0, 1, 2, 3]


def test_a_session_lock_is_respected(database: str, conn: psycopg.Connection) -> None:
    """Who takes the lease waits for goose's session locker too, and leaves no lease."""
    conn.execute("SELECT pg_advisory_lock(%s)", [GOOSE_LOCK_ID])

    with pytest.raises(LockWaitTimeoutError) as caught:
        runner(database).run(TWO, Up())

    assert f"pid {conn.info.backend_pid}, user " in str(caught.value)
    assert leases(conn) == [FREE]


def test_a_lease_is_respected_by_the_session_lock(
    database: str, conn: psycopg.Connection
) -> None:
    """Who takes the session lock waits for a lease too, and keeps no lock meanwhile."""
    held(conn, "api-7-0a1b2c3d", until="1 hour")
    policy = Policy(lock=Lock.SESSION, lock_backoff=Backoff(total_s=0.3))

    with pytest.raises(LockWaitTimeoutError) as caught:
        runner(database, policy=policy).run(TWO, Up())

    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [GOOSE_LOCK_ID]).fetchone()
    assert "api-7-0a1b2c3d, since" in str(caught.value)
    assert row == (True,)


def test_a_theft_stops_a_running_statement(
    database: str, conn: psycopg.Connection
) -> None:
    """It is cancelled and rolled back, and what the thief has stays the thief's."""
    long = files(migration(1, "CREATE TABLE a ()", "SELECT pg_sleep(60)"))
    thief = threading.Timer(0.3, lambda: conn.execute(STOLEN))

    with pytest.raises(LockLostError) as caught:
        runner(database, observe=when("migration.started", thief.start)).run(long, Up())

    assert re.fullmatch(
        r"the migration lock was lost: the lease is now held by thief-1-00, since"
        r" .*, lease until .*; what was not committed is rolled back; re-run",
        str(caught.value),
    )
    assert exit_code(caught.value) is ExitCode.CONNECTION_LOST
    assert versions(conn) == [0]
    assert conn.execute("SELECT to_regclass('a')").fetchone() == (None,)
    assert [row[2] for row in leases(conn)] == ["thief-1-00"]


def test_a_theft_stops_the_run_between_migrations(
    database: str, conn: psycopg.Connection
) -> None:
    """What is committed stays; the next migration is not recorded."""
    slow = Policy(lock=Lock.TABLE, heartbeat_s=60)
    two = files(
        TWO.migrations[0], migration(2, "SELECT pg_sleep(1)", "CREATE TABLE b ()")
    )

    with pytest.raises(LockLostError):
        runner(
            database,
            policy=slow,
            observe=when("migration.applied", lambda: conn.execute(STOLEN)),
        ).run(two, Up())

    assert versions(conn) == [0, 1]
    assert conn.execute("SELECT to_regclass('b')").fetchone() == (None,)


def test_a_theft_in_a_file_without_transaction(
    database: str, conn: psycopg.Connection
) -> None:
    """The statement is cancelled, and the error says what is half applied and can resume."""
    long = files(
        migration(1, "CREATE TABLE a ()", "SELECT pg_sleep(60)", transaction=False)
    )
    thief = threading.Timer(0.3, lambda: conn.execute(STOLEN))

    with pytest.raises(LockLostError) as caught:
        runner(database, observe=when("migration.started", thief.start)).run(long, Up())

    assert "1 of 2 statements of 00001_test.sql are applied and recorded" in str(
        caught.value
    )
    assert versions(conn) == [0]


def test_a_lost_guard_is_replaced(database: str, conn: psycopg.Connection) -> None:
    """The connection that renews may break: another one goes on."""
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
        " current_database() AND pid <> pg_backend_pid() AND query ~ 'UPDATE.*goose_lock'"
    )

    steps = runner(database).run(
        files(
            migration(1, "SELECT pg_sleep(0.3)", kill, "SELECT pg_sleep(0.3)"),
            migration(2, "SELECT 1"),
        ),
        Up(),
    )

    assert len(steps) == 2
    assert leases(conn) == [FREE]


def test_a_lease_that_cannot_be_renewed_stops_the_run(
    database: str, conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody answers until its end, it counts as lost."""
    monkeypatch.setattr("migrator.pg.locking.lease_lock.LEASE_S", 0.5)
    stuck = files(migration(1, "LOCK TABLE goose_lock", "SELECT pg_sleep(60)"))

    with pytest.raises(LockLostError) as caught:
        runner(database).run(stuck, Up())

    assert "it could not be renewed within 0.5 s" in str(caught.value)
    assert versions(conn) == [0]


def test_the_session_lock_minds_only_goose_s_table(
    database: str, conn: psycopg.Connection
) -> None:
    """Another table of that name, or one that we may not read, does not stop it."""
    conn.execute("CREATE TABLE goose_lock (x int)")

    steps = runner(database, policy=Policy(lock=Lock.SESSION)).run(TWO, Up())

    assert len(steps) == 2


def test_a_role_that_may_not(database: str, conn: psycopg.Connection) -> None:
    """The error says which privilege is missing, or what to do without it."""
    role = f"poor_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role}")

    with pytest.raises(AccessDeniedError) as caught:
        runner(database, session=Session(role=role)).run(TWO, Up())

    conn.execute(f"DROP ROLE {role}")
    assert "the lock needs CREATE on the schema" in str(caught.value)


def test_a_view_of_somebody_else(database: str, conn: psycopg.Connection) -> None:
    """A `goose_lock` that is no table is reported, not tried for ever."""
    conn.execute("CREATE VIEW goose_lock AS SELECT 1")

    with pytest.raises(ForeignObjectError) as caught:
        runner(database).run(TWO, Up())

    assert str(caught.value) == (
        f"public.goose_lock is not used: it is a view owned by {conn.info.user}, not a"
        " permanent table;"
        " drop what does not belong there, or give it to this role (ALTER … OWNER TO)"
    )


def test_a_table_of_somebody_else(database: str, conn: psycopg.Connection) -> None:
    """A `goose_lock` without goose's columns is not written to."""
    conn.execute("CREATE TABLE goose_lock (x int)")

    with pytest.raises(AccessDeniedError) as caught:
        runner(database).run(TWO, Up())

    assert "goose's columns in it" in str(caught.value)


@pytest.mark.parametrize("name", ["MIGRATOR_LOCK", "GOOSE_LOCK"])
def test_the_setting(database: str, tmp_path: Path, name: str) -> None:
    """Our name for it, and the one that goose's command is to get."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{name: "table"},
    )

    assert [line["kind"] for line in result.events("lock.acquired")] == ["table"]


def test_the_events(database: str) -> None:
    """The lease is logged like the other lock."""
    recorder = Recorder()

    runner(database, observe=recorder).run(TWO, Up(to=1))

    assert [e.kind for e in recorder.events if isinstance(e, LockAcquired)] == ["table"]


def seen(process: subprocess.Popen[str], event: str) -> str:
    """What the process says up to and including the first *event*."""
    assert process.stdout is not None
    text = ""
    while f'"event": "{event}"' not in text and f'"event":"{event}"' not in text:
        line = process.stdout.readline()
        assert line, text
        text += line
    return text


@pytest.mark.parametrize(
    ("holder", "event"),
    [("api-7-0a1b2c3d", "lock.contended"), ("", "migration.started")],
)
def test_sigterm(
    database: str, conn: psycopg.Connection, tmp_path: Path, holder: str, event: str
) -> None:
    """It ends the wait for the lease, and a migration under it; the lease is freed."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT pg_sleep(60);"})
    if holder:
        held(conn, holder, until="1 hour")

    with started(database, directory, MIGRATOR_LOCK="table") as process:
        text = seen(process, event)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)

    assert parsed(process.returncode, text + rest).verdict["exit_code"] == 143
    assert [row[2] or "" for row in leases(conn)] == [holder]


def test_the_helper_thread_ends_with_the_run(database: str) -> None:
    """No thread and no connection is left behind."""
    before = threading.active_count()

    runner(database).run(TWO, Up())

    assert threading.active_count() == before

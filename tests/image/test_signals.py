"""`docker stop` and the timeouts, in every phase of a container that runs."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from migrator.pg.locking.lock_holder import GOOSE_LOCK_ID
from tests.conftest import Tell
from tests.image.conftest import Postgres, Write
from tests.image.engine import (
    RESTRICTED,
    Migrator,
    Run,
    Target,
    call,
    docker,
    eventually,
    finished,
)


GRACE_S = 20
"""After this `docker stop` kills: 137 in place of our own code."""

SETUP = """
create table gate (wait_s int);
insert into gate values (60);
create function slow() returns trigger language plpgsql
    as $$ begin perform pg_sleep(wait_s) from gate; return new; end $$;
create table item (id int);
create table noted (note text);
create trigger slow before insert on noted for each statement execute function slow();
create table late (id int);
create constraint trigger slow after insert on late deferrable initially deferred
    for each row execute function slow();
"""
"""What waits does so for as long as `gate` says."""

ONE_BY_ONE = "--env=MIGRATOR_PIPELINE=false"
_ACTIVE = (
    "select exists (select from pg_stat_activity where datname = current_database()"
    " and pid <> pg_backend_pid() and state = 'active' and {})"
)
SLEEPING = _ACTIVE.format("wait_event = 'PgSleep'")
COMMITTING = _ACTIVE.format("wait_event = 'PgSleep' and query = 'COMMIT'")
BUILDING = _ACTIVE.format("wait_event = 'virtualxid'")
_OURS = (
    "from pg_stat_activity where datname = current_database()"
    " and pid <> pg_backend_pid() and application_name <> 'the test'"
)
WORKING = (
    f"select count(*) {_OURS} and (state <> 'idle'"
    " or pid in (select pid from pg_locks where locktype = 'advisory'))"
)
GONE = f"select not exists (select {_OURS})"
"""Whether no session of ours is left; one that has ended is seen for a moment."""
ROWS = f"{'x' * 79}\n" * 100_000
"""More than both sockets' buffers take."""


@dataclass(frozen=True, kw_only=True)
class Phase:
    """What a container is at when it is stopped."""

    text: str = "create table made ();"
    suffix: str = "sql"
    shows: str = ""
    """A query that is true once the phase is reached."""

    says: str = ""
    """Or the event that tells so."""

    blocked_by: str = "select"
    """What another session has done, and does not end before the container does."""

    args: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    stays: bool = False
    """Whether what ran before is in effect: there is no transaction."""


def up(text: str) -> str:
    """A file whose transaction makes a table before it does what it is about."""
    return f"-- +goose Up\ncreate table made ();\n{text}\n"


def autocommit(text: str) -> str:
    """The same without a transaction."""
    return f"-- +goose NO TRANSACTION\n{up(text)}"


SLEEP = "select pg_sleep(wait_s) from gate;"
PYTHON = """
import time

def up(conn):
    conn.execute("create table made ()")
    print("at work")
    {}
"""
BUSY = """(wait_s,) = conn.execute("select wait_s from gate").fetchone()
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        pass"""

PHASES = {
    "waiting for the server": Phase(
        text=up(""),
        says="connection.retried",
        options=("--env=MIGRATOR_DATABASE_URL=postgresql://db:1/",),
    ),
    "waiting for the lock": Phase(
        text=up(""),
        says="lock.contended",
        blocked_by=f"select pg_advisory_lock({GOOSE_LOCK_ID})",
    ),
    "a statement in the stream": Phase(text=up(SLEEP), shows=SLEEPING),
    "a statement by itself": Phase(
        text=up(SLEEP), shows=SLEEPING, options=(ONE_BY_ONE,)
    ),
    "the sleep before a retry": Phase(
        text=up("alter table item add note text;"),
        says="migration.retried",
        blocked_by="lock table item",
        options=("--env=MIGRATOR_LOCK_TIMEOUT=2s",),
    ),
    "COPY": Phase(text=up(f"copy noted from stdin;\n{ROWS}\\."), shows=SLEEPING),
    "Python, busy": Phase(text=PYTHON.format(BUSY), suffix="py", says="script.printed"),
    "Python, in a query": Phase(
        text=PYTHON.format('conn.execute("select pg_sleep(wait_s) from gate")'),
        suffix="py",
        shows=SLEEPING,
    ),
    "COMMIT in the stream": Phase(
        text=up("insert into late values (1);"), shows=COMMITTING
    ),
    "COMMIT by itself": Phase(
        text=up("insert into late values (1);"),
        shows=COMMITTING,
        options=(ONE_BY_ONE,),
    ),
    "NO TRANSACTION": Phase(text=autocommit(SLEEP), shows=SLEEPING, stays=True),
    "CREATE INDEX CONCURRENTLY": Phase(
        text=autocommit("create index concurrently item_id on item (id);"),
        shows=BUILDING,
        blocked_by="insert into item values (1)",
        stays=True,
    ),
    "wait": Phase(text=up(""), says="version.awaited", args=("wait",)),
}


@dataclass(frozen=True)
class Stopped:
    """How a container ended that was stopped."""

    run: Run
    message: dict[str, object]
    """The termination message."""

    took_s: float

    @property
    def agrees(self) -> bool:
        """Whether the termination message says what the last line does."""
        last, fields = self.run.events[-1], ("outcome", "exit_code", "error")
        return all(last[name] == self.message[name] for name in fields)


@dataclass(frozen=True)
class Stage:
    """A database with what the phases need, and the image beside it."""

    migrator: Migrator
    write: Write
    message: Path
    files: list[Path] = field(default_factory=list)

    @property
    def target(self) -> Target:
        """The database."""
        return self.migrator.target

    def start(self, phase: Phase) -> str:
        """Start a container and wait until it is in the phase."""
        self.files.append(self.write({f"00001_it.{phase.suffix}": phase.text}))
        volume = f"--volume={self.message}:/dev/termination-log"
        options = (*RESTRICTED, volume, *phase.options)
        container = self.migrator.start(self.files[0], *phase.args, options=options)
        if phase.shows:
            eventually(phase.shows, self.target)
        if phase.says:
            heard(container, phase.says)
        return container

    def ended(self, container: str, since: float) -> Stopped:
        """Wait for the container's end."""
        code = int(docker("wait", container))
        took_s = time.monotonic() - since
        run = Run(code, docker("logs", container), "")
        return Stopped(run, json.loads(self.message.read_text() or "{}"), took_s)

    def again(self) -> Run:
        """Run once more when nobody has to wait any longer."""
        self.target.rows("update gate set wait_s = 0 returning wait_s")
        return self.migrator.run(self.files[0])

    def made(self) -> bool:
        """Whether the migration's table is there."""
        return self.target.rows("select to_regclass('made') is not null") == [(True,)]


def heard(container: str, event: str) -> None:
    """Wait until the container has logged an event."""
    end = time.monotonic() + 30
    while f'"event": "{event}"' not in call("docker", "logs", container).stdout:
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.05)


@pytest.fixture
def stage(migrator: Migrator, write: Write, tmp_path: Path) -> Stage:
    """A database with what the phases need."""
    message = tmp_path / "termination-log"
    message.touch()
    message.chmod(0o666)
    with psycopg.connect(migrator.target.dsn) as conn:
        conn.execute(SETUP.encode())
    return Stage(migrator, write, message)


@contextmanager
def in_the_way(target: Target, statement: str) -> Iterator[None]:
    """Keep a session with an open transaction beside the container."""
    with psycopg.connect(target.dsn, application_name="the test") as conn:
        conn.execute(statement.encode())
        yield
        conn.rollback()


@pytest.mark.parametrize("name", PHASES)
def test_stop(stage: Stage, tell: Tell, name: str) -> None:
    """Cancelled, rolled back, unlocked and reported; and the next run succeeds."""
    phase = PHASES[name]
    with in_the_way(stage.target, phase.blocked_by):
        container = stage.start(phase)
        since = time.monotonic()
        docker("stop", f"-t={GRACE_S}", container)
        stopped = stage.ended(container, since)
        left = stage.target.rows(WORKING)
        eventually(GONE, stage.target)
        versions, made = stage.target.versions(), stage.made()
    again = stage.again()

    tell(f"stopped in {name}: {stopped.took_s:.2f} s")
    assert finished(stopped.run) == (143, "run.finished", 143)
    assert stopped.agrees
    assert left == [(0,)]
    assert (versions, made) == ([], phase.stays)
    assert finished(again) == (0, "run.finished", 0)
    assert stage.target.versions() == [1]
    assert stage.target.rows("select from pg_index where not indisvalid") == []


@pytest.mark.parametrize("way", ["true", "false"])
@pytest.mark.parametrize(
    ("limit", "text"),
    [
        ("DEADLINE", SLEEP),
        ("DEADLINE", "insert into late values (1);"),
        ("STATEMENT_TIMEOUT", SLEEP),
    ],
    ids=["deadline", "deadline-commit", "timeout"],
)
def test_limits(stage: Stage, tell: Tell, limit: str, text: str, way: str) -> None:
    """Our own limits end a run as a signal does, with a code of their own."""
    options = (f"--env=MIGRATOR_{limit}=2s", f"--env=MIGRATOR_PIPELINE={way}")
    since = time.monotonic()
    container = stage.start(Phase(text=up(text), options=options))
    stopped = stage.ended(container, since)
    left = stage.target.rows(WORKING)
    eventually(GONE, stage.target)
    again = stage.again()

    tell(f"{limit}, pipeline {way}: ended {stopped.took_s:.2f} s after start")
    assert finished(stopped.run) == (24, "run.finished", 24)
    assert stopped.agrees
    assert left == [(0,)]
    assert finished(again) == (0, "run.finished", 0)


@contextmanager
def frozen(postgres: Postgres, target: Target) -> Iterator[None]:
    """The backend that sleeps for the migrator does nothing at all, not even cancel."""
    ((pid,),) = target.rows(
        "select pid from pg_stat_activity where datname = current_database()"
        " and wait_event = 'PgSleep'"
    )
    docker("exec", postgres.container, "kill", "-STOP", str(pid))
    try:
        yield
    finally:
        docker("exec", postgres.container, "kill", "-CONT", str(pid))


@pytest.mark.parametrize("way", ["true", "false"])
def test_a_server_that_is_slow_to_cancel(
    stage: Stage, postgres: Postgres, tell: Tell, way: str
) -> None:
    """We wait for the answer: no session is left behind that still works."""
    options = (f"--env=MIGRATOR_PIPELINE={way}",)
    container = stage.start(Phase(text=up(SLEEP), shows=SLEEPING, options=options))
    since = time.monotonic()
    with frozen(postgres, stage.target):
        docker("kill", "--signal=TERM", container)
        time.sleep(2)
    stopped = stage.ended(container, since)
    left = stage.target.rows(WORKING)
    eventually(GONE, stage.target)
    again = stage.again()

    tell(f"cancelled after 2 s, pipeline {way}: {stopped.took_s:.2f} s")
    assert finished(stopped.run) == (143, "run.finished", 143)
    assert stopped.agrees
    assert left == [(0,)]
    assert finished(again) == (0, "run.finished", 0)


@pytest.mark.parametrize("way", ["true", "false"])
def test_a_server_that_never_cancels(
    stage: Stage, postgres: Postgres, tell: Tell, way: str
) -> None:
    """We are gone, with our own code, before the engine kills us."""
    options = (f"--env=MIGRATOR_PIPELINE={way}",)
    container = stage.start(Phase(text=up(SLEEP), shows=SLEEPING, options=options))
    since = time.monotonic()
    with frozen(postgres, stage.target):
        docker("stop", f"-t={GRACE_S}", container)
        stopped = stage.ended(container, since)
    again = stage.again()

    tell(f"never cancelled, pipeline {way}: {stopped.took_s:.2f} s")
    assert finished(stopped.run) == (143, "run.finished", 143)
    assert stopped.agrees
    assert finished(again) == (0, "run.finished", 0)


def test_a_second_signal(stage: Stage, postgres: Postgres, tell: Tell) -> None:
    """It ends the process at once, whatever the server does."""
    container = stage.start(Phase(text=up(SLEEP), shows=SLEEPING))
    with frozen(postgres, stage.target):
        docker("kill", "--signal=TERM", container)
        since = time.monotonic()
        docker("kill", "--signal=TERM", container)
        stopped = stage.ended(container, since)
    again = stage.again()

    tell(f"second signal: {stopped.took_s:.2f} s")
    assert stopped.run.code == 143
    assert finished(again) == (0, "run.finished", 0)

"""One run that something happens to, and the run after it; in a process of its own."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import psycopg

from migrator.cli import main
from migrator.exit_codes import RETRYABLE
from migrator.pg.connection import queries
from migrator.process import signals
from tests.faults.proxy import Afterwards, Direction, Fault, Plan, Proxy, proxied
from tests.faults.server import Server
from tests.faults.state import State, empty, state_of
from tests.helpers.planted_secrets import secret
from tests.helpers.support import ROOT, Result


HANGS_S = 20.0
"""After this a run is called hung."""

_PATIENCE_S = 0.5
"""How long our runs wait for a server that does not answer: five seconds, each time, are
too many here."""

_PASSWORD = secret("url")
"""The server trusts everybody; no run may tell it, however it ends."""

_SHOWN = 200
_ATTEMPTS = 5
"""On a busy machine the deadline may come before the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to run, and what happens to it."""

    port: int
    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    fault: Fault = Fault.ACT
    direction: Direction = Direction.TO_SERVER
    message: int = 0
    """Where the fault happens; 0 for nowhere."""

    afterwards: Afterwards = Afterwards.SERVE
    deadline_s: float = 0.0
    """Of the first run; 0 for none."""

    signum: int = 0
    """Sent to the run when the fault has happened; 0 for none."""

    session: int = 0
    """Which connection's session the server ends; 0 for none."""

    crashes: Server | None = None
    """Which server is killed and started again."""

    killed_s: float = 0.0
    """How long after its first line the run, now a process, is killed; 0 for never."""

    def dsn(self, port: int = 0) -> str:
        """Return the DSN of this process's own database, here or behind a proxy."""
        return _dsn(port or self.port, _own_database(self.port))

    def settings(self, dsn: str, termination_log: str = "") -> dict[str, str]:
        """Return what a run has to know."""
        return {
            "MIGRATOR_DATABASE_URL": dsn,
            "MIGRATOR_MIGRATIONS_DIR": str(self.directory),
            "MIGRATOR_LOG_FORMAT": "json",
            "MIGRATOR_LOG_LEVEL": "debug",
            "MIGRATOR_TERMINATION_LOG": termination_log,
            "MIGRATOR_CONNECT_WAIT": "2s",
            "MIGRATOR_LOCK_WAIT": "15s",
            **self.environ,
        }

    def act(self, proxy: Proxy) -> None:
        """End the session, or the server, and wait until it has ended."""
        pid = proxy.pids.get(self.session)
        if self.crashes is not None:
            self.crashes.crash()
        if pid is not None:
            with psycopg.connect(_dsn(self.port), autocommit=True) as conn:
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial."""

    trial: Trial
    counts: Mapping[Direction, int] = field(default_factory=dict)
    at: str
    """Where the fault happened, for people."""

    fired: bool
    hung: str = ""
    """Where the first run was when it was called hung."""

    first: Result | None
    """None when it was killed."""

    termination: Mapping[str, Any] = field(default_factory=dict)
    second: Result | None
    """None where the first one has said that nothing is left to do."""

    state: State

    def faults(self, wanted: State) -> list[str]:
        """Return what is wrong, where *wanted* is what an undisturbed run leaves."""
        found = list(self._codes())
        if self.first is not None:
            found += self._contradictions(self.first)
        if self.hung:
            found.append(f"the first run hung:\n{self.hung}")
        if self.trial.message and not self.fired:
            found.append("nothing has happened to the first run")
        if self.state != wanted:
            found.append(f"the end is another: {_difference(self.state, wanted)}")
        return [f"{self.at}: {each}" for each in found]

    def _codes(self) -> Iterator[str]:
        for which, result in (("first", self.first), ("second", self.second)):
            allowed = {0, *RETRYABLE} if which == "first" else {0}
            if result is not None and result.exit_code not in allowed:
                yield f"the {which}: {result.exit_code}: {result.verdict['error']}"

    def _contradictions(self, first: Result) -> Iterator[str]:
        verdict = first.verdict
        if _PASSWORD in json.dumps([*first.lines, self.termination]):
            yield "the output contains the password"
        if verdict["exit_code"] != first.exit_code:
            yield f"exit code {first.exit_code}, but the log says {verdict}"
        expected = {name: verdict.get(name) for name in self.termination}
        expected["applied"] = len(verdict["applied"])
        if self.termination != expected:
            yield f"{self.termination} is the termination message of {verdict}"


def _difference(found: State, wanted: State) -> str:
    left, right = Counter(found), Counter(wanted)
    return f"too much {_few(left - right)}, missing {_few(right - left)}"


def _few(rows: Iterable[tuple[object, ...]]) -> str:
    return ", ".join(map(str, rows))[:_SHOWN]


_turns: list[Semaphore] = []
"""How many runs may compute at the same time: one semaphore for all processes."""


def begin(turns: Semaphore) -> None:
    """Prepare a process for trials."""
    _turns.append(turns)
    for module in (signals, queries):
        module.GRACE_S = _PATIENCE_S  # type: ignore[attr-defined]
    for signum in (signal.SIGTERM, signal.SIGALRM):  # a run may end before its signal
        signal.signal(signum, lambda number, frame: None)


def tried(trial: Trial) -> Outcome:
    """Run a trial; again where the run has ended before it could begin."""
    for attempt in range(1, _ATTEMPTS + 1):
        patient = replace(trial, deadline_s=trial.deadline_s * attempt)
        with _admin(trial) as conn:
            empty(conn)
        outcome = _killed(trial) if trial.killed_s else _harmed(patient)
        if outcome.fired or not trial.message:
            break
    return outcome


def _harmed(trial: Trial) -> Outcome:
    plan = Plan(
        trial.fault, trial.direction, trial.message, trial.afterwards, trial.act
    )
    with (
        proxied(trial.port, plan) as proxy,
        _turn(proxy),
        _watched(proxy) as hung,
        _signalled(proxy, trial.signum),
    ):
        first, termination = _run(trial, trial.dsn(proxy.port), trial.deadline_s)
    second, state = _end(trial, again=first.exit_code != 0)
    return Outcome(
        trial=trial,
        counts=proxy.counts,
        at=proxy.at,
        fired=proxy.fired,
        hung="".join(hung),
        first=first,
        termination=termination,
        second=second,
        state=state,
    )


def _killed(trial: Trial) -> Outcome:
    with _turns[0], _process(trial) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(trial.killed_s)
        fired = process.poll() is None
        process.kill()
    second, state = _end(trial, again=True)
    return Outcome(
        trial=trial,
        at=f"killed after {trial.killed_s * 1000:.1f} ms",
        fired=fired,
        first=None,
        second=second,
        state=state,
    )


def took_s(trial: Trial) -> float:
    """Return how long an undisturbed process takes from its first line to its end."""
    with _admin(trial) as conn:
        empty(conn)
    with _turns[0], _process(trial) as process:
        assert process.stdout is not None
        process.stdout.readline()
        began = time.monotonic()
        process.communicate(timeout=HANGS_S)
        return time.monotonic() - began


def _process(trial: Trial) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env={"PATH": os.environ["PATH"], **trial.settings(trial.dsn())},
        stdout=subprocess.PIPE,
        text=True,
    )


def _end(trial: Trial, *, again: bool) -> tuple[Result | None, State]:
    second = _run(trial, trial.dsn())[0] if again else None
    with _admin(trial) as conn:
        return second, state_of(conn)


def _run(
    trial: Trial, dsn: str, deadline_s: float = 0.0
) -> tuple[Result, Mapping[str, Any]]:
    stdout = io.StringIO()
    with tempfile.NamedTemporaryFile() as place:
        settings = trial.settings(dsn, place.name)
        settings["MIGRATOR_DEADLINE"] = f"{deadline_s}s"
        exit_code = main(["up"], settings, stdout)
        termination = json.loads(place.read() or "{}")
    lines = tuple(json.loads(line) for line in stdout.getvalue().splitlines())
    return Result(exit_code, lines), termination


@contextmanager
def _turn(proxy: Proxy) -> Iterator[None]:
    """Of runs that compute only some run at a time; one that waits is not counted."""
    turns = _turns[0] if _turns else nullcontext()

    def give_back() -> None:
        proxy.moment.wait()
        turns.__exit__(None, None, None)

    turns.__enter__()
    with _beside(proxy, give_back):
        yield


@contextmanager
def _signalled(proxy: Proxy, signum: int) -> Iterator[None]:
    def send() -> None:
        proxy.moment.wait()
        if proxy.fired:
            os.kill(os.getpid(), signum)

    if signum:
        with _beside(proxy, send):
            yield
    else:
        yield


@contextmanager
def _beside(proxy: Proxy, work: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        proxy.moment.set()
        thread.join()


@contextmanager
def _watched(proxy: Proxy) -> Iterator[list[str]]:
    """Free a run that hangs, and tell where it was."""
    hung: list[str] = []
    main_thread = threading.main_thread().ident or 0

    def free() -> None:
        hung.extend(traceback.format_stack(sys._current_frames()[main_thread])[-12:])
        proxy.cut()

    timer = threading.Timer(HANGS_S, free)
    timer.start()
    try:
        yield hung
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def _admin(trial: Trial) -> Iterator[psycopg.Connection]:
    """Yield a connection to the process's own database; it is kept for the next time."""
    if trial.port not in _kept or not _lives(_kept[trial.port]):
        _kept[trial.port] = psycopg.connect(trial.dsn(), autocommit=True)
    yield _kept[trial.port]


def _lives(conn: psycopg.Connection) -> bool:
    with suppress(psycopg.OperationalError):
        conn.execute("SELECT")
    return not conn.closed


_kept: dict[int, psycopg.Connection] = {}


@cache
def _own_database(port: int) -> str:
    name = f"faults_{os.getpid()}"
    with psycopg.connect(_dsn(port), autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    return name


def _dsn(port: int, database: str = "postgres") -> str:
    return f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{port}/{database}"

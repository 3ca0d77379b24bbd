"""One run that something happens to, and the run after it; in a process of its own."""

import io
import json
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any

import psycopg

from migrator import job
from migrator.cli import main
from migrator.exits import RETRYABLE
from migrator.pg import cancel
from tests.faults.proxy import Afterwards, Direction, Fault, Plan, Proxy, proxied
from tests.faults.state import State, emptied, state_of
from tests.support import Result


HANGS_S = 20.0
"""After this a run is called hung."""

_PATIENCE_S = 0.5
"""How long our runs wait for a server that does not answer: five seconds, each time, are
too many here."""

_SHOWN = 200
_ATTEMPTS = 5
"""On a busy machine the deadline may come before the fault."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What to run, and what happens to it."""

    port: int
    directory: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    fault: Fault = Fault.ACT
    direction: Direction = Direction.TO_SERVER
    message: int = 0
    afterwards: Afterwards = Afterwards.SERVE
    deadline_s: float = 0.0
    """Of the first run; 0 for none."""

    signum: int = 0
    """Sent to the run when the fault has happened; 0 for none."""

    session: int = 0
    """Which connection's session the server ends; 0 for none."""

    def dsn(self, port: int = 0) -> str:
        """Return the DSN of this process's own database, here or behind a proxy."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{_own_database(self.port)}"

    def act(self, proxy: Proxy) -> None:
        """End the session, and wait until it has ended."""
        pid = proxy.pids.get(self.session)
        if pid is None:
            return
        with psycopg.connect(self.dsn(), dbname="postgres", autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    trial: Trial
    counts: Mapping[Direction, int]
    at: str
    """The last message before the end, or before the fault."""

    fired: bool
    hung: str
    """Where the first run was when it was called hung."""

    first: Result
    termination: Mapping[str, Any]
    between: State
    second: Result | None
    """None where nothing was left to do."""

    state: State

    def faults(self, wanted: State) -> list[str]:
        """Return what is wrong, where *wanted* is what an undisturbed run leaves."""
        found = [*self._contradictions(), *self._codes(wanted)]
        if self.hung:
            found.append(f"the first run hung:\n{self.hung}")
        if self.trial.message and not self.fired:
            found.append("nothing has happened to the first run")
        if self.state != wanted:
            found.append(f"it does not converge: {_difference(self.state, wanted)}")
        return found

    def _codes(self, wanted: State) -> Iterator[str]:
        code = self.first.exit_code
        if code and code not in RETRYABLE:
            yield f"{code}: {self.first.verdict['error']}"
        if code == 0 and self.between != wanted:
            yield f"all is said to be applied: {_difference(self.between, wanted)}"
        if self.second is not None and self.second.exit_code:
            yield f"again: {self.second.exit_code}: {self.second.verdict['error']}"

    def _contradictions(self) -> Iterator[str]:
        verdict = self.first.verdict
        if verdict["exit_code"] != self.first.exit_code:
            yield f"exit code {self.first.exit_code}, but the log says {verdict}"
        told = {name: verdict.get(name) for name in self.termination}
        told["applied"] = len(verdict["applied"])
        if self.termination != told:
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
    for module in (job, cancel):
        module.PATIENCE_S = _PATIENCE_S  # type: ignore[attr-defined]
    for signum in (signal.SIGTERM, signal.SIGALRM):  # a run may end before its signal
        signal.signal(signum, lambda number, frame: None)


@cache
def _own_database(port: int) -> str:
    name = f"faults_{os.getpid()}"
    dsn = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
    return name


def tried(trial: Trial) -> Outcome:
    """Run a trial; again where the run has ended before it could begin."""
    for _ in range(_ATTEMPTS):
        outcome = _tried(trial)
        if outcome.fired or not trial.message:
            break
    return outcome


def _tried(trial: Trial) -> Outcome:
    emptied(trial.dsn())
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
    between = state_of(trial.dsn())
    done = first.exit_code == 0
    second = None if done else _run(trial, trial.dsn())[0]
    return Outcome(
        trial=trial,
        counts=proxy.counts,
        at=proxy.at,
        fired=proxy.fired,
        hung="".join(hung),
        first=first,
        termination=termination,
        between=between,
        second=second,
        state=between if done else state_of(trial.dsn()),
    )


def _run(
    trial: Trial, dsn: str, deadline_s: float = 0.0
) -> tuple[Result, Mapping[str, Any]]:
    stdout = io.StringIO()
    with tempfile.NamedTemporaryFile() as place:
        settings = {
            "MIGRATOR_DATABASE_URL": dsn,
            "MIGRATOR_MIGRATIONS_DIR": str(trial.directory),
            "MIGRATOR_LOG_FORMAT": "json",
            "MIGRATOR_TERMINATION_LOG": place.name,
            "MIGRATOR_CONNECT_WAIT": "2s",
            "MIGRATOR_LOCK_WAIT": "15s",
            "MIGRATOR_DEADLINE": f"{deadline_s}s",
            **trial.environ,
        }
        exit_code = main(["up"], settings, stdout)
        termination = json.loads(place.read() or "{}")
    lines = tuple(json.loads(line) for line in stdout.getvalue().splitlines())
    return Result(exit_code, lines), termination


@contextmanager
def _turn(proxy: Proxy) -> Iterator[None]:
    """Of runs that compute only some run at a time; one that waits is not counted."""

    def give_back() -> None:
        proxy.moment.wait()
        _turns[0].release()

    _turns[0].acquire()
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

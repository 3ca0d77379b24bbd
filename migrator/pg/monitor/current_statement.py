"""
The statement currently executing, shared with the monitor thread.

The executor sets it by one assignment for each statement; the monitor thread reads it
when it wakes (`migrator.pg.monitor.monitor`). Events of a statement that has ended
meanwhile are discarded, and only one of the two threads emits at a time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import psycopg

from migrator.domain.facts import Place
from migrator.events.base import Event, Observer, ignore_events
from migrator.events.serialized import SerializedObserver
from migrator.pg.connection.pooler import is_pooled
from migrator.pg.connection.tcp_liveness import is_awaiting_answer, mark_lost


_WARN_S = 30.0
_FIRST_CHECK_S = 0.25
"""No check before this time: most statements have ended by then, and each check takes
a snapshot of some milliseconds, for which a concurrent index build has to wait."""


class CheckInterval(NamedTuple):
    """When a statement is checked, and when its progress is reported."""

    report_after_s: float = 3.0
    """How long a statement may take before its progress is reported."""

    max_s: float = 30.0
    """The longest time between two checks, and without an event in the log."""

    first_s: float = 3.0
    """The first check for blockers: before a wait for a lock times out."""

    def next(self, elapsed_s: float) -> float:
        """Return when to check again after a check at *elapsed_s*."""
        if elapsed_s < self.report_after_s:
            return self.report_after_s
        return min(elapsed_s * 2, elapsed_s + self.max_s)

    def again(self, elapsed_s: float) -> float:
        """Return when to repeat a warning."""
        return min(elapsed_s * 2, elapsed_s + _WARN_S)


class RunningStatement(NamedTuple):
    """A running statement, with its start on the monotonic clock."""

    place: Place
    started_at: float


Source = Callable[[], RunningStatement | None]


def _no_statement() -> None:
    """Return None: no statement is running."""


class CurrentStatement:
    """
    The current statement of the connection whose server process is *pid*.

    *pid* is None behind a pooler, where it is not known: the statement is then not
    monitored, nor is it detected that the server no longer serves *work*.
    """

    def __init__(
        self,
        observe: Observer = ignore_events,
        *,
        pid: int | None = None,
        work: psycopg.Connection | None = None,
        interval: CheckInterval | None = None,
    ) -> None:
        self.pid = pid
        self.work = work
        self.interval = interval or CheckInterval()
        self.ended = threading.Event()
        self._source: Source = _no_statement
        self._observer = SerializedObserver.of(observe)
        self._blocker: tuple[int, int, str] | None = None

    @property
    def reported_at(self) -> float:
        """Return when an event above debug level was last emitted."""
        return self._observer.reported_at

    @property
    def running(self) -> RunningStatement | None:
        """Return the running statement, or None."""
        return self._source()

    @property
    def is_awaiting_answer(self) -> bool:
        """Tell whether the connection is waiting for an answer of the server."""
        return self.work is not None and is_awaiting_answer(self.work)

    def running_at(
        self, place: Place, started_at: float
    ) -> AbstractContextManager[None]:
        """Set the statement at *place* as the running one within the block."""
        running = RunningStatement(place, started_at)
        return self.running_from(lambda: running)

    @contextmanager
    def running_from(self, source: Source) -> Iterator[None]:
        """Let *source* return the running statement within the block."""
        previous, self._source = self._source, source
        try:
            yield
        finally:
            self._source = previous

    def emit(self, event: Event) -> None:
        """Emit *event*, unless the run has ended."""
        with self._observer.lock:
            if not self.ended.is_set():
                self._observer(event)

    def emit_while_running(self, running: RunningStatement, event: Event) -> bool:
        """Emit *event* if *running* is still running; return whether it was."""
        with self._observer.lock:
            if self.running != running:
                return False
            self.emit(event)
        return True

    def end_connection(self, reason: str) -> bool:
        """
        Shut the connection down if an answer is awaited; return whether it was.

        It is not while the other thread emits an event: that may be about an answer
        that has just arrived.
        """
        if not self._observer.lock.acquire(blocking=False):
            return False
        try:
            if self.work is None or not self.is_awaiting_answer:
                return False
            mark_lost(self.work, reason)
            return True
        finally:
            self._observer.lock.release()

    def set_blocker(self, place: Place, blocker: str) -> None:
        """Set the session that blocks the statement at *place*."""
        self._blocker = (place.version, place.statement, blocker)

    def blocker(self, place: Place) -> str | None:
        """Return the session last seen to block the statement at *place*."""
        if self._blocker is None:
            return None
        *statement, blocker = self._blocker
        return blocker if statement == [place.version, place.statement] else None

    def end(self) -> None:
        """Stop monitoring; later statements are not reported."""
        with self._observer.lock:
            self.ended.set()


def monitored_statement(
    conn: psycopg.Connection,
    observe: Observer,
    lock_timeout_s: float,
    report_after_s: float,
    max_s: float,
) -> CurrentStatement:
    """
    Return the `CurrentStatement` of *conn*, first checked at half of the lock timeout.

    Progress is reported from *report_after_s* on, at most every *max_s*.
    """
    pid = None if is_pooled(conn) else conn.info.backend_pid
    first_s = report_after_s
    if lock_timeout_s:
        first_s = min(first_s, max(_FIRST_CHECK_S, lock_timeout_s / 2))
    interval = CheckInterval(report_after_s, max_s, first_s)
    return CurrentStatement(observe, pid=pid, work=conn, interval=interval)

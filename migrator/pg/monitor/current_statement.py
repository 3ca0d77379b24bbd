"""
What runs and since when, for a thread that looks after it and tells what it sees.

Who runs statements says so by one assignment for each, and is asked by the thread when
that wakes (`migrator.pg.monitor.monitor`). Nothing is told of a statement that has ended
meanwhile, and of the two threads one tells at a time.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import psycopg

from migrator.domain.facts import Place
from migrator.events.base import Event, Observer, nobody
from migrator.events.serialized import Voice
from migrator.pg.connection.pooler import pooled
from migrator.pg.connection.tcp_liveness import is_awaited, lose


_WARN_S = 30.0
_EARLY_S = 0.25
"""No look before: most statements are through, and each look is a snapshot of some
milliseconds, for which a concurrent build that sees it has to wait."""


class Pace(NamedTuple):
    """When to look at a statement, and when to tell it."""

    after_s: float = 3.0
    """How long a statement may take before its progress is told."""

    most_s: float = 30.0
    """The longest time between two looks, which grow rare, and of silence."""

    first_s: float = 3.0
    """When to look first, for who blocks it: a wait for a lock has an end."""

    def next(self, elapsed_s: float) -> float:
        """Return when to look again at what has been looked at after *elapsed_s*."""
        if elapsed_s < self.after_s:
            return self.after_s
        return min(elapsed_s * 2, elapsed_s + self.most_s)

    def again(self, elapsed_s: float) -> float:
        """Return when the same is worth a warning again, however often one looks."""
        return min(elapsed_s * 2, elapsed_s + _WARN_S)


class Running(NamedTuple):
    """A statement that runs, since when on the monotonic clock."""

    place: Place
    since: float


Source = Callable[[], Running | None]


def _nothing() -> None:
    """Run nothing."""


class Watch:
    """
    What one connection, whose server process is *pid*, runs; one for each run.

    *pid* is None where it is not known, as behind a pooler: then nobody can look, and
    nobody finds out that the server does not answer on *work*, the connection.
    """

    def __init__(
        self,
        observe: Observer = nobody,
        *,
        pid: int | None = None,
        work: psycopg.Connection | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.pid = pid
        self.work = work
        self.pace = pace or Pace()
        self.ended = threading.Event()
        self._source: Source = _nothing
        self._voice = Voice.of(observe)
        self._blocker: tuple[int, int, str] | None = None

    @property
    def told_at(self) -> float:
        """Return when something was told that is not for debugging."""
        return self._voice.told_at

    @property
    def running(self) -> Running | None:
        """Return what runs now."""
        return self._source()

    @property
    def awaits(self) -> bool:
        """Tell whether an answer is awaited, to what runs or to anything else."""
        return self.work is not None and is_awaited(self.work)

    def at(self, place: Place, since: float) -> AbstractContextManager[None]:
        """Run, for the length of the block, the statement at *place*."""
        running = Running(place, since)
        return self.on(lambda: running)

    @contextmanager
    def on(self, source: Source) -> Iterator[None]:
        """Run, for the length of the block, what *source* says when it is asked."""
        before, self._source = self._source, source
        try:
            yield
        finally:
            self._source = before

    def tell(self, event: Event) -> None:
        """Tell *event*, unless the run has ended."""
        with self._voice.turn:
            if not self.ended.is_set():
                self._voice(event)

    def tell_of(self, running: Running, event: Event) -> bool:
        """Tell *event* if *running* still runs; False when it does not."""
        with self._voice.turn:
            if self.running != running:
                return False
            self.tell(event)
        return True

    def lose(self, reason: str) -> bool:
        """
        End the connection for whoever waits for an answer; False when nobody does.

        Who tells something just then, as of an answer that has come, is let finish.
        """
        if not self._voice.turn.acquire(blocking=False):
            return False
        try:
            if self.work is None or not self.awaits:
                return False
            lose(self.work, reason)
            return True
        finally:
            self._voice.turn.release()

    def blame(self, place: Place, blocker: str) -> None:
        """Note who blocks the statement at *place*."""
        self._blocker = (place.version, place.statement, blocker)

    def blocker(self, place: Place) -> str | None:
        """Return who was last seen to block the statement at *place*."""
        seen = self._blocker
        here = (place.version, place.statement)
        return seen[2] if seen is not None and seen[:2] == here else None

    def end(self) -> None:
        """Look no more; nothing is told of what runs afterwards."""
        with self._voice.turn:
            self.ended.set()


def watching(
    conn: psycopg.Connection,
    observe: Observer,
    lock_timeout_s: float,
    after_s: float,
    most_s: float,
) -> Watch:
    """Return a watch of *conn*; a wait for a lock is seen before it times out."""
    pid = None if pooled(conn) else conn.info.backend_pid
    first_s = max(_EARLY_S, lock_timeout_s / 2) if lock_timeout_s else after_s
    pace = Pace(after_s, most_s, min(after_s, first_s))
    return Watch(observe, pid=pid, work=conn, pace=pace)

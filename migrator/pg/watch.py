"""
What runs and since when, for a thread that looks after it and tells what it sees.

Who runs statements says so by one assignment for each; the thread asks for it when it
wakes, looks from another connection, and tells nothing of a statement that has ended
meanwhile. Of the two threads one tells at a time.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from migrator.events.base import Event, Observer, nobody
from migrator.facts import Place
from migrator.pg.asking import GiveUp, Row
from migrator.pg.pooler import pooled
from migrator.pg.printed import out_of_print


if TYPE_CHECKING:
    from migrator.pg.progress import Progress
    from migrator.pg.sight import Sight


Ask = Callable[[bytes, GiveUp], list[Row]]
"""Asks the server from another connection; raises when it cannot."""


class Pace(NamedTuple):
    """When to look at a statement."""

    after_s: float = 3.0
    """How long a statement may take before its progress is told."""

    most_s: float = 30.0
    """The longest time between two looks; the second comes after as long as the first,
    then they grow rare."""

    first_s: float = 3.0
    """When to look first, for who blocks it: a wait for a lock has an end."""

    def next(self, elapsed_s: float) -> float:
        """Return when to look again at what has been looked at after *elapsed_s*."""
        if elapsed_s < self.after_s:
            return self.after_s
        return min(elapsed_s * 2, elapsed_s + self.most_s)


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

    *pid* is None where it is not known, as behind a pooler: then nobody can look.
    """

    def __init__(
        self,
        observe: Observer = nobody,
        *,
        pid: int | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.ended = threading.Event()
        self._source: Source = _nothing
        self._observe = out_of_print(observe)
        self._pid = pid
        self._pace = pace or Pace()
        self._turn = threading.Lock()
        self._blocker: tuple[int, int, str] | None = None
        self._hinted = False
        self._since = 0.0
        self._due_s = 0.0
        self._before: tuple[float, Progress] | None = None

    # what the thread that runs statements calls

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
        """Tell *event*, while the other thread tells nothing."""
        with self._turn:
            self._observe(event)

    def blocker(self, place: Place) -> str | None:
        """Return who was last seen to block the statement at *place*."""
        seen = self._blocker
        here = (place.version, place.statement)
        return seen[2] if seen is not None and seen[:2] == here else None

    def end(self) -> None:
        """Look no more; nothing is told afterwards."""
        with self._turn:
            self.ended.set()

    # what the thread that looks calls

    def pause(self) -> float:
        """Return how long it is until there may be something to look at."""
        running = self._source()
        if running is None:
            return self._pace.first_s
        self._follow(running)
        return max(0.0, running.since + self._due_s - time.monotonic())

    def look(self, ask: Ask) -> None:
        """Look at what runs if it is time to; what goes wrong disturbs nobody."""
        running = self._source()
        if running is None:
            return
        self._follow(running)
        elapsed_s = time.monotonic() - running.since
        if elapsed_s < self._due_s:
            return
        self._due_s = self._pace.next(elapsed_s)
        with suppress(Exception):  # of an observer's, too: they are told in vain
            self._report(running, elapsed_s, self._seen(ask))

    def _follow(self, running: Running) -> None:
        if running.since != self._since:
            self._since, self._due_s = running.since, self._pace.first_s
            self._before = None

    def _seen(self, ask: Ask) -> "Sight":
        from migrator.pg.sight import Sight, question, sight  # noqa: PLC0415 - rare

        if self._pid is not None:
            with suppress(Exception):  # the lock's keeper tells what it has to
                return sight(ask(question(self._pid), self.ended.is_set))
        return Sight()

    def _report(self, running: Running, elapsed_s: float, sight: "Sight") -> None:
        from migrator.pg.seeing import blamed, blocked, progressed  # noqa: PLC0415 - rare

        if sight.blockers:
            self._due_s = self._pace.next(max(elapsed_s, self._pace.after_s))
            place = running.place
            self._blocker = (place.version, place.statement, blamed(sight))
            event: Event = blocked(running, elapsed_s, sight, hinted=self._hinted)
            self._hinted = self._hinted or any(each.hidden for each in sight.blockers)
        elif elapsed_s >= self._pace.after_s:
            event = progressed(running, elapsed_s, sight, self._rate(sight.progress))
        else:
            return
        with self._turn:
            if not self.ended.is_set() and self._source() == running:
                self._observe(event)

    def _rate(self, progress: "Progress | None") -> float | None:
        """Return units a second since the look before, in the same phase."""
        before, now = self._before, time.monotonic()
        self._before = None if progress is None else (now, progress)
        if before is None or progress is None:
            return None
        done = progress.since(before[1])
        return None if done is None else done / (now - before[0])


def watching(
    conn: psycopg.Connection,
    observe: Observer,
    lock_timeout_s: float,
    after_s: float,
    most_s: float,
) -> Watch:
    """Return a watch of *conn*; a wait for a lock is seen before it times out."""
    pid = None if pooled(conn) else conn.info.backend_pid
    first_s = min(after_s, lock_timeout_s / 2) if lock_timeout_s else after_s
    return Watch(observe, pid=pid, pace=Pace(after_s, most_s, first_s))

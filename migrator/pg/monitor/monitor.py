"""
Checks the running statement at growing intervals and emits progress events.

A statement is checked once it takes long, at growing intervals. If many short
statements follow each other, the position in the file is reported without a query.

Each check also detects whether the server process still serves the connection
(`migrator.pg.monitor.session_liveness`), also between statements.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg

from migrator.pg.connection.queries import GiveUp, TextRow, query_rows
from migrator.pg.monitor.activity import SessionActivity, activity_sql, read_activity
from migrator.pg.monitor.current_statement import CurrentStatement, RunningStatement
from migrator.pg.monitor.progress import StatementProgress
from migrator.pg.monitor.session_liveness import SessionLiveness
from migrator.pg.monitor.statement_events import blocked_event, progressed_event


QueryRows = Callable[[bytes, GiveUp], list[TextRow]]
"""Sends a query on a connection other than the monitored one, as `query_rows`."""

_JOIN_S = 0.5
"""How long to wait for a thread that may be opening a connection."""


class Monitor:
    """Monitors *current* with queries sent by *query*; used by one thread."""

    def __init__(self, current: CurrentStatement, query: QueryRows) -> None:
        self._current = current
        self._interval = current.interval
        self._query = query
        self._hint_emitted = False
        self._started_at = 0.0
        """The start of the statement that the next five attributes are about."""

        self._due_s = 0.0
        self._warn_s = 0.0
        self._blocker_pids: list[int] = []
        self._previous: tuple[float, StatementProgress] | None = None
        work = current.work
        self._liveness = SessionLiveness(work) if work is not None else None

    def pause(self) -> float:
        """Return the seconds until the next check."""
        running = self._current.running
        if running is None:
            return min(self._interval.first_s, self._interval.max_s)
        self._follow(running)
        due = min(running.started_at + self._due_s, self._next_report_at)
        return max(0.0, due - time.monotonic())

    def check(self) -> None:
        """Check the statement if it is due and emit events; errors are suppressed."""
        running = self._current.running
        with suppress(Exception):  # also an observer's
            if running is not None:
                self._check(running)
            elif self._current.is_awaiting_answer:
                self._query_activity()

    def _check(self, running: RunningStatement) -> None:
        self._follow(running)
        elapsed_s = time.monotonic() - running.started_at
        if elapsed_s >= self._due_s:
            activity = self._query_activity()
            self._due_s = self._next_due_s(elapsed_s)
            self._report(running, elapsed_s, activity)
        elif running.place.statement and time.monotonic() >= self._next_report_at:
            event = progressed_event(running.place, elapsed_s, SessionActivity())
            self._current.emit(event)

    def _next_due_s(self, elapsed_s: float) -> float:
        due_s = self._interval.next(elapsed_s)
        if self._liveness is None:
            return due_s
        return min(due_s, elapsed_s + self._liveness.due_s)

    @property
    def _next_report_at(self) -> float:
        return self._current.reported_at + self._interval.max_s

    def _follow(self, running: RunningStatement) -> None:
        if running.started_at != self._started_at:
            self._started_at, self._due_s = running.started_at, self._interval.first_s
            self._warn_s, self._previous = 0.0, None

    def _query_activity(self) -> SessionActivity:
        if self._current.pid is not None:
            # a lost session of the lock is reported by the checks of the lock
            with suppress(Exception):
                query = activity_sql(self._current.pid)
                rows = self._query(query, self._current.ended.is_set)
                activity = read_activity(rows)
                self._check_liveness(activity)
                return activity
        return SessionActivity()

    def _check_liveness(self, activity: SessionActivity) -> None:
        """Shut the connection down if its server process no longer serves it."""
        if self._liveness is not None:
            reason = self._liveness.loss_reason(activity)
            if reason is not None:
                self._current.end_connection(reason)

    def _report(
        self, running: RunningStatement, elapsed_s: float, activity: SessionActivity
    ) -> None:
        rate = self._rate(activity.progress)
        if activity.blockers:
            self._warn(running, elapsed_s, activity)
        elif elapsed_s >= self._interval.report_after_s:
            event = progressed_event(running.place, elapsed_s, activity, rate)
            self._current.emit_while_running(running, event)

    def _warn(
        self, running: RunningStatement, elapsed_s: float, activity: SessionActivity
    ) -> None:
        """Warn who blocks, if the blockers changed or the warning is due again."""
        self._current.set_blocker(running.place, str(activity.root_blocker))
        pids = [each.pid for each in activity.blockers]
        if pids == self._blocker_pids and elapsed_s < self._warn_s:
            return
        self._blocker_pids, self._warn_s = pids, self._interval.again(elapsed_s)
        event = blocked_event(
            running.place, elapsed_s, activity, with_hint=not self._hint_emitted
        )
        if self._current.emit_while_running(running, event):
            self._hint_emitted = self._hint_emitted or event.hint is not None

    def _rate(self, progress: StatementProgress | None) -> float | None:
        """Return units per second since the previous check, in the same phase."""
        previous, now = self._previous, time.monotonic()
        self._previous = None if progress is None else (now, progress)
        if previous is None or progress is None:
            return None
        done = progress.since(previous[1])
        return None if done is None else done / (now - previous[0])


@contextmanager
def run_monitor(
    current: CurrentStatement,
    query: QueryRows,
    close: Callable[[], None] | None = None,
) -> Iterator[None]:
    """
    Run a thread within the block that monitors *current* with queries sent by *query*.

    The thread ends with the block, also during a check, and calls *close*. With *close*
    the connection belongs to the thread and may still be opening: the block's end waits
    0.5 s at most.
    """

    def run() -> None:
        monitor = Monitor(current, query)
        try:
            while not current.ended.wait(monitor.pause()):
                monitor.check()
        finally:
            if close is not None:
                close()

    thread = threading.Thread(target=run, name="migrator-monitor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        current.end()
        thread.join(_JOIN_S if close else None)


class MonitorConnection:
    """
    A connection for the monitor, opened on first use and again after it was lost.

    With *first*, queries are sent by that one until its connection is lost.
    """

    def __init__(
        self, connect: Callable[[], psycopg.Connection], first: QueryRows | None = None
    ) -> None:
        self._connect = connect
        self._first = first
        self._conn: psycopg.Connection | None = None

    def query_rows(self, query: bytes, give_up: GiveUp) -> list[TextRow]:
        """Return the rows of *query*; raises as `queries.query_rows` does."""
        if self._first is not None:
            try:
                return self._first(query, give_up)
            except psycopg.OperationalError:
                if give_up():
                    raise
                self._first = None
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        return query_rows(self._conn, query, give_up)

    def close(self) -> None:
        """Close the connection if it is open."""
        if self._conn is not None:
            with suppress(psycopg.Error):
                self._conn.close()

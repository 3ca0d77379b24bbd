"""
Checks the running statement at growing intervals and emits progress events.

A statement is checked once it takes long, at growing intervals. If many short
statements follow each other, the position in the file is reported without a query. The
modules that interpret a check are imported by the first one: most runs have none.

Each check also detects whether the server process still serves the connection
(`migrator.pg.monitor.session_liveness`), also between statements.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from migrator.pg.connection.queries import GiveUp, Row
from migrator.pg.monitor.current_statement import CurrentStatement, RunningStatement
from migrator.pg.monitor.session_liveness import SessionLiveness


if TYPE_CHECKING:
    from migrator.pg.monitor.activity import SessionActivity
    from migrator.pg.monitor.progress import StatementProgress


Ask = Callable[[bytes, GiveUp], list[Row]]
"""Asks the server from another connection; raises when it cannot."""


class Monitor:
    """Monitors *watch* with queries sent by *ask*; used by one thread."""

    def __init__(self, watch: CurrentStatement, ask: Ask) -> None:
        self._watch = watch
        self._pace = watch.pace
        self._ask = ask
        self._hinted = False
        self._since = 0.0
        """When what is looked at began; what follows is about that one."""

        self._due_s = 0.0
        self._warn_s = 0.0
        self._pids: list[int] = []
        self._before: tuple[float, StatementProgress] | None = None
        self._liveness = SessionLiveness(watch.work) if watch.work is not None else None

    def pause(self) -> float:
        """Return the seconds until the next check."""
        running = self._watch.running
        if running is None:
            return min(self._pace.first_s, self._pace.most_s)
        self._follow(running)
        due = min(running.since + self._due_s, self._next_report_s)
        return max(0.0, due - time.monotonic())

    def check(self) -> None:
        """Check the statement if it is due and emit events; errors are suppressed."""
        running = self._watch.running
        with suppress(Exception):  # an observer's, too
            if running is None:
                if self._watch.is_awaiting_answer:
                    self._query_activity()
                return
            self._follow(running)
            elapsed_s = time.monotonic() - running.since
            if elapsed_s >= self._due_s:
                sight = self._query_activity()
                self._due_s = self._next(elapsed_s)
                self._report(running, elapsed_s, sight)
            elif running.place.statement and time.monotonic() >= self._next_report_s:
                self._note_statement(running, elapsed_s)

    def _next(self, elapsed_s: float) -> float:
        usual = self._pace.next(elapsed_s)
        if self._liveness is None:
            return usual
        return min(usual, elapsed_s + self._liveness.due_s)

    @property
    def _next_report_s(self) -> float:
        return self._watch.reported_at + self._pace.most_s

    def _follow(self, running: RunningStatement) -> None:
        if running.since != self._since:
            self._since, self._due_s = running.since, self._pace.first_s
            self._warn_s, self._before = 0.0, None

    def _note_statement(self, running: RunningStatement, elapsed_s: float) -> None:
        from migrator.pg.monitor.activity import SessionActivity  # noqa: PLC0415 - rare
        from migrator.pg.monitor.statement_events import progressed_event  # noqa: PLC0415 - rare

        self._watch.emit(progressed_event(running, elapsed_s, SessionActivity(), None))

    def _query_activity(self) -> "SessionActivity":
        from migrator.pg.monitor.activity import (  # noqa: PLC0415 - rare
            SessionActivity,
            activity_sql,
            read_activity,
        )

        if self._watch.pid is not None:
            with suppress(
                Exception
            ):  # a lost lock session is reported by whoever checks the lock
                answer = self._ask(
                    activity_sql(self._watch.pid), self._watch.ended.is_set
                )
                seen = read_activity(answer)
                self._check_liveness(seen)
                return seen
        return SessionActivity()

    def _check_liveness(self, seen: "SessionActivity") -> None:
        """Shut the connection down if its server process no longer serves it."""
        reason = (
            self._liveness.loss_reason(seen) if self._liveness is not None else None
        )
        if reason is not None:
            self._watch.end_connection(reason)

    def _report(
        self, running: RunningStatement, elapsed_s: float, seen: "SessionActivity"
    ) -> None:
        from migrator.pg.monitor.statement_events import progressed_event  # noqa: PLC0415 - rare

        rate = self._rate(seen.progress)
        if seen.blockers:
            self._warn(running, elapsed_s, seen)
        elif elapsed_s >= self._pace.after_s:
            self._watch.emit_while_running(
                running, progressed_event(running, elapsed_s, seen, rate)
            )

    def _warn(
        self, running: RunningStatement, elapsed_s: float, seen: "SessionActivity"
    ) -> None:
        """Warn who blocks, if the blockers changed or the warning is due again."""
        from migrator.pg.monitor.statement_events import blocked_event, blocker_text  # noqa: PLC0415 - rare

        self._watch.set_blocker(running.place, blocker_text(seen))
        pids = [each.pid for each in seen.blockers]
        if pids == self._pids and elapsed_s < self._warn_s:
            return
        self._pids, self._warn_s = pids, self._pace.again(elapsed_s)
        event = blocked_event(running, elapsed_s, seen, hinted=self._hinted)
        if self._watch.emit_while_running(running, event):
            self._hinted = self._hinted or event.hint is not None

    def _rate(self, progress: "StatementProgress | None") -> float | None:
        """Return units per second since the previous check, in the same phase."""
        before, now = self._before, time.monotonic()
        self._before = None if progress is None else (now, progress)
        if before is None or progress is None:
            return None
        done = progress.since(before[1])
        return None if done is None else done / (now - before[0])

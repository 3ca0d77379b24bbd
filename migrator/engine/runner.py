"""
The main loop: look, lock, look again, plan, do.

    files = load(directory)             every file is read and parsed first
    history = store.look(conn)          no lock: may only find nothing to do
    with self._locked(conn, …):         polled, on another connection
        seen = store.ensure(conn)       what the table says now
        walk.go(make_plan(...))         each step its own transaction, with its row

From the lock on it is `Course`, which a lost session does not end.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from migrator.domain.backoff import HEARTBEAT_S, WATCH_S, Backoff
from migrator.domain.history import History
from migrator.domain.model import Files, Goal, Invalid, Lock, Step, When
from migrator.engine.plan import (
    ahead,
    apart,
    assumed,
    check_begun,
    drifted,
    make_plan,
    outdated,
)
from migrator.errors import (
    BusyTableError,
    ConnectionLostError,
    DriftError,
    HistoryExistsError,
    MigratorError,
)
from migrator.events.base import Observer, nobody
from migrator.events.factories import (
    ahead_found,
    drift_found,
    fault_found,
    history_found_elsewhere,
    recorded,
    setting_ignored,
)
from migrator.events.run import PlanMade
from migrator.pg.connection.database import Database
from migrator.pg.connection.pooler import warn_of_settings
from migrator.pg.connection.session import streams
from migrator.pg.tracking.snapshot import Seen
from migrator.pg.tracking.store import Store
from migrator.pg.tracking.unversioned import Unversioned
from migrator.process.cancellation import Cancellation


if TYPE_CHECKING:
    from migrator.engine.reconnecting_run import Course
    from migrator.pg.locking.held_lock import Hold


class Policy(NamedTuple):
    """How a run decides and how long it is patient."""

    allow_missing: bool = False
    when_ahead: When = When.WARN
    when_drifted: When = When.WARN
    when_invalid: Invalid = Invalid.DROP
    pipeline: bool = True
    """Whether statements are sent before those in front of them are answered."""

    lock: Lock = Lock.AUTO
    lock_patience: Backoff = Backoff(total_s=300)
    heartbeat_s: float = HEARTBEAT_S
    """How often the lease is renewed, where the lock is one."""

    retry_patience: Backoff = Backoff(total_s=300, first_s=0.5, most_s=30)
    watch_s: tuple[float, float] = WATCH_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Brings one database to a goal."""

    database: Database
    store: Store | Unversioned = field(default_factory=Store)
    policy: Policy = field(default_factory=Policy)
    observe: Observer = nobody
    cancellation: Cancellation = field(default_factory=Cancellation)

    @contextmanager
    def look(self) -> Iterator[tuple[psycopg.Connection, History]]:
        """Connect and yield what the tracking table says; nothing is created."""
        with self._looked() as (conn, seen):
            yield conn, seen.history

    @contextmanager
    def _looked(self) -> Iterator[tuple[psycopg.Connection, Seen]]:
        store = self.store
        conn, answers = self.database.ask(
            store.question, self.observe, self.cancellation
        )
        with closing(conn):
            yield conn, store.look(conn) if answers is None else store.read(answers)

    def watch(self) -> Iterator[History | MigratorError]:
        """
        Yield what the tracking table says, as often as somebody asks.

        What may pass, a lost connection or a locked table, is yielded in its place,
        and the connection is opened again; raises as `Database.connect`.
        """
        while True:
            try:
                with self.look() as (conn, history):
                    yield history
                    while True:
                        yield self.store.look(conn).history
            except (ConnectionLostError, BusyTableError) as error:
                yield error

    def plan(self, files: Files, goal: Goal) -> tuple[Step, ...]:
        """Return what `run` would do now; raises what it would, and changes nothing."""
        with self._looked() as (conn, seen):
            plan = self._plan(files, seen.history, goal)
            self._check_drift(files, seen)
        self._tell_ahead(files, seen.history)
        self._tell_faults(files, plan)
        if plan:
            self._tell_elsewhere(seen)
        self._tell_plan(conn, seen.history, plan)
        return plan

    def baseline(self, files: Files, target: int) -> None:
        """
        Record the files up to *target* as applied, all or none, and run nothing.

        Raises:
            HistoryExistsError: The tracking table has versions already.
        """
        adopted = [m for m in files.migrations if m.version <= target]
        with (
            self._looked() as (conn, before),
            self._locked(conn, before, lambda: False) as lock,
        ):
            self._tell_elsewhere(before)
            seen = self.store.ensure(conn, before)
            if lock is None or seen.table is None or seen.history.versions:
                raise HistoryExistsError(sorted(seen.history.versions))
            seen.table.adopt(conn, adopted)
        for migration in adopted:
            self.observe(recorded(migration))

    def run(self, files: Files, goal: Goal) -> tuple[Step, ...]:
        """
        Bring the database to *goal* and return the steps taken.

        The plan is made under the lock, from what the table says then: of two jobs
        that start together, the second finds nothing left to do.

        Raises:
            MigratorError: As the parts do; what was committed before stays.
        """
        began = time.monotonic()
        with self._looked() as (conn, seen):
            spent_s = time.monotonic() - began
            plan = self._plan(files, seen.history, goal)
            self._check_drift(files, seen)
            self._tell_ahead(files, seen.history)
            self._tell_faults(files, plan)
            if plan:
                self._tell_elsewhere(seen)
                from migrator.events.serialized import Voice  # noqa: PLC0415 - there is work to do

                us = replace(self, observe=Voice(self.observe))  # two threads tell now
                return us._course(files, goal, spent_s).run(conn, seen)  # noqa: SLF001
            self._tell_plan(conn, seen.history, plan)
            return ()

    def _course(self, files: Files, goal: Goal, spent_s: float) -> "Course":
        from migrator.engine.reconnecting_run import Course  # noqa: PLC0415 - the same
        from migrator.engine.wait_budget import Allowance  # noqa: PLC0415 - the same

        return Course(
            database=self.database,
            store=self.store,
            files=files,
            locked=self._locked,
            planned=partial(self._planned, files, goal),
            idle=partial(self._idle, files, goal),
            why_apart=self.why_apart,
            drop_invalid=self.policy.when_invalid is Invalid.DROP,
            patience=self.policy.retry_patience,
            allowance=Allowance(self.database.patience, spent_s=spent_s),
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def _planned(
        self, files: Files, goal: Goal, conn: psycopg.Connection, seen: Seen
    ) -> tuple[Step, ...]:
        """Make and tell the plan of what was *seen* under the lock."""
        self._tell_ledger(seen)
        plan = self._plan(files, seen.history, goal)
        check_begun(plan, seen.history)
        self._tell_plan(conn, seen.history, plan)
        warn_of_settings(conn, plan, self.observe, self.database.session.state)
        if seen.table is not None:
            seen.table.forget(conn, outdated(seen.history))
        return plan

    def _idle(
        self, files: Files, goal: Goal, conn: psycopg.Connection, history: History
    ) -> bool:
        """Tell whether *history* leaves nothing to do, and if so, tell so."""
        plan = self._plan(files, history, goal)
        if not plan:
            self._tell_plan(conn, history, plan)
        return not plan

    def _plan(self, files: Files, history: History, goal: Goal) -> tuple[Step, ...]:
        unversioned = isinstance(self.store, Unversioned)
        return make_plan(
            files,
            assumed(files, goal) if unversioned else history,
            goal,
            allow_missing=self.policy.allow_missing,
            when_ahead=self.policy.when_ahead,
        )

    def _locked(
        self, conn: psycopg.Connection, seen: Seen, done: Callable[[], bool]
    ) -> "AbstractContextManager[Hold | None]":
        """Hold the lock for what *conn* does; yield None when *done* says so."""
        from migrator.pg.locking.acquire import Exclusion  # noqa: PLC0415 - the same

        exclusion = Exclusion(
            lock=self.policy.lock,
            patience=self.policy.lock_patience,
            heartbeat_s=self.policy.heartbeat_s,
            watch_s=self.policy.watch_s,
        )
        return exclusion.held(
            self.database,
            conn,
            schema=seen.home,
            done=done,
            observe=self.observe,
            cancellation=self.cancellation,
        )

    def why_apart(self, conn: psycopg.Connection) -> str:
        """Return why every statement waits for its answer; empty when none has to."""
        if not self.policy.pipeline:
            return "MIGRATOR_PIPELINE is false"
        return "" if streams(conn) else "a pooler or proxy is in between"

    def _tell_plan(
        self, conn: psycopg.Connection, history: History, plan: tuple[Step, ...]
    ) -> None:
        self.observe(
            PlanMade(
                version=history.current,
                target=reduce(History.after, plan, history).current,
                pending=tuple(step.migration.path for step in plan),
                apart=apart(plan, why_all=self.why_apart(conn) if plan else ""),
            )
        )

    def _tell_ledger(self, seen: Seen) -> None:
        if seen.no_ledger:
            self.observe(setting_ignored("MIGRATOR_HISTORY", reason=seen.no_ledger))

    def _check_drift(self, files: Files, seen: Seen) -> None:
        """
        Tell of applied files that have changed.

        Raises:
            DriftError: There are some, and the policy says that there must not be.
        """
        if self.policy.when_drifted is When.IGNORE:
            return
        drifts = drifted(files, seen.checksums)
        for drift in drifts:
            self.observe(drift_found(drift))
        if drifts and self.policy.when_drifted is When.FAIL:
            raise DriftError(drifts)

    def _tell_ahead(self, files: Files, history: History) -> None:
        surplus = ahead(files, history)
        if surplus and self.policy.when_ahead is When.WARN:
            self.observe(ahead_found(surplus, newest_file=files.newest))

    def _tell_elsewhere(self, seen: Seen) -> None:
        if seen.elsewhere and seen.place is not None:
            schema, table = seen.place
            self.observe(history_found_elsewhere(table, schema, seen.elsewhere))

    def _tell_faults(self, files: Files, plan: tuple[Step, ...]) -> None:
        """
        Warn about faults in what does not run, and of what is odd about what does.

        `_plan` stops on the other faults.
        """
        odd = dict.fromkeys(fault for step in plan for fault in step.warnings)
        for fault in (*files.all_faults, *odd):
            self.observe(fault_found(fault, fatal=False))

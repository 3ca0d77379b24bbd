"""Makes the plan of a run from what its tables say, and reports what is odd there."""

from dataclasses import dataclass
from functools import reduce

import psycopg

from migrator.domain.history import History
from migrator.domain.model import OnProblem, Step
from migrator.engine.plan import (
    assumed_history,
    check_intents,
    find_drift,
    make_plan,
    not_pipelined,
    outdated_intents,
    versions_ahead,
)
from migrator.engine.run_context import RunContext
from migrator.errors import DriftError
from migrator.events.finding import (
    DatabaseAheadDetected,
    DriftFound,
    FileWarned,
    HistoryFoundElsewhere,
)
from migrator.events.run import PlanMade, SettingIgnored
from migrator.pg.connection.pooler import warn_of_settings
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore


@dataclass(frozen=True, slots=True)
class Planner:
    """Makes plans for the files and the goal of *context*."""

    context: RunContext

    def plan(self, history: History) -> tuple[Step, ...]:
        """Return the steps from *history* to the goal; raises as `make_plan`."""
        context = self.context
        if isinstance(context.store, NoTrackingStore):
            history = assumed_history(context.files, context.goal)
        return make_plan(
            context.files,
            history,
            context.goal,
            allow_missing=context.policy.allow_missing,
            when_ahead=context.policy.on_db_ahead,
        )

    def plan_without_lock(self, state: DatabaseState) -> tuple[Step, ...]:
        """
        Return the plan by *state*, read without the lock, and report what is odd.

        Raises:
            DriftError: An applied file has changed, and the policy is to fail.
            MigratorError: As `make_plan`.
        """
        plan = self.plan(state.history)
        self._check_drift(state)
        self._emit_ahead(state.history)
        self._emit_faults(plan)
        if plan:
            self.emit_elsewhere(state)
        return plan

    def plan_under_lock(
        self, conn: psycopg.Connection, state: DatabaseState
    ) -> tuple[Step, ...]:
        """Return and report the plan that runs, by *state* as read under the lock."""
        observe, database = self.context.observe, self.context.database
        if state.no_history_reason:
            reason = state.no_history_reason
            observe(SettingIgnored(variable="MIGRATOR_HISTORY", reason=reason))
        plan = self.plan(state.history)
        check_intents(plan, state.history)
        self.emit_plan(conn, state.history, plan)
        warn_of_settings(conn, plan, observe, database.session.state)
        if state.table is not None:
            state.table.close_intents(conn, outdated_intents(state.history))
        return plan

    def is_at_goal(self, conn: psycopg.Connection, history: History) -> bool:
        """Return whether *history* leaves nothing to do, and report it if so."""
        plan = self.plan(history)
        if not plan:
            self.emit_plan(conn, history, plan)
        return not plan

    def emit_plan(
        self, conn: psycopg.Connection, history: History, plan: tuple[Step, ...]
    ) -> None:
        """Report *plan*, made from *history*; *conn* tells what can be pipelined."""
        reason = self.context.not_pipelined_reason(conn) if plan else ""
        self.context.observe(
            PlanMade(
                version=history.current,
                target=reduce(History.after, plan, history).current,
                pending=tuple(step.migration.path for step in plan),
                not_pipelined=not_pipelined(plan, why_all=reason),
            )
        )

    def emit_elsewhere(self, state: DatabaseState) -> None:
        """Warn that another schema has a tracking table, and the one in use is new."""
        if state.other_schemas and state.schema_and_name is not None:
            schema, table = state.schema_and_name
            self.context.observe(
                HistoryFoundElsewhere(
                    table=table,
                    schema=schema,
                    schemas=tuple(state.other_schemas),
                    hint=_ELSEWHERE,
                )
            )

    def _check_drift(self, state: DatabaseState) -> None:
        on_drift = self.context.policy.on_drift
        if on_drift is OnProblem.IGNORE:
            return
        drifts = find_drift(self.context.files, state.checksums)
        for drift in drifts:
            self.context.observe(DriftFound(**drift._asdict()))
        if drifts and on_drift is OnProblem.FAIL:
            raise DriftError(drifts)

    def _emit_ahead(self, history: History) -> None:
        files = self.context.files
        surplus = versions_ahead(files, history)
        if surplus and self.context.policy.on_db_ahead is OnProblem.WARN:
            self.context.observe(
                DatabaseAheadDetected(versions=tuple(surplus), newest_file=files.newest)
            )

    def _emit_faults(self, plan: tuple[Step, ...]) -> None:
        """
        Warn about faults in what does not run, and about oddities of what does.

        `make_plan` stops on the other faults.
        """
        odd = dict.fromkeys(fault for step in plan for fault in step.warnings)
        for fault in (*self.context.files.all_faults, *odd):
            self.context.observe(FileWarned(**fault._asdict()))


_ELSEWHERE = (
    "the files run again from the first one in this schema; if that is not meant, set"
    " MIGRATOR_SEARCH_PATH or MIGRATOR_TABLE (schema.table) to the right schema"
)

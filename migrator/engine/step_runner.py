"""Executes the steps of a plan, pipelined or one by one, and reports them."""

import time
from contextlib import closing
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from migrator.domain.history import History
from migrator.domain.model import Step
from migrator.engine.plan import is_pipelineable
from migrator.engine.plan_progress import PlanProgress
from migrator.engine.run_context import RunContext
from migrator.errors import (
    ConnectionLostError,
    ContentionError,
    MigratorError,
    ReadOnlyServerError,
)
from migrator.events.migration import (
    CommitConfirmed,
    CommitLost,
    MigrationFailed,
    MigrationSkipped,
    MigrationStarted,
    finished_event,
)
from migrator.pg.execution.executor import execute_step
from migrator.pg.execution.pipelined import (
    NotPipelined,
    PipelinedRun,
    StepCommitted,
    StepStarted,
)
from migrator.pg.execution.retry import retry_on_contention
from migrator.pg.execution.server_messages import deduplicate
from migrator.pg.execution.statements import StatementExecutor


class _Running(NamedTuple):
    """The step that is executing."""

    step: Step
    since: float
    """When it was started, on the monotonic clock."""


class StepRunner:
    """
    Executes *plan*, which was made from *history*; one for each run.

    After a lost session, `resume` takes over what the table says, and the next `run`
    executes what is left in another session.
    """

    def __init__(
        self, context: RunContext, plan: tuple[Step, ...], history: History
    ) -> None:
        self._context = context
        self._progress = PlanProgress(plan, history)
        self._history = history
        self._running: _Running | None = None

    @property
    def applied(self) -> tuple[Step, ...]:
        """Return the steps that this run has executed and committed."""
        return self._progress.applied

    @property
    def done_count(self) -> int:
        """Return how many steps are done, by this run or another."""
        return self._progress.done_count

    @property
    def next_step(self) -> Step | None:
        """Return the step that runs or would run next; None at the end."""
        if self._running is not None:
            return self._running.step
        return next(iter(self._progress.remaining), None)

    @property
    def _took_s(self) -> float:
        """How long the current step has been executing."""
        return time.monotonic() - self._running.since if self._running else 0.0

    def run(self, executor: StatementExecutor, *, pipeline: bool) -> None:
        """
        Execute all steps that are left, in a session of which nothing was used yet.

        Raises:
            MigratorError: As `execute_step`; what was committed before stays.
        """
        try:
            self._run_remaining(executor, pipeline=pipeline)
        except (ConnectionLostError, ReadOnlyServerError):
            raise  # another session may execute the step
        except MigratorError as error:
            # not after the lock is released, which may take seconds
            self.emit_failure(error)
            raise

    def _run_remaining(self, executor: StatementExecutor, *, pipeline: bool) -> None:
        steps, finished = self._progress.remaining, 0
        while finished < len(steps):
            step = steps[finished]
            if finished:
                executor.lock.check()
                executor.reset_session(step)
            if pipeline and is_pipelineable(step) and not executor.queries_lock:
                batch = tuple(takewhile(is_pipelineable, steps[finished:]))
                finished += self._run_pipelined(executor, batch)
            else:
                self._step_started(step)
                self._run_one(executor, step)
                executor = executor._replace(queries_lock=False)
                finished += 1

    def is_complete(self, now: History) -> bool:
        """Return whether nothing is left by what the table says *now*."""
        return self._progress.is_complete(now)

    def resume(self, now: History) -> None:
        """
        Take over and report what the table says *now*.

        Precondition: no lost session of this run can change the table any more.
        """
        diff, self._history = self._progress.diff(now), now
        self._progress.apply(diff)
        for step in diff.lost:
            self._context.observe(CommitLost.of(step))
        for step in diff.confirmed:
            self._commit_confirmed(step)
        for step in diff.others:
            self._context.observe(MigrationSkipped.of(step, now.current, ran=False))
        self._running = None

    def emit_failure(self, error: MigratorError) -> None:
        """Report that the current step, if there is one, failed with *error*."""
        if self._running is not None:
            step = self._running.step
            self._context.observe(MigrationFailed.of(step, error, self._took_s))
            self._running = None

    def _run_pipelined(
        self, executor: StatementExecutor, steps: tuple[Step, ...]
    ) -> int:
        """Execute *steps* until one has to run alone, that one too; count them."""
        run, finished = PipelinedRun(executor, steps), 0
        alone: NotPipelined | None = None
        try:
            with closing(run.outcomes()) as outcomes:
                for outcome in outcomes:
                    match outcome:
                        case StepStarted(step):
                            self._step_started(step)
                        case StepCommitted(step):
                            self._step_finished(step)
                            finished += 1
                        case NotPipelined():
                            alone = outcome
        finally:
            self._progress.mark_sent(run.commits_sent)
        if alone is None:
            return finished
        self._run_alone(executor, alone)
        return finished + 1

    def _run_alone(self, executor: StatementExecutor, alone: NotPipelined) -> None:
        """Execute a step that was started in a pipeline and rolled back."""
        executor.reset_session(alone.step)
        observe = executor.observe
        if alone.error is None:
            observe = deduplicate(observe, alone.finished_statements)
        executor = executor._replace(observe=observe)
        self._run_one(executor, alone.step, first_error=alone.error)

    def _run_one(
        self,
        executor: StatementExecutor,
        step: Step,
        *,
        first_error: ContentionError | None = None,
    ) -> None:
        self._progress.mark_sent([step])
        recorded = retry_on_contention(
            partial(execute_step, executor),
            step,
            backoff=self._context.policy.retry_backoff,
            observe=self._context.observe,
            cancellation=self._context.cancellation,
            since=time.monotonic() - self._took_s,
            first_error=first_error,
        )
        if recorded:
            self._step_finished(step)
        else:
            self._mark_done(step, ours=False)
            self._context.observe(MigrationSkipped.of(step, self._history.current))

    def _step_started(self, step: Step) -> None:
        self._running = _Running(step, time.monotonic())
        self._context.observe(MigrationStarted.of(step))

    def _step_finished(self, step: Step) -> None:
        took_s = self._took_s
        self._mark_done(step, ours=True)
        self._context.observe(finished_event(step, self._history.current, took_s))

    def _mark_done(self, step: Step, *, ours: bool) -> None:
        self._progress.mark_done(step, ours=ours)
        self._running, self._history = None, self._history.after(step)

    def _commit_confirmed(self, step: Step) -> None:
        if self._running is None or self._running.step is not step:
            self._step_started(step)
        self._context.observe(CommitConfirmed.of(step))
        self._context.observe(finished_event(step, self._history.current, self._took_s))

"""Executes the steps of a plan, pipelined or one by one, and reports them."""

import time
from functools import partial
from itertools import groupby

from migrator.domain.backoff import Backoff
from migrator.domain.history import History
from migrator.domain.model import Step
from migrator.engine.plan import is_pipelineable
from migrator.engine.plan_progress import PlanProgress
from migrator.errors import (
    ConnectionLostError,
    ContentionError,
    MigratorError,
    ReadOnlyServerError,
)
from migrator.events.base import Observer
from migrator.events.factories import (
    commit_confirmed,
    commit_lost,
    step_failed,
    step_finished,
    step_skipped,
    step_started,
)
from migrator.pg.execution.executor import execute_step
from migrator.pg.execution.pipelined import NotPipelined, PipelinedExecutor
from migrator.pg.execution.retry import retry_on_contention
from migrator.pg.execution.server_messages import deduplicate
from migrator.pg.execution.statements import StatementExecutor
from migrator.process.cancellation import Cancellation


class StepRunner:
    """
    Takes the steps of *plan*, which was made from *history*; one for each run.

    A session may die under it. Then the next `run` takes up what is left, by another
    executor, once `resume` has said what the table says.
    """

    def __init__(
        self,
        plan: tuple[Step, ...],
        history: History,
        *,
        patience: Backoff,
        observe: Observer,
        cancellation: Cancellation,
    ) -> None:
        self._progress = PlanProgress(plan, history)
        self._history = history
        self._patience = patience
        self._observe = observe
        self._cancellation = cancellation
        self._current: Step | None = None
        self._since = 0.0
        self._fresh: bool
        """Whether nothing has run yet: lock and session are as they were made."""

    @property
    def steps_taken(self) -> tuple[Step, ...]:
        """Return the steps that we have taken."""
        return self._progress.taken

    @property
    def steps_done(self) -> int:
        """Return how many steps are through, whoever has taken them."""
        return self._progress.done

    @property
    def next_step(self) -> Step | None:
        """Return the step that runs or would run next; None at the end."""
        return self._current or next(iter(self._progress.left), None)

    def run(self, executor: StatementExecutor, *, pipeline: bool) -> None:
        """
        Take all steps that are left.

        Raises:
            MigratorError: As `execute_step`; what was committed before stays.
        """
        self._fresh = True
        left = self._progress.left
        for ride, steps in groupby(
            left, lambda step: pipeline and is_pipelineable(step)
        ):
            if ride:
                self._run_pipelined(executor, tuple(steps))
            else:
                for step in steps:
                    self._prepare(executor, step)
                    self._step_started(step)
                    self._run_one(executor, step)

    def complete(self, now: History) -> bool:
        """Return whether nothing is left by what the table says *now*."""
        return self._progress.complete(now)

    def resume(self, now: History) -> None:
        """
        Go by what the table says *now*, and tell what of it is news.

        It is to be believed only when none of our lost sessions can change it any more.
        """
        news, self._history = self._progress.diff(now), now
        self._progress.apply(news)
        for step in news.lost:
            self._observe(commit_lost(step))
        for step in news.confirmed:
            self._commit_confirmed(step)
        for step in news.others:
            self._observe(step_skipped(step, now.current, ran=False))
        self._current = None

    def emit_failure(self, error: MigratorError) -> None:
        """Report that the current step, if there is one, failed with *error*."""
        if self._current is not None:
            took_s = time.monotonic() - self._since
            self._observe(step_failed(self._current, error, took_s))
            self._current = None

    def _run_pipelined(
        self, executor: StatementExecutor, steps: tuple[Step, ...]
    ) -> None:
        streamer = PipelinedExecutor(
            executor, self._step_started, self._progress.send, self._step_finished
        )
        while steps:
            self._prepare(executor, steps[0])
            try:
                alone = streamer.run(steps)
            except MigratorError as error:
                self._step_failed(error)
                raise
            if alone is None:
                return
            self._rerun(executor, alone)
            steps = steps[steps.index(alone.step) + 1 :]

    def _prepare(self, executor: StatementExecutor, step: Step) -> None:
        """See that the lock is ours still, and put the session right."""
        if not self._fresh:
            executor.lock.check()
            executor.reset_session(step)
        self._fresh = False

    def _rerun(self, executor: StatementExecutor, alone: NotPipelined) -> None:
        """Take by itself a step that was begun in a stream and rolled back."""
        executor.reset_session(alone.step)
        observe = self._observe
        if alone.error is None:
            observe = deduplicate(observe, alone.finished_statements)
        self._run_one(executor._replace(observe=observe), alone.step, met=alone.error)

    def _run_one(
        self,
        executor: StatementExecutor,
        step: Step,
        *,
        met: ContentionError | None = None,
    ) -> None:
        self._progress.send(step)
        try:
            taken = retry_on_contention(
                partial(execute_step, executor),
                step,
                patience=self._patience,
                observe=self._observe,
                cancellation=self._cancellation,
                since=self._since,
                met=met,
            )
        except MigratorError as error:
            self._step_failed(error)
            raise
        if taken:
            self._step_finished(step)
        else:
            self._progress.end(step, ours=False)
            self._current, self._history = None, self._history.after(step)
            self._observe(step_skipped(step, self._history.current))

    def _step_started(self, step: Step) -> None:
        self._current, self._since = step, time.monotonic()
        self._observe(step_started(step))

    def _step_finished(self, step: Step) -> None:
        self._progress.end(step, ours=True)
        self._current, self._history = None, self._history.after(step)
        self._emit_applied(step)

    def _commit_confirmed(self, step: Step) -> None:
        if step is not self._current:
            self._step_started(step)
        self._observe(commit_confirmed(step))
        self._emit_applied(step)

    def _emit_applied(self, step: Step) -> None:
        took_s = time.monotonic() - self._since
        self._observe(step_finished(step, self._history.current, took_s))

    def _step_failed(self, error: MigratorError) -> None:
        """Report that the current step failed, unless a new session may run it."""
        if not isinstance(error, (ConnectionLostError, ReadOnlyServerError)):
            self.emit_failure(error)

"""The steps of a plan, taken in one stream or one by one, and told."""

import time
from itertools import groupby

from migrator.domain.backoff import Backoff
from migrator.domain.history import History
from migrator.domain.model import Step
from migrator.engine.plan import rides
from migrator.engine.plan_progress import Progress
from migrator.errors import (
    ConnectionLostError,
    ContentionError,
    MigratorError,
    ReadOnlyServerError,
)
from migrator.events.base import Observer
from migrator.events.factories import (
    commit_found,
    commit_vanished,
    step_failed,
    step_skipped,
    step_started,
    step_taken,
)
from migrator.pg.execution.pipelined import Alone, Streamer
from migrator.pg.execution.retry import retrying
from migrator.pg.execution.server_messages import hushed
from migrator.pg.execution.statements import Executor
from migrator.process.cancellation import Cancellation


class Walk:
    """
    Takes the steps of *plan*, which was made from *history*; one for each run.

    A session may die under it. Then the next `go` takes up what is left, by another
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
        self._progress = Progress(plan, history)
        self._history = history
        self._patience = patience
        self._observe = observe
        self._cancellation = cancellation
        self._current: Step | None = None
        self._since = 0.0
        self._fresh: bool
        """Whether nothing has run yet: lock and session are as they were made."""

    @property
    def taken(self) -> tuple[Step, ...]:
        """Return the steps that we have taken."""
        return self._progress.taken

    @property
    def done(self) -> int:
        """Return how many steps are through, whoever has taken them."""
        return self._progress.done

    @property
    def next(self) -> Step | None:
        """Return the step that runs or would run next; None at the end."""
        return self._current or next(iter(self._progress.left), None)

    def go(self, executor: Executor, *, pipeline: bool) -> None:
        """
        Take all steps that are left.

        Raises:
            MigratorError: As `Executor.take`; what was committed before stays.
        """
        self._fresh = True
        left = self._progress.left
        for ride, steps in groupby(left, lambda step: pipeline and rides(step)):
            if ride:
                self._stream(executor, tuple(steps))
            else:
                for step in steps:
                    self._prepare(executor, step)
                    self._begun(step)
                    self._alone(executor, step)

    def complete(self, now: History) -> bool:
        """Tell whether nothing is left by what the table says *now*."""
        return self._progress.complete(now)

    def resume(self, now: History) -> None:
        """
        Go by what the table says *now*, and tell what of it is news.

        It is to be believed only when none of our lost sessions can change it any more.
        """
        news, self._history = self._progress.news(now), now
        self._progress.learn(news)
        for step in news.vanished:
            self._observe(commit_vanished(step))
        for step in news.found:
            self._found(step)
        for step in news.others:
            self._observe(step_skipped(step, now.current, ran=False))
        self._current = None

    def failed(self, error: MigratorError) -> None:
        """Tell that the current step, if there is one, has failed with *error*."""
        if self._current is not None:
            took_s = time.monotonic() - self._since
            self._observe(step_failed(self._current, error, took_s))
            self._current = None

    def _stream(self, executor: Executor, steps: tuple[Step, ...]) -> None:
        streamer = Streamer(executor, self._begun, self._progress.send, self._ended)
        while steps:
            self._prepare(executor, steps[0])
            try:
                alone = streamer.take(steps)
            except MigratorError as error:
                self._stopped(error)
                raise
            if alone is None:
                return
            self._again(executor, alone)
            steps = steps[steps.index(alone.step) + 1 :]

    def _prepare(self, executor: Executor, step: Step) -> None:
        """See that the lock is ours still, and put the session right."""
        if not self._fresh:
            executor.hold.check()
            executor.settle(step)
        self._fresh = False

    def _again(self, executor: Executor, alone: Alone) -> None:
        """Take by itself a step that was begun in a stream and rolled back."""
        executor.settle(alone.step)
        observe = self._observe
        if alone.error is None:
            observe = hushed(observe, alone.told)
        self._alone(executor._replace(observe=observe), alone.step, met=alone.error)

    def _alone(
        self,
        executor: Executor,
        step: Step,
        *,
        met: ContentionError | None = None,
    ) -> None:
        self._progress.send(step)
        try:
            taken = retrying(
                executor.take,
                step,
                patience=self._patience,
                observe=self._observe,
                cancellation=self._cancellation,
                since=self._since,
                met=met,
            )
        except MigratorError as error:
            self._stopped(error)
            raise
        if taken:
            self._ended(step)
        else:
            self._progress.end(step, ours=False)
            self._current, self._history = None, self._history.after(step)
            self._observe(step_skipped(step, self._history.current))

    def _begun(self, step: Step) -> None:
        self._current, self._since = step, time.monotonic()
        self._observe(step_started(step))

    def _ended(self, step: Step) -> None:
        self._progress.end(step, ours=True)
        self._current, self._history = None, self._history.after(step)
        self._tell_taken(step)

    def _found(self, step: Step) -> None:
        if step is not self._current:
            self._begun(step)
        self._observe(commit_found(step))
        self._tell_taken(step)

    def _tell_taken(self, step: Step) -> None:
        took_s = time.monotonic() - self._since
        self._observe(step_taken(step, self._history.current, took_s))

    def _stopped(self, error: MigratorError) -> None:
        """Tell that the current step has failed, unless a new session may take it."""
        if not isinstance(error, (ConnectionLostError, ReadOnlyServerError)):
            self.failed(error)

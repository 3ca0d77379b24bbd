"""The steps of a plan, taken in one stream or one by one, and told."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import ContentionError, MigratorError
from migrator.events.base import Observer
from migrator.model import History, Step
from migrator.pg.execute import Executor
from migrator.pg.retry import retrying
from migrator.pg.saying import hushed
from migrator.pg.stream import Alone, Streamer
from migrator.plan import rides
from migrator.telling import step_failed, step_skipped, step_started, step_taken


class Walk:
    """Takes steps with *executor*, from what *history* says; one for each run."""

    def __init__(
        self, executor: Executor, history: History, *, patience: Backoff
    ) -> None:
        self._executor = executor
        self._history = history
        self._patience = patience
        self._observe: Observer = executor.observe
        self._cancellation: Cancellation = executor.cancellation
        self._taken: list[Step] = []
        self._current: Step | None = None
        self._since = 0.0
        self._fresh = True
        """Whether nothing has run yet: lock and session are as they were made."""

    def take(self, plan: Sequence[Step], *, pipeline: bool) -> tuple[Step, ...]:
        """
        Take all steps of *plan* and return those that nobody else has taken.

        Raises:
            MigratorError: As `Executor.take`; what was committed before stays.
        """
        for ride, steps in groupby(plan, lambda step: pipeline and rides(step)):
            if ride:
                self._stream(tuple(steps))
            else:
                for step in steps:
                    self._prepare(step)
                    self._begun(step)
                    self._alone(step)
        return tuple(self._taken)

    def _stream(self, steps: tuple[Step, ...]) -> None:
        streamer = Streamer(self._executor, self._begun, self._ended)
        while steps:
            self._prepare(steps[0])
            try:
                alone = streamer.take(steps)
            except MigratorError as error:
                self._failed(error)
                raise
            if alone is None:
                return
            self._again(alone)
            steps = steps[steps.index(alone.step) + 1 :]

    def _prepare(self, step: Step) -> None:
        """See that the lock is ours still, and put the session right."""
        if not self._fresh:
            self._executor.hold.check()
            self._executor.settle(step)
        self._fresh = False

    def _again(self, alone: Alone) -> None:
        """Take by itself a step that was begun in a stream and rolled back."""
        self._executor.settle(alone.step)
        observe = self._observe
        if alone.error is None:
            observe = hushed(observe, alone.told)
        self._alone(alone.step, observe=observe, met=alone.error)

    def _alone(
        self,
        step: Step,
        *,
        observe: Observer | None = None,
        met: ContentionError | None = None,
    ) -> None:
        executor = replace(self._executor, observe=observe or self._observe)
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
            self._failed(error)
            raise
        if taken:
            self._ended(step)
        else:
            self._current, self._history = None, self._history.after(step)
            self._observe(step_skipped(step, self._history.current))

    def _begun(self, step: Step) -> None:
        self._current, self._since = step, time.monotonic()
        self._observe(step_started(step))

    def _ended(self, step: Step) -> None:
        self._current, self._history = None, self._history.after(step)
        self._taken.append(step)
        took_s = time.monotonic() - self._since
        self._observe(step_taken(step, self._history.current, took_s))

    def _failed(self, error: MigratorError) -> None:
        if self._current is not None:
            took_s = time.monotonic() - self._since
            self._observe(step_failed(self._current, error, took_s))

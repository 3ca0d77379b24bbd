"""Attempts at a migration that meets other sessions' locks, and the pauses between."""

import time

import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.facts import Place, ServerMessage
from migrator.domain.model import Direction, Step
from migrator.errors import ContentionError
from migrator.events.base import ignore_events
from migrator.pg.execution.retry import retry_on_contention
from migrator.process.cancellation import Cancellation
from tests.helpers.support import Recorder, migration


STEP = Step(migration(1, "SELECT 1"), Direction.UP)
BACKOFF = Backoff(total_s=1000, initial_s=0.5, max_s=30)


def contention(sqlstate: str) -> ContentionError:
    """What an attempt met."""
    message = ServerMessage(sqlstate=sqlstate, message="in the way")
    return ContentionError(Place(1, "1.sql", 1, 1, 1), message, attempts=1)


@pytest.mark.parametrize(
    ("sqlstate", "least_s"), [("55P03", 5), ("40P01", 5), ("40001", 0.25)]
)
def test_a_pause_is_as_long_as_the_wait_before_it(
    sqlstate: str, least_s: float
) -> None:
    """What queued behind our wait gets the lock; nobody waits for a snapshot."""
    slept: list[float] = []

    retry_on_contention(
        lambda step: True,
        STEP,
        backoff=BACKOFF,
        observe=ignore_events,
        cancellation=Cancellation(),
        since=time.monotonic() - 5,
        first_error=contention(sqlstate),
        sleep=slept.append,
    )

    assert [least_s <= each <= 2.1 * least_s for each in slept] == [True]


def test_a_later_attempt_counts_by_itself() -> None:
    """One that failed at once is tried again soon, whatever the one before it took."""
    slept: list[float] = []
    outcomes = iter([contention("55P03"), contention("55P03"), None])
    recorder = Recorder()

    def execute(step: Step) -> bool:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return True

    recorded = retry_on_contention(
        execute,
        STEP,
        backoff=BACKOFF,
        observe=recorder,
        cancellation=Cancellation(),
        since=time.monotonic(),
        sleep=slept.append,
    )

    assert recorded
    assert [each <= 1 for each in slept] == [True, True]
    assert [event.attempt for event in recorder.of("migration.retried")] == [1, 2]

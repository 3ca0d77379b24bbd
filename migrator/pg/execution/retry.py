"""Retries a migration after a lock timeout, deadlock or serialization failure."""

import time
from collections.abc import Callable

from migrator.domain.backoff import Backoff
from migrator.domain.model import Step
from migrator.errors import ContentionError
from migrator.events.base import Observer
from migrator.events.migration import MigrationRetried
from migrator.pg.errors.sqlstates import SERIALIZATION_FAILURE
from migrator.process.cancellation import Cancellation


def retry_on_contention(
    take: Callable[[Step], bool],
    step: Step,
    *,
    patience: Backoff,
    observe: Observer,
    cancellation: Cancellation,
    since: float,
    met: ContentionError | None = None,
    sleep: Callable[[float], None] | None = None,
) -> bool:
    """
    Return the result of *take* for *step*, retried on contention.

    Contention only (`migrator.pg.errors.translate.is_contention`): *take* has rolled
    the whole migration back then. *since* is when the first attempt began, on the
    monotonic clock, and *met* what it has met if it is over already.
    *sleep* is for tests.

    A pause is at least as long as the attempt before it, or half of the longest of
    *patience*: whoever wants the table queues behind us while we wait for it. A
    serialization failure has kept nobody waiting.

    Raises:
        ContentionError: *patience* ran out; it tells the number of attempts.
    """
    stalled_s, attempt = 0.0, 1
    delays = patience.delays(least=lambda: stalled_s)
    blocker: str | None = None
    while True:
        try:
            if met is not None:
                raise met
            return take(step)
        except ContentionError as error:
            met, blocker = None, error.blocker or blocker
            stalled_s = _stalled_s(error, since)
            delay = next(delays, None)
            if delay is None:
                ended = ContentionError(
                    error.place, error.server, attempts=attempt, blocker=blocker
                )
                ended.advice = error.advice
                raise ended from error
            observe(_retried_event(error, attempt, delay))
            (sleep or cancellation.sleep)(delay)
            attempt, since = attempt + 1, time.monotonic()


def _stalled_s(error: ContentionError, since: float) -> float:
    """Return how long, at most, an attempt that began *since* then held others up."""
    waited = error.server.sqlstate != SERIALIZATION_FAILURE
    return time.monotonic() - since if waited else 0.0


def _retried_event(
    error: ContentionError, attempt: int, delay: float
) -> MigrationRetried:
    return MigrationRetried(
        version=error.place.version,
        path=error.place.path,
        line=error.place.line,
        attempt=attempt,
        next_attempt_s=round(delay, 3),
        sqlstate=error.server.sqlstate,
        reason=error.server.message,
        blocker=error.blocker,
    )

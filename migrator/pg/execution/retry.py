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
    execute: Callable[[Step], bool],
    step: Step,
    *,
    backoff: Backoff,
    observe: Observer,
    cancellation: Cancellation,
    since: float,
    first_error: ContentionError | None = None,
    sleep: Callable[[float], None] | None = None,
) -> bool:
    """
    Return the result of *execute* for *step*, retried on contention.

    Contention only (`migrator.pg.errors.translate.is_contention`): *execute* has
    rolled the whole migration back then. *since* is when the first attempt began, on
    the monotonic clock; *first_error* is how it ended, if it was made already.
    *sleep* is for tests.

    A pause is at least as long as the attempt before it, or half of *backoff*'s longest
    step: other sessions queue behind us while we wait for a lock. A serialization
    failure has kept nobody waiting.

    Raises:
        ContentionError: *backoff* ran out; it has the number of attempts.
    """
    stalled_s, attempt = 0.0, 1
    delays = backoff.delays(minimum_s=lambda: stalled_s)
    blocker: str | None = None
    while True:
        try:
            if first_error is not None:
                raise first_error
            return execute(step)
        except ContentionError as error:
            first_error, blocker = None, error.blocker or blocker
            stalled_s = _stalled_s(error, since)
            delay = next(delays, None)
            if delay is None:
                raise _final_error(error, attempt, blocker) from error
            observe(_retried_event(error, attempt, delay))
            (sleep or cancellation.sleep)(delay)
            attempt, since = attempt + 1, time.monotonic()


def _final_error(
    error: ContentionError, attempts: int, blocker: str | None
) -> ContentionError:
    final = ContentionError(
        error.place, error.server, attempts=attempts, blocker=blocker
    )
    final.advice = error.advice
    return final


def _stalled_s(error: ContentionError, since: float) -> float:
    """Return how long an attempt that began at *since* kept others waiting, at most."""
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

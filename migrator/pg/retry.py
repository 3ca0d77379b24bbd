"""A migration that met other sessions' locks runs again, from its beginning."""

from collections.abc import Callable

from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import ContentionError
from migrator.events.base import Observer
from migrator.events.migration import MigrationRetried
from migrator.model import Step


def retrying(
    take: Callable[[Step], bool],
    step: Step,
    *,
    patience: Backoff,
    observe: Observer,
    cancellation: Cancellation,
    met: ContentionError | None = None,
    sleep: Callable[[float], None] | None = None,
) -> bool:
    """
    Return what *take* returns for *step*, tried again while locks stand in the way.

    Lock timeouts, deadlocks and serialization failures only (55P03, 40P01, 40001):
    *take* has rolled the whole migration back then. *met* is what a first attempt has
    met already. *sleep* is for tests.

    Raises:
        ContentionError: *patience* ran out; it tells the number of attempts.
    """
    delays, attempt = patience.delays(), 1
    blocker: str | None = None
    while True:
        try:
            if met is not None:
                raise met
            return take(step)
        except ContentionError as error:
            met, blocker = None, error.blocker or blocker
            delay = next(delays, None)
            if delay is None:
                ended = ContentionError(
                    error.place, error.server, attempts=attempt, blocker=blocker
                )
                ended.sequel = error.sequel
                raise ended from error
            observe(_retried(error, attempt, delay))
            (sleep or cancellation.sleep)(delay)
            attempt += 1


def _retried(error: ContentionError, attempt: int, delay: float) -> MigrationRetried:
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

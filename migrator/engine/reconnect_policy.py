"""What a lost session comes to: another one soon, or the end of the run."""

from collections import Counter
from collections.abc import Callable, Iterator

from migrator.domain.model import Step
from migrator.engine.wait_budget import WaitBudget
from migrator.errors import (
    ConnectionLostError,
    LockLostError,
    MigratorError,
    ReadOnlyServerError,
    StatementFailedError,
    TrackingTableLockedError,
    UnavailableError,
)
from migrator.events.base import Event
from migrator.events.database import ConnectionLost, ConnectionRetried
from migrator.pg.errors.remedies import SPARE_SESSIONS, find_terminator


ATTEMPTS = 3
"""How often one migration is begun whose session dies: it may be what kills it."""

Lost = ConnectionLostError | UnavailableError | TrackingTableLockedError


def catch_loss(work: Callable[[], None]) -> Lost | None:
    """Do *work*, and return what ended it, if it may go on in another session."""
    try:
        work()
    except (ConnectionLostError, UnavailableError, TrackingTableLockedError) as error:
        return error
    return None


class ReconnectPolicy:
    """Counts the losses of one run, and spaces what follows them by *allowance*."""

    def __init__(self, allowance: WaitBudget) -> None:
        self._allowance = allowance
        self._last: ConnectionLostError | None = None
        self._met = 0
        """How many there have been, of all kinds."""

        self._deaths: Counter[int] = Counter()
        """How often sessions have died, by how many steps were done then."""

        self._delays: Iterator[float] | None = None
        self._delays_at = -1
        """How many steps were done when the delays began."""

    def delay(
        self,
        error: Lost,
        *,
        done: int,
        going: bool,
        taken: bool,
        step: Step | None = None,
    ) -> float:
        """
        Return how long to wait before another session, or raise what *error* comes to.

        Args:
            error: What was met.
            done: How many steps are through, -1 before there is a plan.
            going: Whether steps were being taken: only then one may be the cause.
            taken: Whether this run has taken any.
            step: The one that was taken, or is the next.

        Raises:
            ConnectionLostError: A session has died for good; or the third one at the
                same step.
            StatementFailedError: The third one at a step that terminates sessions.
            UnavailableError, TrackingTableLockedError: As *error* says, and the
                allowance is spent or no session has died.
        """
        self._met += 1
        if isinstance(error, TrackingTableLockedError) and (
            going or self._last is None
        ):
            raise error
        if isinstance(error, ConnectionLostError):
            self._count(error, done=done, going=going, step=step)
        with self._allowance.waiting():
            delay = next(self._growing_delays(done), None)
        if delay is None:
            raise self._final_error(error, taken=taken) from error
        return delay

    def lost_event(
        self, error: Lost, delay: float, *, done: int, step: Step | None
    ) -> Event:
        """Return the event of *error*, met at *step*, after which *delay* is waited."""
        if step is None and not isinstance(error, ConnectionLostError):
            return ConnectionRetried(
                attempt=self._met,
                waited_s=round(self._allowance.spent_s, 3),
                next_attempt_s=round(delay, 3),
                reason=error.server.message,
                sqlstate=error.server.sqlstate,
            )
        return ConnectionLost(
            reason=error.server.message,
            sqlstate=error.server.sqlstate,
            version=step.migration.version if step else None,
            path=step.migration.path if step else None,
            attempt=self._deaths[done],
            next_attempt_s=round(delay, 3),
        )

    def _count(
        self, error: ConnectionLostError, *, done: int, going: bool, step: Step | None
    ) -> None:
        self._last = error
        self._deaths[done] += going
        if not error.is_recoverable:
            raise error
        if self._deaths[done] == ATTEMPTS:
            raise _terminated(error, step) or error.with_consequence(
                _KILLING
            ) from error

    def _growing_delays(self, done: int) -> Iterator[float]:
        """Return delays that grow until another step is done."""
        if self._delays is None or self._delays_at != done:
            self._delays, self._delays_at = self._allowance.delays(), done
        return self._delays

    def _final_error(self, error: Lost, *, taken: bool) -> MigratorError:
        if self._last is not None and isinstance(error, UnavailableError):
            spent_s = self._allowance.spent_s
            return self._last.with_consequence(
                _NO_OTHER.format(spent_s, error.server.message)
            )
        if isinstance(error, ReadOnlyServerError) and taken:
            return ConnectionLostError(error.server, doing=_SEEKING)
        return error


def _terminated(error: ConnectionLostError, step: Step | None) -> MigratorError | None:
    """Return the error of a file that ends the session of its own migration lock."""
    if step is None or not isinstance(error, LockLostError):
        return None
    place = find_terminator(step)
    if place is None or not step.migration.transaction:
        return None
    return StatementFailedError(place, error.server, remedy=SPARE_SESSIONS)


_KILLING = f"; that was attempt {ATTEMPTS} at this migration, which may be the cause"
_NO_OTHER = "; no other one within {:.0f} s: {}"
_SEEKING = "waiting for a server that takes writes"

"""Decides whether a run connects again after a lost session, and when."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from migrator.domain.facts import Place
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
from migrator.errors.runtime import NOT_APPLIED
from migrator.events.base import Event
from migrator.events.database import ConnectionLost, ConnectionRetried
from migrator.pg.errors.remedies import SPARE_SESSIONS_REMEDY
from migrator.pg.execution.partial_errors import half_applied_error


ATTEMPTS = 3
"""How often a migration is started whose session ends: it may be the cause."""

Lost = ConnectionLostError | UnavailableError | TrackingTableLockedError
"""What another session may overcome."""


class Position(NamedTuple):
    """Where a run was when a session was lost."""

    done: int
    """How many steps were done, by whomever; -1 before there is a plan."""

    executing: bool
    """Whether a step was executing: only then it may be what ended the session."""

    applied_any: bool = False
    """Whether this run has executed a step to its end."""

    step: Step | None = None
    """The step that was executing, or is the next."""


class ReconnectPolicy:
    """Counts the losses of one run, and spaces the attempts by its *budget*."""

    def __init__(self, budget: WaitBudget) -> None:
        self._budget = budget
        self._last: ConnectionLostError | None = None
        self._losses = 0
        """How many there have been, of all kinds."""

        self._deaths: Counter[int] = Counter()
        """How many sessions have ended, by the number of steps done then."""

        self._lost_locks: defaultdict[int, list[Place | None]] = defaultdict(list)
        """After which statements the lock's session was gone, by the steps done."""

        self._delays: Iterator[float] | None = None
        self._delays_at = -1
        """How many steps were done when the delays began."""

    def delay(self, error: Lost, at: Position) -> float:
        """
        Return how many seconds to wait before another session after *error*.

        Raises:
            ConnectionLostError: No session may follow, or this was the third one that
                ended while the same step was executing.
            StatementFailedError: The same, and the step terminates other sessions.
            UnavailableError, TrackingTableLockedError: *error* itself, when the budget
                is spent, or when no lost session of ours can be the reason.
        """
        self._losses += 1
        if isinstance(error, TrackingTableLockedError) and (
            at.executing or self._last is None
        ):
            raise error
        if isinstance(error, ConnectionLostError):
            self._count(error, at)
        with self._budget.waiting():
            delay = next(self._growing_delays(at.done), None)
        if delay is None:
            raise self._final_error(error, applied_any=at.applied_any) from error
        return delay

    def is_lock_suspect(self, done: int) -> bool:
        """Return whether the step after *done* others may end the lock's session."""
        return bool(self._lost_locks[done])

    def lost_event(self, error: Lost, delay: float, at: Position) -> Event:
        """Return the event that reports *error* and the next attempt in *delay* s."""
        step = at.step
        if step is None and not isinstance(error, ConnectionLostError):
            return ConnectionRetried(
                attempt=self._losses,
                waited_s=round(self._budget.spent_s, 3),
                next_attempt_s=round(delay, 3),
                reason=error.server.message,
                sqlstate=error.server.sqlstate,
            )
        return ConnectionLost(
            reason=error.server.message,
            sqlstate=error.server.sqlstate,
            version=step.migration.version if step else None,
            path=step.migration.path if step else None,
            attempt=self._deaths[at.done],
            next_attempt_s=round(delay, 3),
        )

    def _count(self, error: ConnectionLostError, at: Position) -> None:
        self._last = error
        self._deaths[at.done] += at.executing
        if at.executing and isinstance(error, LockLostError):
            self._lost_locks[at.done].append(error.place)
        if not error.is_recoverable:
            raise error
        if self._deaths[at.done] == ATTEMPTS:
            final = _termination_error(error, at.step, self._lost_locks[at.done])
            raise final or error.with_consequence(_KILLING) from error

    def _growing_delays(self, done: int) -> Iterator[float]:
        """Return delays that grow until another step is done."""
        if self._delays is None or self._delays_at != done:
            self._delays, self._delays_at = self._budget.delays(), done
        return self._delays

    def _final_error(self, error: Lost, *, applied_any: bool) -> MigratorError:
        if self._last is not None and isinstance(error, UnavailableError):
            spent_s = self._budget.spent_s
            return self._last.with_consequence(
                _NO_OTHER.format(spent_s, error.server.message)
            )
        if isinstance(error, ReadOnlyServerError) and applied_any:
            return ConnectionLostError(error.server, doing=_SEEKING)
        return error


def _termination_error(
    error: ConnectionLostError, step: Step | None, places: list[Place | None]
) -> MigratorError | None:
    """
    Return the error of a statement after which the lock's session was gone each time.

    None unless the last two of *places*, where the lock was queried after each
    statement, are the same one.
    """
    place = places[-1] if places else None
    if step is None or place is None or places[-2:] != [place, place]:
        return None
    failed = StatementFailedError(place, error.server, remedy=SPARE_SESSIONS_REMEDY)
    if step.migration.transaction:
        return failed
    failed.state = NOT_APPLIED
    if place.statement == 1:
        return failed
    part = f"statement {place.statement} of a NO TRANSACTION migration"
    remedy = f"what ran before it is applied and recorded; {SPARE_SESSIONS_REMEDY}"
    return half_applied_error(failed, place, part, remedy=remedy)


_KILLING = f"; that was attempt {ATTEMPTS} at this migration, which may be the cause"
_NO_OTHER = "; no other one within {:.0f} s: {}"
_SEEKING = "waiting for a server that takes writes"

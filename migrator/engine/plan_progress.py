"""Which steps of a plan are done: by our own count, and by what the table says."""

from collections.abc import Iterable
from typing import NamedTuple

from migrator.domain.history import History
from migrator.domain.model import Direction, Step


_Key = tuple[int, Direction]


class PlanDiff(NamedTuple):
    """Where the table's account of a plan differs from our own count."""

    lost: tuple[Step, ...]
    """Counted as done, and not in the table any more."""

    confirmed: tuple[Step, ...]
    """In the table and not counted yet; this run has sent all of them."""

    others: tuple[Step, ...]
    """In the table and not counted yet; another run has executed them."""


class PlanProgress:
    """Counts the steps of *plan*, which was made from the history *before* it."""

    def __init__(self, plan: tuple[Step, ...], before: History) -> None:
        self._plan = plan
        self._before = frozenset(before.rows)
        self._sent: set[_Key] = set()
        self._done: dict[_Key, bool] = {}
        """The steps that are done, and whether this run has executed them."""

    @property
    def remaining(self) -> tuple[Step, ...]:
        """Return the steps that are not done, in their order."""
        return tuple(step for step in self._plan if _key(step) not in self._done)

    @property
    def applied(self) -> tuple[Step, ...]:
        """Return the steps that this run has executed, in their order."""
        return tuple(step for step in self._plan if self._done.get(_key(step)))

    @property
    def done_count(self) -> int:
        """Return how many steps are done, by this run or another."""
        return len(self._done)

    def mark_sent(self, steps: Iterable[Step]) -> None:
        """Count *steps* as sent to their end: the server may have committed them."""
        self._sent.update(map(_key, steps))

    def mark_done(self, step: Step, *, ours: bool) -> None:
        """Count *step* as done, by this run (*ours*) or another."""
        self._done[_key(step)] = ours

    def diff(self, now: History) -> PlanDiff:
        """Return where the history *now* differs from what is counted."""
        recorded = {_key(step) for step in self._recorded_steps(now)}
        lost, new = self._done.keys() - recorded, recorded - self._done.keys()
        sent = new & self._sent
        return PlanDiff(
            lost=tuple(s for s in self._plan if _key(s) in lost),
            confirmed=tuple(s for s in self._plan if _key(s) in sent),
            others=tuple(s for s in self._plan if _key(s) in new - sent),
        )

    def is_complete(self, now: History) -> bool:
        """Return whether the history *now* has all of the plan."""
        return len(tuple(self._recorded_steps(now))) == len(self._plan)

    def apply(self, diff: PlanDiff) -> None:
        """Count *diff*; with it, the outcome of all that was sent is known."""
        for step in diff.lost:
            del self._done[_key(step)]
        for step in diff.confirmed:
            self.mark_done(step, ours=True)
        for step in diff.others:
            self.mark_done(step, ours=False)
        self._sent.clear()

    def _recorded_steps(self, now: History) -> Iterable[Step]:
        """
        Yield the steps that are done by what the history *now* says.

        `redo` reverts a version and applies it again: then its row is another one.
        """
        again = {s.migration.version for s in self._plan if s.direction is Direction.UP}
        rows: dict[int, list[bool]] = {}
        for row in now.rows:
            rows.setdefault(row.version, []).append(row not in self._before)
        for step in self._plan:
            version = step.migration.version
            fresh = rows.get(version, [])
            if step.direction is Direction.UP:
                if any(fresh):
                    yield step
            elif not fresh or (version in again and all(fresh)):
                yield step


def _key(step: Step) -> _Key:
    return step.migration.version, step.direction

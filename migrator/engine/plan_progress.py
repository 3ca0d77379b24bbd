"""How far a plan has come: by our own count, and by what the table says of it."""

from collections.abc import Iterable
from typing import NamedTuple

from migrator.domain.history import History
from migrator.domain.model import Direction, Step


_Key = tuple[int, Direction]


class PlanDiff(NamedTuple):
    """What the table says of a plan, as far as our own count does not."""

    lost: tuple[Step, ...]
    """They were through, and are in effect no more."""

    confirmed: tuple[Step, ...]
    """They are through, and we have sent all of them."""

    others: tuple[Step, ...]
    """They are through, and it was not we who have done it."""


class PlanProgress:
    """Counts the steps of *plan*, which was made from the history *before* it."""

    def __init__(self, plan: tuple[Step, ...], before: History) -> None:
        self._plan = plan
        self._before = frozenset(before.rows)
        self._sent: set[_Key] = set()
        self._done: dict[_Key, bool] = {}
        """What is through, and whether we have done it."""

    @property
    def left(self) -> tuple[Step, ...]:
        """Return the steps that are still to be taken, in their order."""
        return tuple(step for step in self._plan if _key(step) not in self._done)

    @property
    def taken(self) -> tuple[Step, ...]:
        """Return the steps that we have taken, in their order."""
        return tuple(step for step in self._plan if self._done.get(_key(step)))

    @property
    def done(self) -> int:
        """Return how many steps are through, whoever has taken them."""
        return len(self._done)

    def send(self, step: Step) -> None:
        """Count *step* as one that the server may have got to its end."""
        self._sent.add(_key(step))

    def end(self, step: Step, *, ours: bool) -> None:
        """Count *step* as through, and as *ours* or another run's."""
        self._done[_key(step)] = ours

    def diff(self, now: History) -> PlanDiff:
        """Return what the history *now* says that is not counted."""
        through = {_key(step) for step in self._recorded_steps(now)}
        fresh = [s for s in self._plan if _key(s) in through - self._done.keys()]
        return PlanDiff(
            lost=tuple(s for s in self._plan if _key(s) in self._done.keys() - through),
            confirmed=tuple(s for s in fresh if _key(s) in self._sent),
            others=tuple(s for s in fresh if _key(s) not in self._sent),
        )

    def complete(self, now: History) -> bool:
        """Return whether all of the plan is through by what the history *now* says."""
        return len(tuple(self._recorded_steps(now))) == len(self._plan)

    def apply(self, news: PlanDiff) -> None:
        """Count *news*; what was sent before is decided then."""
        for step in news.lost:
            del self._done[_key(step)]
        for step in news.confirmed:
            self.end(step, ours=True)
        for step in news.others:
            self.end(step, ours=False)
        self._sent.clear()

    def _recorded_steps(self, now: History) -> Iterable[Step]:
        """
        Yield the steps that are in effect by what the history *now* says.

        `redo` takes a version back and applies it again: then its row is another one.
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

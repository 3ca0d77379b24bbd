"""How long one run may wait for its server: one budget for all its waits."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from migrator.domain.backoff import Backoff


class WaitBudget:
    """
    What is left of *backoff*'s total time, of which *spent_s* is spent already.

    Only the time inside `waiting` is spent. *clock* is for tests.
    """

    def __init__(
        self,
        backoff: Backoff,
        *,
        spent_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backoff = backoff
        self._spent_s = spent_s
        self._clock = clock
        self._since: float | None = None
        """When the present wait began; None outside of one."""

    @property
    def spent_s(self) -> float:
        """Return how long all waits have lasted together."""
        now = 0.0 if self._since is None else self._clock() - self._since
        return self._spent_s + now

    @property
    def remaining(self) -> Backoff:
        """Return how to space attempts from now on."""
        total_s = max(0.0, self._backoff.total_s - self.spent_s)
        return self._backoff._replace(total_s=total_s)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Spend the time that the block takes."""
        self._since = self._clock()
        try:
            yield
        finally:
            self._spent_s, self._since = self.spent_s, None

    def delays(self) -> Iterator[float]:
        """Yield seconds to sleep before each attempt, 0 first, while time is left."""
        if self.remaining.total_s > 0:
            yield 0.0
        # by now the first attempt has spent some of it
        yield from self.remaining.delays(clock=lambda: self.spent_s)

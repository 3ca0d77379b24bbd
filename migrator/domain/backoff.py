"""Delays between attempts, as numbers."""

import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple


HEARTBEAT_S = 5.0
"""Between renewals of a lease; goose: lock/postgres.go, NewPostgresTableLocker."""


WATCH_S = (3.0, 30.0)
"""When progress is first reported, and the longest time between two such lines."""


class Backoff(NamedTuple):
    """How to space attempts: from *first_s*, doubling up to *most_s*, jittered."""

    total_s: float
    """How long to go on after the first attempt; 0 means one attempt only."""

    first_s: float = 0.1
    most_s: float = 2.0

    def delays(
        self,
        *,
        least: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> Iterator[float]:
        """
        Yield seconds to sleep before each next attempt, until *total_s* has passed.

        The time that attempts themselves take counts: *clock* is read, delays are
        not added up. Each delay is between half and the whole of its step, so that
        pods that started together drift apart. *least* is asked each time: the step is
        at least twice as long, or *most_s*. *clock* and *jitter* are for tests.
        """
        started, step = clock(), self.first_s
        while (left := self.total_s - (clock() - started)) > 0:
            step = max(step, min(2 * least(), self.most_s))
            yield min(jitter(step / 2, step), left)
            step = min(step * 2, self.most_s)

"""Intervals, and the delays between attempts."""

import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple


HEARTBEAT_S = 5.0
"""Between renewals of a lease; goose: lock/postgres.go, NewPostgresTableLocker."""

PROGRESS_INTERVALS_S = (3.0, 30.0)
"""When progress is first reported, and the longest time between two reports."""


class Backoff(NamedTuple):
    """Delays between attempts, from *initial_s*, doubling up to *max_s*, jittered."""

    total_s: float
    """How long to retry after the first attempt; 0 means one attempt only."""

    initial_s: float = 0.1
    max_s: float = 2.0

    def delays(
        self,
        *,
        minimum_s: Callable[[], float] = lambda: 0.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> Iterator[float]:
        """
        Yield the seconds to sleep before each attempt, until *total_s* has passed.

        The duration of the attempts counts too. Each delay is between half and the
        whole of its step, so that pods that started together do not retry together.
        Each step is at least twice the current value of *minimum_s*, or *max_s*.
        *clock* and *jitter* are for tests.
        """
        started, step = clock(), self.initial_s
        while (left_s := self.total_s - (clock() - started)) > 0:
            step = max(step, min(2 * minimum_s(), self.max_s))
            yield min(jitter(step / 2, step), left_s)
            step = min(step * 2, self.max_s)

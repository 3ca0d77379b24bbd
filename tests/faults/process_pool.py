"""Processes that try what is given to them, many at a time."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from statistics import median

from tests.faults.trial import Outcome, Trial, begin, took_s, tried


_WAITING = 40
"""How many runs may wait at the same time: a stalled one takes a second of no work."""

_COMPUTING = (os.cpu_count() or 1) + 1


def forking() -> ForkServerContext:
    """Return how processes are made: copies of one that has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "tests.faults.trial"])
    return context


class TrialPool:
    """A pool of processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def try_all(self, trials: Iterable[Trial]) -> list[Outcome]:
        """Return what comes of the trials."""
        return list(self._pool.map(tried, trials))

    def takes_s(self, trial: Trial) -> float:
        """Return how long an undisturbed process takes, where others run beside it."""
        return median(self._pool.map(took_s, [trial] * (4 * _COMPUTING)))


@contextmanager
def trial_pool() -> Iterator[TrialPool]:
    """Keep the processes for the length of the block."""
    context = forking()
    turns = context.Semaphore(_COMPUTING)
    with ProcessPoolExecutor(_WAITING, context, begin, (turns,)) as pool:
        yield TrialPool(pool)

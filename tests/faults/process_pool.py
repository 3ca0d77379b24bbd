"""Processes that try what is given to them, many at a time."""

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Semaphore
from statistics import median

from tests.faults.trial import Outcome, Trial, begin, took_s, tried


_WAITING = 40
"""How many runs may wait at the same time: a stalled one takes a second of no work."""

_PR_SET_PDEATHSIG = 1
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


def _begin(turns: Semaphore) -> None:
    """End with the process that forks, which ends with the tests, even if killed."""
    # prctl(2); Linux alone has it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    begin(turns)


@contextmanager
def trial_pool() -> Iterator[TrialPool]:
    """Keep the processes for the length of the block."""
    context = forking()
    turns = context.Semaphore(_COMPUTING)
    with ProcessPoolExecutor(_WAITING, context, _begin, (turns,)) as pool:
        yield TrialPool(pool)

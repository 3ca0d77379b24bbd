"""Processes that try what is given to them, many at a time."""

import multiprocessing
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from tests.faults.trial import Outcome, Trial, begin, tried


_WAITING = 24
"""How many runs may wait at the same time: a stalled one takes a second of no work."""


class Crew:
    """A pool of processes."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def try_all(self, trials: Iterable[Trial]) -> Iterator[Outcome]:
        """Yield what comes of the trials."""
        return self._pool.map(tried, trials)


@contextmanager
def crew() -> Iterator[Crew]:
    """Keep the processes for the length of the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.trial"])
    turns = context.Semaphore((os.cpu_count() or 1) + 1)
    with ProcessPoolExecutor(_WAITING, context, begin, (turns,)) as pool:
        yield Crew(pool)

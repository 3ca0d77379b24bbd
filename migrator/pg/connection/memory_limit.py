"""
Limits the memory and time that a server's answer may take.

libpq buffers an answer until it is complete. One that never ends, or announces a length
of a gigabyte, would exhaust the memory.
"""

import os
import resource
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg


LIMIT_MB = 128
"""The answer about a history of 100,000 migrations takes a fifth of it."""

_STATM = Path("/proc/self/statm")
_NO_MEMORY = "cannot allocate memory for input buffer"
"""libpq's message (fe-misc.c: pqCheckInBufferSpace); the wheel has no translations."""

_TOO_MUCH = f"the server's answer exceeds {LIMIT_MB} MB"

T = TypeVar("T")


class UnusableServerError(psycopg.OperationalError):
    """The server's answers are not those of a usable PostgreSQL server."""


class AnswerTooLargeError(UnusableServerError):
    """The server's answer exceeds the memory limit."""


class MemoryGrowth:
    """The growth of this process's memory since the object was created."""

    def __init__(self) -> None:
        self._limit_mb = _resident_mb() + LIMIT_MB

    def check(self) -> None:
        """
        Check the growth; called between two reads from the server.

        Raises:
            AnswerTooLargeError: It exceeds LIMIT_MB.
        """
        if _resident_mb() > self._limit_mb:
            raise AnswerTooLargeError(_TOO_MUCH)


@contextmanager
def memory_limit() -> Iterator[None]:
    """
    Limit memory growth in the block to LIMIT_MB, if this is the only thread.

    libpq allocates the length that a message announces, and reads as long as data
    arrives (fe-misc.c: pqReadData): up to a gigabyte before it returns. The limit
    applies to the whole process, so it is not set beside other threads.

    Raises:
        AnswerTooLargeError: More memory was needed.
    """
    if threading.active_count() > 1 or not _STATM.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = _pages(0) * resource.getpagesize() + (LIMIT_MB << 20)
    if not 0 <= soft <= limit:  # RLIM_INFINITY is -1
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    except (MemoryError, psycopg.Error) as error:
        if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
            raise AnswerTooLargeError(_TOO_MUCH) from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def limit_memory(gen: Generator[Any, Any, T], limit_s: float) -> Generator[Any, Any, T]:
    """
    Run psycopg's generator *gen* under the memory limit.

    Raises:
        AnswerTooLargeError: As `MemoryGrowth.check`.
        UnusableServerError: The answer is not complete within *limit_s*.
    """
    growth, ready, end_s = MemoryGrowth(), None, time.monotonic() + limit_s
    while True:
        try:
            with memory_limit():
                wanted = gen.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value
        ready = yield wanted
        growth.check()
        if time.monotonic() > end_s:
            raise UnusableServerError(f"the server did not answer within {limit_s:g} s")


def _resident_mb() -> int:
    """Return the resident memory of this process; 0 if /proc does not have it."""
    try:
        return (_pages(1) * os.sysconf("SC_PAGESIZE")) >> 20
    except OSError:
        return 0


def _pages(field: int) -> int:
    """Return a field of proc_pid_statm(5): 0 is the size, 1 the resident set."""
    return int(_STATM.read_bytes().split()[field])

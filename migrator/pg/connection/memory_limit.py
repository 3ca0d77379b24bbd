"""
Limits the memory and time that a server's answer may take.

libpq buffers an answer until it is complete. One that never ends, or announces a length
of a gigabyte, would exhaust the memory.
"""

import os
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg


LIMIT_MB = 128
"""An answer about 100,000 migrations takes a fifth of it."""

_STATM = Path("/proc/self/statm")
_NO_MEMORY = "cannot allocate memory for input buffer"
"""libpq's words (fe-misc.c: pqCheckInBufferSpace); the wheel has no translations."""

_TOO_MUCH = (
    f"what the server sends takes more than {LIMIT_MB} MB, so it is no answer to us"
)

T = TypeVar("T")


class UnusableServerError(psycopg.OperationalError):
    """The server's answers are not those of a usable PostgreSQL server."""


class AnswerTooLargeError(UnusableServerError):
    """The server's answer exceeds the memory limit."""


class MemoryGrowth:
    """The growth of this process's memory since the object was created."""

    def __init__(self) -> None:
        self._most_mb = _resident_mb() + LIMIT_MB

    def check(self) -> None:
        """
        Check the limit; called between two reads from the server.

        Raises:
            AnswerTooLargeError: It is more than LIMIT_MB.
        """
        if _resident_mb() > self._most_mb:
            raise AnswerTooLargeError(_TOO_MUCH)


@contextmanager
def memory_limit() -> Iterator[None]:
    """
    Limit memory growth in the block to LIMIT_MB, if this is the only thread.

    libpq asks for as much as a message says that it is long, and reads on as long as
    something comes (fe-misc.c: pqReadData): from a near server, a gigabyte before it
    returns. The limit is the whole process's, other threads' too.

    Raises:
        AnswerTooLargeError: More was needed.
    """
    if threading.active_count() > 1 or not _STATM.exists():
        yield
        return
    import resource  # noqa: PLC0415 - not there on Windows

    usual = resource.getrlimit(resource.RLIMIT_AS)
    most = _pages(0) * resource.getpagesize() + (LIMIT_MB << 20)
    if not 0 <= usual[0] <= most:  # RLIM_INFINITY is -1
        resource.setrlimit(resource.RLIMIT_AS, (most, usual[1]))
    try:
        yield
    except (MemoryError, psycopg.Error) as error:
        if isinstance(error, MemoryError) or _NO_MEMORY in str(error):
            raise AnswerTooLargeError(_TOO_MUCH) from error
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_AS, usual)


def limit_memory(
    reading: Generator[Any, Any, T], limit_s: float
) -> Generator[Any, Any, T]:
    """
    Run psycopg's generator *reading* under the memory limit.

    Raises:
        UnusableServerError: As `MemoryGrowth.check`, or no whole answer in *limit_s*.
    """
    growth, ready, end_s = MemoryGrowth(), None, time.monotonic() + limit_s
    while True:
        try:
            with memory_limit():
                wanted = reading.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value
        ready = yield wanted
        growth.check()
        if time.monotonic() > end_s:
            raise UnusableServerError(f"the server did not answer within {limit_s:g} s")


def _resident_mb() -> int:
    """Return how much memory this process takes now; 0 where Linux does not say it."""
    try:
        return (_pages(1) * os.sysconf("SC_PAGESIZE")) >> 20
    except OSError:
        return 0


def _pages(field: int) -> int:
    """Return a number of proc_pid_statm(5): 0 is the size, 1 what is resident."""
    return int(_STATM.read_bytes().split()[field])

"""
How much memory and time an answer to us may take: what there is to say is little.

libpq keeps an answer until it has come to its end. One that has none, or says that it
is a gigabyte long, would take all the memory there is.
"""

import os
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, TypeVar

import psycopg


LIMIT_MB = 128
"""An answer about 100,000 migrations takes a fifth of it."""

_STATM = Path("/proc/self/statm")
_TOO_MUCH = (
    f"what the server sends takes more than {LIMIT_MB} MB, so it is no answer to us"
)

T = TypeVar("T")


class UnusableError(psycopg.OperationalError):
    """The server does not answer as one that can be worked with."""


class FloodError(UnusableError):
    """The server does not stop to send, or sends something enormous."""


class Growth:
    """How much more memory this process has taken since the object was made."""

    def __init__(self) -> None:
        self._most_mb = _resident_mb() + LIMIT_MB

    def check(self) -> None:
        """
        Go on, or stop here; called between two reads from the server.

        Raises:
            FloodError: It is more than LIMIT_MB.
        """
        if _resident_mb() > self._most_mb:
            raise FloodError(_TOO_MUCH)


def bounded(reading: Generator[Any, Any, T], limit_s: float) -> Generator[Any, Any, T]:
    """
    Read as *reading*, a generator of psycopg's, does.

    Raises:
        UnusableError: As `Growth.check`, or there is no whole answer after *limit_s*.
    """
    growth, ready, end_s = Growth(), None, time.monotonic() + limit_s
    while True:
        try:
            wanted = reading.send(ready)
        except StopIteration as end:
            value: T = end.value
            return value
        ready = yield wanted
        growth.check()
        if time.monotonic() > end_s:
            raise UnusableError(f"the server did not answer within {limit_s:g} s")


def _resident_mb() -> int:
    """Return how much memory this process takes now; 0 where Linux does not say it."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except OSError:
        return 0
    return (pages * os.sysconf("SC_PAGESIZE")) >> 20

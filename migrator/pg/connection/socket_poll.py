"""
Waiting for a socket by poll(2).

A process with many open files has descriptors above 1,023, which select(2) cannot take
(FD_SETSIZE); psycopg does not use it either.
"""

import math
import select
from typing import NamedTuple


class Ready(NamedTuple):
    """What a socket is ready for."""

    reading: bool = False
    """Or its end is there to be read."""

    writing: bool = False


def wait_ready(fileno: int, limit_s: float, *, writing: bool = False) -> Ready:
    """Wait for *limit_s* at most until *fileno* can be read, or *writing*, written."""
    poll = select.poll()
    poll.register(fileno, select.POLLIN | (select.POLLOUT if writing else 0))
    for _, events in poll.poll(math.ceil(limit_s * 1000)):
        return Ready(bool(events & ~select.POLLOUT), bool(events & select.POLLOUT))
    return Ready()

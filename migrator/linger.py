"""A process that stays after its work, and how a health check finds it."""

import os
import signal
from contextlib import suppress
from pathlib import Path


# at most 15 bytes (Linux: proc(5), /proc/pid/comm)
NAME = "migrator-linger"
_PROC = Path("/proc")
_SERVICES = ("up", "up-by-one", "up-to", "wait")


def linger(command: str) -> None:
    """
    Return when SIGTERM or SIGINT comes; until then `lingers` is true.

    At once after a command that somebody runs by hand beside a service, as `status`.
    The process gives itself a name, since a container may have no place for a file.
    A signal is noticed whichever thread it meets.
    """
    if command not in _SERVICES:
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing)
    ends = {signal.SIGTERM, signal.SIGINT}
    for signum in ends:
        signal.signal(signum, _noted)
    with suppress(OSError):
        (_PROC / "self" / "comm").write_text(NAME)
    while ends.isdisjoint(os.read(reading, 1)):
        pass


def lingers() -> bool:
    """Tell whether a process of this container lingers."""
    return any(_name(path) == NAME for path in _PROC.glob("[0-9]*/comm"))


def _noted(signum: int, frame: object) -> None:
    """Do nothing: that a handler is there makes the signal's number readable."""


def _name(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # it has just ended

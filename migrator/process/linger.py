"""A process that stays after its work, and how a health check finds it."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


# at most 15 bytes (Linux: proc(5), /proc/pid/comm)
NAME = "migrator-linger"
_PROC = Path("/proc")
_HOUR_S = 3600.0
_SERVICES = ("up", "up-by-one", "up-to", "wait")


def linger(command: str, sleep: Callable[[float], None]) -> None:
    """
    Sleep until *sleep* raises; meanwhile `lingers` is true.

    At once it returns after a command that somebody runs by hand beside a service, as
    `status`. The process gives itself a name, since a container may have no place for a
    file.
    """
    if command not in _SERVICES:
        return
    with suppress(OSError):
        (_PROC / "self" / "comm").write_text(NAME)
    while True:
        sleep(_HOUR_S)


def lingers() -> bool:
    """Return whether a process of this container lingers."""
    return any(_name(path) == NAME for path in _PROC.glob("[0-9]*/comm"))


def _name(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # it has just ended

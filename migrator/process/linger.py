"""Keeps a process running after its work, where a health check finds it."""

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

    Returns at once after a command that is run manually beside a service, such as
    `status`. The process marks itself by its name, because a container may have no
    writable directory.
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

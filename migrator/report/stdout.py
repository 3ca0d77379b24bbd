"""Standard output that never fails a run: closed, full, or of another encoding."""

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def standard_output() -> TextIO:
    """
    Return `sys.stdout`, which takes every character from now on.

    Standard streams that were closed (`>&-`) are opened to /dev/null: whatever is
    opened next, such as the connection to the server, would get their numbers, and what
    others print would go there.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w", closefd=False))
    return lenient(sys.stdout)


def lenient(stream: TextIO) -> TextIO:
    r"""Return *stream*, which writes `\xe4` where its encoding has no such letter."""
    if isinstance(stream, io.TextIOWrapper):
        with suppress(ValueError):  # closed
            stream.reconfigure(errors="backslashreplace")
    return stream


def is_utf8(stream: TextIO) -> bool:
    """Return whether *stream* takes all of Unicode; one without an encoding does."""
    return codecs.lookup(getattr(stream, "encoding", None) or "utf-8").name == "utf-8"


def is_terminal(stream: TextIO) -> bool:
    """Return whether *stream* is a terminal; one that is closed is none."""
    with suppress(ValueError):
        return stream.isatty()
    return False


def write(stream: TextIO, text: str) -> None:
    """Write and flush *text*; where that fails, it is lost and nothing is raised."""
    with suppress(OSError, ValueError):
        stream.write(text)
        stream.flush()


class Lines:
    """Writes each line at once; what structlog calls a logger."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def info(self, line: str) -> None:
        """Write *line*, as `write` does."""
        write(self._stream, f"{line}\n")

    def progress(self, line: str) -> None:
        """Leave *line* out: it is for a terminal, where another one takes its place."""


def release(stream: TextIO) -> None:
    """
    Write what is left of *stream*, or drop it.

    The interpreter would try once more at its end, and exit with 120 when that fails
    (CPython: Py_FinalizeEx).
    """
    try:
        stream.flush()
    except (OSError, ValueError):
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

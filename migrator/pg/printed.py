"""What a script prints becomes events: stdout is for log lines alone."""

import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from migrator.events.base import Event, Observer


class _Telling(threading.local):
    now = False


_telling = _Telling()
"""Whether this thread tells an event just now: what it prints is not the script's."""


@contextmanager
def printed(tell: Callable[[str], None]) -> Iterator[None]:
    """Hand on what the block prints, line by line and without blank lines."""
    stdout = _Lines(tell, sys.stdout)
    try:
        with redirect_stdout(stdout):
            yield
    finally:
        stdout.end()


def out_of_print(observe: Observer) -> Observer:
    """Return *observe*, which may print what it likes while a script runs."""

    def tell(event: Event) -> None:
        before, _telling.now = _telling.now, True
        try:
            observe(event)
        finally:
            _telling.now = before

    return tell


class _Lines(io.TextIOBase):
    def __init__(self, tell: Callable[[str], None], stdout: TextIO) -> None:
        self._tell = tell
        self._stdout = stdout
        self._rest = ""

    def write(self, text: str) -> int:
        if _telling.now:
            return self._stdout.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._tell(line)
        return len(text)

    def flush(self) -> None:
        if _telling.now:
            self._stdout.flush()

    def end(self) -> None:
        """Hand on what no line end followed."""
        self.write("\n")

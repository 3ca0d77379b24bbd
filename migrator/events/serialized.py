"""Events of two threads, passed on one at a time."""

import io
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

from migrator.events.base import Event, Observer


class SerializedObserver:
    """
    Passes events on to *observe*, and remembers when.

    What *observe* prints is not captured as a script's output.
    """

    def __init__(self, observe: Observer) -> None:
        self.reported_at = time.monotonic()
        """When something above debug level was last reported."""

        self.lock = threading.RLock()
        """Held while an event is passed on."""

        self._observe = bypass_capture(observe)

    @classmethod
    def of(cls, observe: Observer) -> "SerializedObserver":
        """Return *observe* if it is one already, else a new one around it."""
        return observe if isinstance(observe, SerializedObserver) else cls(observe)

    def __call__(self, event: Event) -> None:
        """Pass *event* on."""
        with self.lock:
            if event.severity != "debug":
                self.reported_at = time.monotonic()
            self._observe(event)


class _Telling(threading.local):
    now = False


_telling = _Telling()
"""Whether this thread tells an event just now: what it prints is not the script's."""


@contextmanager
def capture_stdout(tell: Callable[[str], None]) -> Iterator[None]:
    """Hand on what the block prints, line by line and without blank lines."""
    stdout = _Lines(tell, sys.stdout)
    try:
        with redirect_stdout(stdout):
            yield
    finally:
        stdout.end()


def bypass_capture(observe: Observer) -> Observer:
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

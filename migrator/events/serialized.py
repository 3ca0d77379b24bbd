"""Two threads tell events, one at a time."""

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
    Hands events on to *observe*, and knows when it did.

    Called by whoever tells something. What *observe* prints is no script's word.
    """

    def __init__(self, observe: Observer) -> None:
        self.reported_at = time.monotonic()
        """When something above debug level was last reported."""

        self.lock = threading.RLock()
        """For whoever has to be sure of something while it tells."""

        self._observe = bypass_capture(observe)

    @classmethod
    def of(cls, observe: Observer) -> "SerializedObserver":
        """Return *observe* itself when it is a voice, else one of its own."""
        return observe if isinstance(observe, SerializedObserver) else cls(observe)

    def __call__(self, event: Event) -> None:
        """Tell *event*."""
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

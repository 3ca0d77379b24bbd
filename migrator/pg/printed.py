"""What a script prints becomes events: stdout is for log lines alone."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

from migrator.events.base import Event, Observer


@contextmanager
def printed(tell: Callable[[str], None]) -> Iterator[None]:
    """Hand on what the block prints, line by line and without blank lines."""
    stdout = _Lines(tell)
    try:
        with redirect_stdout(stdout):
            yield
    finally:
        stdout.end()


def out_of_print(observe: Observer) -> Observer:
    """Return *observe* with today's stdout, whatever stdout is when it is called."""
    stdout = sys.stdout

    def tell(event: Event) -> None:
        with redirect_stdout(stdout):
            observe(event)

    return tell


class _Lines(io.TextIOBase):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._tell(line)
        return len(text)

    def end(self) -> None:
        """Hand on what no line end followed."""
        self.write("\n")

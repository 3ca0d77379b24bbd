"""
Events for a person at a terminal: one line for each migration, a table for `status`.

All foreign text passes one filter (`readable_fields`) before a sentence is made of it:
no escape sequence in it reaches the terminal, and no line break in it makes a line that
looks like one of ours.
"""

import os
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, TextIO

from migrator.events.base import Event
from migrator.report.escape import visible, visible_lines
from migrator.report.progress_bar import ProgressLine
from migrator.report.sentences import answer, plural, sentence
from migrator.report.stdout import Lines, is_terminal


_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m", "debug": "\x1b[2m"}
_PLAIN = "\x1b[0m"
_OF_LINES = frozenset(("text", "traceback"))
"""Fields whose line breaks are kept: a planned statement, and the report of a crash."""

_REPORTED_AGAIN = frozenset(
    ("connection.retried", "lock.contended", "statement.blocked", "version.awaited")
)
"""Events that come again while nothing changes."""

_DURATION = re.compile(r"\d+(\.\d+)? (ms|s|min|h)\b")
_DONE = ("migration.applied", "migration.reverted", "migration.skipped")
_REFRESH_S = 0.1


class Console:
    """
    Writes the sentence of each event to *stream*.

    On a terminal the last line shows what runs now, and is written over. *answers* is
    where the answers of `status`, `version` and `plan` go, if not to *stream*.
    """

    def __init__(self, stream: TextIO, *, answers: TextIO | None = None) -> None:
        self._live = is_terminal(stream)
        self._colors = self._live and not os.environ.get("NO_COLOR")
        self._screen = ProgressLine(stream) if self._live else Lines(stream)
        self._answers = None if answers is None else Lines(answers)
        self._shown: Counter[str] = Counter()
        self._steps = 0
        self._said: set[str] = set()
        self._running: Mapping[str, Any] | None = None
        self._refreshed_at = 0.0

    def write(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Write *event*, whose *fields* hold no secret."""
        name, f = event.name, {**readable_fields(fields), "shown": self._shown}
        text = answer(name, f) if self._answers else None
        if text is not None and self._answers:
            self._answers.info(text)
        elif line := sentence(name, f):
            self._show(event, line)
        self._remember(name, f)

    def skip(self, event: Event) -> None:
        """Count *event*, which is below the log's level, in the line of what runs."""
        if not self._live or event.name != "statement.finished" or not self._running:
            return
        now = time.monotonic()
        if now - self._refreshed_at >= _REFRESH_S:
            self._refreshed_at = now
            total = plural(self._running["statements"], "statement")
            done = f"{vars(event)['statement']:,} of {total}"
            self._screen.progress(f"{self._step()}{self._running['path']}  {done}")

    def _show(self, event: Event, line: str) -> None:
        passing = event.name == "migration.started" or self._is_repeated(event, line)
        counted = event.name == "statement.progressed"
        if counted or passing:
            line = f"{self._step()}{line}"
        if passing or (counted and self._live):
            self._screen.progress(line.partition("\n")[0])
        else:
            self._screen.info(self._coloured(event.severity, line))

    def _is_repeated(self, event: Event, line: str) -> bool:
        """Return whether *line* was shown before; times do not count on a terminal."""
        if event.name not in _REPORTED_AGAIN:
            return False
        said = _DURATION.sub("", line) if self._live else line
        known = said in self._said
        self._said.add(said)
        return known

    def _step(self) -> str:
        done = sum(self._shown[name] for name in _DONE)
        return f"[{min(done + 1, self._steps)}/{self._steps}] " if self._steps else ""

    def _remember(self, name: str, f: Mapping[str, Any]) -> None:
        self._shown[name] += 1
        if name == "migration.listed":
            self._shown[f["state"]] += 1
        if name == "plan.made":
            self._steps = len(f["pending"]) + sum(self._shown[each] for each in _DONE)
        if name == "migration.started":
            self._running = f

    def _coloured(self, severity: str, line: str) -> str:
        text = f"warning: {line}" if severity == "warning" else line
        colour = _COLOURS.get(severity, "") if self._colors else ""
        return f"{colour}{text}{_PLAIN}" if colour else text


def readable_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with every text in them as one that prints, and nothing else."""
    return {
        name: (visible_lines if name in _OF_LINES else _readable)(value)
        for name, value in fields.items()
    }


def _readable(value: Any) -> Any:
    match value:
        case str():
            return visible(value)
        case Mapping():
            return {visible(name): _readable(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_readable(inner) for inner in value]
        case _:
            return value

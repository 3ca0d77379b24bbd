"""How far a statement is, as one line; on a terminal it is written over."""

import os
from collections.abc import Mapping
from typing import Any, TextIO

from migrator.report.stdout import Lines, write


_WIDTH = 10
_COLUMNS = 80
"""Where a terminal does not say."""

_CLEAR = "\r\x1b[K"
_HOUR_S = 3600
_MINUTE_S = 60
_PRECISE_S = 9.95
_SHORT_S = 0.1


def progress_text(f: Mapping[str, Any]) -> str:
    """Return the line of a `statement.progressed`: a bar and one clock."""
    where, took = f"{f['path']}:{f['line']}", duration(f["elapsed_s"])
    doing = f["phase"] or f["wait_event"] or f["state"]
    return "  ".join(filter(None, (where, _bar(f["percent"]), took, _count(f), doing)))


def _bar(percent: float | None) -> str | None:
    if percent is None:
        return None
    full = int(percent / 100 * _WIDTH)
    return f"[{'#' * full}{'-' * (_WIDTH - full)}] {percent:3.0f} %"


def _count(f: Mapping[str, Any]) -> str | None:
    if f["done"] is None:
        return None
    total = f"/{f['total']:,}" if f["total"] else ""
    return f"{f['done']:,}{total} {f['unit']}"


def duration(seconds: float) -> str:
    """Return *seconds* for a person: `8 ms`, `0.4 s`, `3 min 5 s`, `1 h 2 min`."""
    if seconds < _PRECISE_S:
        return f"{seconds * 1000:.0f} ms" if seconds < _SHORT_S else f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"


class ProgressLine(Lines):
    """Writes lines to a terminal, below them one of progress, which is written over."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._clear = ""

    def info(self, line: str) -> None:
        """Write *line* in the place of the progress."""
        super().info(f"{self._clear}{line}")
        self._clear = ""

    def progress(self, line: str) -> None:
        """Show *line* until another one comes, cut to the width: it must not wrap."""
        write(self._stream, f"{self._clear}{line[: self._columns() - 1]}")
        self._clear = _CLEAR

    def _columns(self) -> int:
        try:
            known = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            known = 0
        return known or _COLUMNS

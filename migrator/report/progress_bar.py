"""How far a statement is, as one line; on a terminal it is written over again."""

import os
from collections.abc import Mapping
from typing import Any, TextIO

from migrator.report.stdout import write


_WIDTH = 20
_COLUMNS = 80
"""Where a terminal does not say."""

_CLEAR = "\r\x1b[K"
_HOUR_S = 3600
_MINUTE_S = 60


def progress_text(f: Mapping[str, Any]) -> str:
    """Return the line of a `statement.progressed`; a bar for a percentage."""
    where, took = f"{f['path']}:{f['line']}", _duration(f["elapsed_s"])
    known = (_bar(f["percent"]), f["phase"], _count(f), _left(f["left_s"]))
    parts = [*filter(None, known), took, where]
    if f["phase"] is None:
        parts.append(f["wait_event"] or f["state"])
    return "  ".join(filter(None, parts))


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


def _left(left_s: float | None) -> str | None:
    return None if left_s is None else f"{_duration(left_s)} left"


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S:.0f} min {seconds % _MINUTE_S:.0f} s"
    return f"{seconds // _HOUR_S:.0f} h {seconds % _HOUR_S // _MINUTE_S:.0f} min"


class ProgressLine:
    """
    Writes lines to a terminal, the last of them over again while it is a bar.

    The bar goes when another line comes, so what stays is what a file would hold.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar = False

    def info(self, line: str, *, bar: bool = False) -> None:
        """Write *line*; a *bar* is cut to the width, for it must not wrap."""
        before = _CLEAR if self._bar else ""
        text = line[: self._columns() - 1] if bar else f"{line}\n"
        write(self._stream, before + text)
        self._bar = bar

    def _columns(self) -> int:
        try:
            known = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            known = 0
        return known or _COLUMNS

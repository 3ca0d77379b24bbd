"""The rows of a COPY, up to the line that ends them; many of them are not kept."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass


Ahead = Callable[[int], Iterable[str]]
"""The file from a line on, in pieces of whole lines, as often as it is asked for."""


def nothing_ahead(_line: int) -> Iterable[str]:
    """Return what lies behind a text that is there as a whole."""
    return ()


@dataclass(frozen=True, slots=True)
class LongRows:
    """Rows that are read again each time; pieces of whole lines."""

    read: Callable[[], Iterator[str]]

    def __iter__(self) -> Iterator[str]:
        return self.read()


def find_end(text: str, at: int = 0) -> int:
    """Return where the line that ends the rows starts, from a line on; -1 for none."""
    if text.startswith("\\.", at) and text[at + 2 : at + 3] in {"", "\n"}:
        return at
    found = text.find("\n\\.\n", at)
    if found >= 0:
        return found + 1
    return len(text) - 2 if text.endswith("\n\\.", at) else -1


def rows_of(texts: Iterable[str]) -> Iterator[str]:
    """Yield *texts* up to the line that ends the rows."""
    for text in texts:
        end = find_end(text)
        rows = text if end < 0 else text[:end]
        if rows:
            yield rows
        if end >= 0:
            return


def end_of_rows(texts: Iterable[str], line: int) -> int:
    """Return the line that ends the rows, 0 for none; *texts* start with *line*."""
    for text in texts:
        end = find_end(text)
        if end >= 0:
            return line + text.count("\n", 0, end)
        line += text.count("\n")
    return 0

"""White space and comments between two words, skipped in linear time."""

import re
from bisect import bisect_left
from functools import cached_property


_COMMENT_ENDS = re.compile(r"/\*|\*/")
_BLANKS = re.compile(r"\s+")


class Gaps:
    """
    The gaps of one text, wherever in it one is asked for.

    A word in a comment has a gap of its own, which may reach as far as the gap of the
    word before it: each place is visited once, and its end is remembered.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._ends: dict[int, int] = {}

    def end(self, at: int) -> int:
        """Return where the gap that begins at *at* ends; *at* where there is none."""
        visited = []
        while at not in self._ends and (after := self._piece(at)) is not None:
            visited.append(at)
            at = after
        end = self._ends.get(at, at)
        self._ends.update(dict.fromkeys(visited, end))
        return end

    def _piece(self, at: int) -> int | None:
        """Return where the blanks or the comment at *at* end; None for neither."""
        if self._text.startswith("--", at):
            return self._line_end(at)
        if self._text.startswith("/*", at):
            return self._comments.get(at)
        blanks = _BLANKS.match(self._text, at)
        return blanks and blanks.end()

    def _line_end(self, at: int) -> int | None:
        behind = bisect_left(self._newlines, at)
        return self._newlines[behind] + 1 if behind < len(self._newlines) else None

    @cached_property
    def _newlines(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self._text)]

    @cached_property
    def _comments(self) -> dict[int, int]:
        """Where each `/*` ends; PostgreSQL's comments may hold others (scan.l: xc)."""
        opened: list[int] = []
        ends: dict[int, int] = {}
        for found in _COMMENT_ENDS.finditer(self._text):
            if found[0] == "/*":
                opened.append(found.start())
            elif opened:
                ends[opened.pop()] = found.end()
        return ends

"""What the lexer's parser sees of a file: as much text as it needs to be certain."""

from collections.abc import Iterable, Mapping
from itertools import chain

from migrator.sql.backslashes import may_set_escapes
from migrator.sql.goose.annotations import Mark
from migrator.sql.goose.source_map import Expander, SourceMap
from migrator.sql.goose.text_pieces import LongRows, TextPieces, find_end, rows_of


class UncertainError(Exception):
    """What comes next depends on text that is not there yet."""


class Window:
    """The text that is there and not read yet, with the marks in it."""

    def __init__(self, pieces: TextPieces, environ: Mapping[str, str]) -> None:
        self._pieces = pieces
        self._expander = Expander(environ)
        self._source = SourceMap("", [], 1)
        self._text = ""
        self._at = self._end = 0
        self._marks: list[Mark] = []
        self._passed = 0
        """How many marks lie behind."""

        self._settings = False
        """Whether a statement may change how strings are read."""

    @property
    def _mark(self) -> Mark | None:
        """The next annotation, or what looks like one, real or not."""
        return self._marks[self._passed] if self._passed < len(self._marks) else None

    def _pass(self, at: int) -> None:
        while self._mark and self._mark.dashes < at:
            self._passed += 1

    def _certainly(self, certain: object) -> None:
        """
        Go on if something is *certain*, whatever the next piece holds.

        Raises:
            UncertainError: It is not.
        """
        if not (certain or self._pieces.is_last):
            raise UncertainError

    def _extend(self) -> None:
        """Drop the text that was read, and add pieces: as much as is there, or more."""
        texts: list[str] = []
        size = 0
        while not self._pieces.is_last and size <= self._end - self._at:
            texts.append(self._pieces.read())
            size += len(texts[-1])
        more = self._expander.feed("".join(texts))
        self._source, self._at = self._source.joined(self._at, more)
        self._text, self._marks = self._source.text, self._source.marks
        self._end, self._passed = len(self._text), 0
        self._settings = self._settings or may_set_escapes(self._text)

    def _rows(self, start: int) -> tuple[Iterable[str], int]:
        """Return the rows from *start* on, and where text follows; -1 for no end."""
        end = find_end(self._text, start)
        if end >= 0:
            return (self._text[start:end],), self._pass_line(end)
        head, expander = self._text[start:], self._expander.copy()
        following = self._pieces.following()
        while end < 0 and not self._pieces.is_last:
            self._at = self._end
            self._extend()
            end = find_end(self._text)
        rows = LongRows(
            lambda: rows_of(chain((head,), expander.copy().texts(following())))
        )
        return rows, self._pass_line(end) if end >= 0 else -1

    def _pass_line(self, at: int) -> int:
        """Pass the line from *at* on; return where the next one starts."""
        end = min(line_end(self._text, at) + 1, self._end)
        self._pass(end)
        return end


def line_end(text: str, at: int) -> int:
    """Return where the line that holds a place of *text* ends."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end

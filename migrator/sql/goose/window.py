"""What a parser sees of a file that comes piece by piece."""

from collections.abc import Iterator, Mapping

from migrator.sql.goose.annotations import Mark
from migrator.sql.goose.copy_rows import Ahead, LongRows, find_end, rows_of
from migrator.sql.goose.source_map import Expander, SourceMap


class UncertainError(Exception):
    """What comes next depends on text that is not there yet."""


class Window:
    """The text that is there and not read yet, with the marks in it."""

    def __init__(self, environ: Mapping[str, str], ahead: Ahead) -> None:
        self._ahead = ahead
        self._expander = Expander(environ)
        self._source = SourceMap("", [], 1)
        self._text = ""
        self._at = self._end = 0
        self._last = False
        self._marks: list[Mark] = []
        self._passed = 0
        """How many marks lie behind."""

        self._skips = False
        """There is more than comments before Up: the next annotation is awaited."""

        self._rows_end = 0
        """The last line of rows that are not kept."""

    @property
    def held(self) -> int:
        """How many characters must come again with the next piece."""
        return self._end - self._at

    @property
    def in_rows(self) -> bool:
        """Say whether the next piece starts with rows of the last statement."""
        return bool(self._rows_end)

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
        if not (certain or self._last):
            raise UncertainError

    def _extend(self, text: str, *, last: bool) -> None:
        """Take the next piece; what is read falls out of sight."""
        more = self._expander.feed(text)
        self._source, at = self._source.joined(self._at, more)
        self._text, self._marks = self._source.text, self._source.marks
        self._end, self._passed, self._last = len(self._text), 0, last
        self._at = self._first(at)

    def _first(self, at: int) -> int:
        """Return where to read on: behind rows, or behind what stands before Up."""
        if self._rows_end:
            at = self._source.start_of(self._rows_end + 1)
            self._rows_end = self._rows_end if at == self._end else 0
            self._pass(at)
        if self._skips:
            self._skips = not self._marks
            at = self._marks[0].start if self._marks else self._end
        return at

    def _rows_from(self, start: int) -> tuple[LongRows, int]:
        """
        Return the rows that start there, and the line that ends them; 0 for none.

        Raises:
            UncertainError: They start or end within what a variable holds.
        """
        line = self._source.line_at(start)
        self._certainly(line)
        rows = LongRows(lambda: rows_of(source.text for source in self._from(line)))
        return rows, self._end_of_rows(line)

    def _from(self, line: int) -> Iterator[SourceMap]:
        return map(self._expander.at(line).feed, self._ahead(line))

    def _end_of_rows(self, line: int) -> int:
        for source in self._from(line):
            at = find_end(source.text)
            if at >= 0:
                end, rest = source.line_at(at), source.text.find("\n", at) + 1
                whole = rest in {0, len(source.text)} or source.line_at(rest)
                self._certainly(end and whole)
                return end
        return 0

"""A file's text with its variables expanded, and the way back to the file's lines."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from migrator.domain.model import Statement
from migrator.sql.goose.annotations import Annotation, Mark, Verdict, find_marks
from migrator.sql.goose.line_buffer import BLANKS, trim


class Failure(NamedTuple):
    """A line whose variables could not be expanded."""

    line: int
    column: int
    reason: str


class SourceMap:
    """A text that knows where its characters stand in the file."""

    def __init__(
        self, text: str, marks: list[Mark], first: int, lines: list[int] | None = None
    ) -> None:
        self.text = text
        self.marks = marks
        self._first = first
        """The file's line of the text's first line."""

        self._lines = lines
        """The file's line of each line of the text, when they may differ."""

        self._at = 0
        self._number = 0

    def joined(self, at: int, more: "SourceMap") -> tuple["SourceMap", int]:
        """Return the text from *at* on, *more* behind it, and where *at* is then."""
        if at == len(self.text):
            return more, 0
        start = self.text.rfind("\n", 0, at) + 1
        number = self._number_at(start)
        shift = len(self.text) - start
        marks = [_moved(m, m.start - start) for m in self.marks if m.dashes >= at]
        marks += [_moved(mark, mark.start + shift) for mark in more.marks]
        lines = None
        if not (self.is_straight and more.is_straight):
            lines = [*self.numbers[number:-1], *more.numbers]
        text = self.text[start:] + more.text
        return SourceMap(text, marks, self._file_line(number), lines), at - start

    @property
    def is_straight(self) -> bool:
        """Whether the lines of the text are surely those of the file."""
        return self._lines is None

    @property
    def numbers(self) -> list[int]:
        """The file's line of each line of the text."""
        if self._lines is not None:
            return self._lines
        return list(range(self._first, self._first + self.text.count("\n") + 1))

    def place(self, at: int) -> tuple[int, int]:
        """Return the file's line and column of a place in the text."""
        column = at - self.text.rfind("\n", 0, at)
        return self._file_line(self._number_at(at)), column

    def whole(self, start: int, text: str) -> Statement:
        """Return the statement *text* that starts at *start*."""
        if self._lines is not None:
            return self.statement([(start, start + len(text))])
        column = start - self.text.rfind("\n", 0, start)
        return Statement(text, self._number_at(start) + self._first, column)

    def statement(self, pieces: list[tuple[int, int]]) -> Statement:
        """
        Return the statement made of *pieces*, without the blanks at its end.

        The first piece starts with its first character; each other starts a line.
        """
        start = pieces[0][0]
        text = "".join(self.text[a:b] for a, b in pieces).rstrip(BLANKS)
        line, column = self.place(start)
        simple = len(pieces) == 1 and self._lines is None
        jumps = () if simple else self._jumps(pieces, text.count("\n"))
        return Statement(text, line, column, jumps)

    def _jumps(
        self, pieces: list[tuple[int, int]], height: int
    ) -> tuple[tuple[int, int], ...]:
        lines: list[int] = []
        for start, end in pieces:
            first = self._number_at(start)
            count = self.text.count("\n", start, end)
            lines.extend(self._file_line(first + n) for n in range(count))
        lines.append(self._file_line(self._number_at(max(pieces[-1][1] - 1, 0))))
        return tuple(
            (n, lines[n])
            for n in range(1, min(height + 1, len(lines)))
            if lines[n] != lines[n - 1] + 1
        )

    def _file_line(self, number: int) -> int:
        if self._lines is None:
            return number + self._first
        return self._lines[min(number, len(self._lines) - 1)]

    # Places come mostly in order: what was counted is not counted again
    def _number_at(self, at: int) -> int:
        if at >= self._at:
            self._number += self.text.count("\n", self._at, at)
        else:
            self._number -= self.text.count("\n", at, self._at)
        self._at = at
        return self._number


class Expander:
    """
    Expands the variables between ENVSUB ON and ENVSUB OFF, line by line.

    A line that cannot be expanded stays as it is; unless it is a comment, it is a
    failure.
    """

    def __init__(
        self, environ: Mapping[str, str], line: int = 1, *, on: bool = False
    ) -> None:
        self.failures: list[Failure] = []
        self.unset: list[Failure] = []
        """The variables that are empty because they are not set, by their names."""

        self.expands = on
        """Whether variables were expanded anywhere."""

        self._environ = environ
        self._line = line
        """The file's number of the next line."""

        self._on = on

    def copy(self) -> "Expander":
        """Return what expands the rest of the file once more."""
        return Expander(self._environ, self._line, on=self._on)

    def texts(self, texts: Iterable[str]) -> Iterator[str]:
        """Yield the next pieces of the file with their variables expanded."""
        return (self.feed(text).text for text in texts)

    def feed(self, text: str) -> SourceMap:
        """Return the next lines of the file with their variables expanded."""
        first = self._line
        marks = list(find_marks(text, first))
        self._line += text.count("\n")
        if self._on or any(_switched(mark, on=False) for mark in marks):
            return self._expanded(text, first, marks)
        return SourceMap(text, marks, first)

    def _expanded(self, text: str, first: int, marks: list[Mark]) -> SourceMap:
        by_line = {mark.line: mark for mark in marks}
        expanded: list[str] = []
        numbers: list[int] = []
        starts: dict[int, int] = {}
        at = 0
        for number, line in enumerate(text.split("\n"), first):
            mark = by_line.get(number)
            if mark is not None:
                starts[number] = at
                self._on = _switched(mark, on=self._on)
                self.expands = self.expands or self._on
            new = self._expand(line, number) if self._on and mark is None else line
            expanded.append(new)
            numbers.extend([number] * (new.count("\n") + 1))
            at += len(new) + 1
        moved = [_moved(mark, starts[mark.line]) for mark in marks]
        return SourceMap("\n".join(expanded), moved, first, numbers)

    def _expand(self, line: str, number: int) -> str:
        from migrator.sql.goose.envsub import SubstitutionError, expand  # noqa: PLC0415 - rare

        unset: list[Failure] = []
        failures: list[Failure] = []
        try:
            line = expand(
                line,
                self._environ,
                lambda name, at: unset.append(Failure(number, at + 1, name)),
            )
        except SubstitutionError as error:
            failures.append(Failure(number, error.position + 1, error.reason))
        if not trim(line).startswith("--"):
            self.unset += unset
            self.failures += failures
        return line


def _switched(mark: Mark, *, on: bool) -> bool:
    if mark.verdict is Verdict.TAKEN and mark.annotation in _SWITCHES:
        return mark.annotation is Annotation.ENVSUB_ON
    return on


def _moved(mark: Mark, start: int) -> Mark:
    by = start - mark.start
    return mark._replace(start=start, dashes=mark.dashes + by, end=mark.end + by)


_SWITCHES = {Annotation.ENVSUB_ON, Annotation.ENVSUB_OFF}

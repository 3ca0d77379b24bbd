"""A file's text with its variables expanded, and the way back to the file's lines."""

from collections.abc import Mapping
from typing import NamedTuple

from migrator.model import Statement
from migrator.sql.annotation import Annotation, Mark, Verdict
from migrator.sql.gotext import BLANKS, trim
from migrator.sql.words import starts_copy


class Failure(NamedTuple):
    """A line whose variables could not be expanded."""

    line: int
    column: int
    reason: str


class Source:
    """A text that knows where its characters stand in the file."""

    def __init__(
        self,
        text: str,
        marks: list[Mark],
        *,
        lines: list[int] | None = None,
        failures: tuple[Failure, ...] = (),
    ) -> None:
        self.text = text
        self.marks = marks
        self.failures = failures
        self._lines = lines
        """The file's line of each line of the text, when they differ."""

        self._at = 0
        self._number = 0

    def place(self, at: int) -> tuple[int, int]:
        """Return the file's line and column of a place in the text."""
        column = at - self.text.rfind("\n", 0, at)
        return self._file_line(self._number_at(at)), column

    def whole(self, start: int, text: str) -> Statement:
        """Return the statement *text* that starts at *start*."""
        if self._lines is not None:
            return self.statement([(start, start + len(text))])
        line, column = self.place(start)
        return Statement(text, line, column)

    def statement(
        self, pieces: list[tuple[int, int]], *, data: str | None = None
    ) -> Statement:
        """
        Return the statement made of *pieces*, without the blanks at its end.

        The first piece starts with its first character; each other starts a line.
        """
        start = pieces[0][0]
        text = "".join(self.text[a:b] for a, b in pieces).rstrip(BLANKS)
        line, column = self.place(start)
        simple = len(pieces) == 1 and self._lines is None
        jumps = () if simple else self._jumps(pieces, text.count("\n"))
        return Statement(text, line, column, jumps, data)

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
            return number + 1
        return self._lines[min(number, len(self._lines) - 1)]

    # Places come mostly in order: what was counted is not counted again
    def _number_at(self, at: int) -> int:
        if at < self._at:
            self._number -= self.text.count("\n", at, self._at)
        else:
            self._number += self.text.count("\n", self._at, at)
        self._at = at
        return self._number


class Buffer:
    """The lines of a statement that is being read, and their places in the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cuts: list[int] = []
        """The file's lines that were taken out of its middle."""

        self.copies = False
        """Whether the first word is COPY, and nobody has looked for its end."""

        self._first = 0
        self._next = 0
        self._height = 0
        self._jumps: list[tuple[int, int]] = []

    def append(self, line: str, number: int) -> None:
        """Take the file's line *number*; expanded, it may be several lines."""
        if not self.lines:
            self._first = number
            self.copies = starts_copy(line.lstrip(BLANKS))
        elif number != self._next:
            self._jumps.append((self._height, number))
        self.lines.append(line)
        self._height += 1
        self._next = number + 1
        for _ in range(line.count("\n")):
            self._jumps.append((self._height, number))
            self._height += 1

    def statement(self) -> Statement:
        """Return what was read, without the blanks at its ends."""
        raw = "\n".join(self.lines)
        if not self._jumps and raw[:1].strip(BLANKS):
            return Statement(raw.rstrip(BLANKS), self._first)
        text = raw.lstrip(BLANKS)
        lead = raw[: len(raw) - len(text)]
        number = lead.count("\n")
        whole = Statement(raw, self._first, 1, tuple(self._jumps))
        line, column = whole.locate(len(lead) + 1)
        text = text.rstrip(BLANKS)
        last = number + text.count("\n") if self._jumps else 0
        jumps = tuple((n - number, at) for n, at in self._jumps if number < n <= last)
        return Statement(text, line, column, jumps)


def expand_lines(text: str, environ: Mapping[str, str], marks: list[Mark]) -> Source:
    """
    Return *text* with the variables between ENVSUB ON and ENVSUB OFF expanded.

    A line that cannot be expanded stays as it is; unless it is a comment, it is a
    failure.
    """
    if not any(
        mark.annotation is Annotation.ENVSUB_ON and mark.verdict is Verdict.TAKEN
        for mark in marks
    ):
        return Source(text, marks)
    return _Expander(text, environ, marks).source()


class _Expander:
    def __init__(
        self, text: str, environ: Mapping[str, str], marks: list[Mark]
    ) -> None:
        self._lines = text.split("\n")
        self._environ = environ
        self._marks = marks
        self._numbers: list[int] = []
        self._failures: list[Failure] = []

    def source(self) -> Source:
        by_line = {mark.line: mark for mark in self._marks}
        expanded: list[str] = []
        starts: dict[int, int] = {}
        on, at = False, 0
        for number, line in enumerate(self._lines, 1):
            mark = by_line.get(number)
            if mark is not None:
                starts[number] = at
                on = _switched(mark, on=on)
            new = self._expand(line, number) if on and mark is None else line
            expanded.append(new)
            self._numbers.extend([number] * (new.count("\n") + 1))
            at += len(new) + 1
        marks = [_moved(mark, starts[mark.line]) for mark in self._marks]
        return Source(
            "\n".join(expanded),
            marks,
            lines=self._numbers,
            failures=tuple(self._failures),
        )

    def _expand(self, line: str, number: int) -> str:
        from migrator.sql.envsub import SubstitutionError, expand  # noqa: PLC0415 - rare

        try:
            return expand(line, self._environ)
        except SubstitutionError as error:
            if not trim(line).startswith("--"):
                failure = Failure(number, error.position + 1, error.reason)
                self._failures.append(failure)
            return line


def _switched(mark: Mark, *, on: bool) -> bool:
    if mark.verdict is Verdict.TAKEN and mark.annotation in _SWITCHES:
        return mark.annotation is Annotation.ENVSUB_ON
    return on


def _moved(mark: Mark, start: int) -> Mark:
    by = start - mark.start
    return mark._replace(start=start, dashes=mark.dashes + by, end=mark.end + by)


_SWITCHES = {Annotation.ENVSUB_ON, Annotation.ENVSUB_OFF}

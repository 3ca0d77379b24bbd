"""
Statements by goose's rule: `;` at a line's end, or StatementBegin/End.

goose: `internal/sqlparser/parser.go`, ParseSQLMigration. goose parses a file once for
each direction and expands variables also in the other half; here one pass does both.
"""

import re
from collections.abc import Mapping

from migrator.model import Direction, Statement
from migrator.sql.annotation import Annotation, Mark, Verdict, find_marks
from migrator.sql.envsub import SubstitutionError, expand
from migrator.sql.findings import BOTH, Findings
from migrator.sql.gotext import BLANKS, trim
from migrator.sql.hazards import Half, unfinished
from migrator.sql.split import PLAIN_NEXT
from migrator.sql.structure import Structure


class LineParser:
    """goose's parser for one file."""

    def __init__(
        self, text: str, environ: Mapping[str, str], findings: Findings
    ) -> None:
        self.structure = Structure(findings)
        self.halves = {side: Half(side) for side in BOTH}
        self._lines = text.split("\n")
        self._marks = find_marks(text)
        self._environ = environ
        self._findings = findings
        self._buffer = _Buffer()
        self._lost = 0
        """The line of an empty block's start: goose swallows the next line of SQL."""

        self._after_end = False
        """
        In the other direction goose expands no variables between StatementEnd and the
        next annotation that changes its state.
        """

        self._carried = False
        """Blanks were left over from Up: goose expands Down's first line for Up too."""

    def run(self) -> None:
        """Read the whole file."""
        at = 0
        for mark in self._marks:
            self._lines_between(at, mark.line - 1)
            at = mark.line - 1 if mark.verdict is Verdict.NEAR else mark.line
            self._mark(mark)
        self._lines_between(at, len(self._lines))
        self._end_of_side()
        self.structure.finish()

    def _mark(self, mark: Mark) -> None:
        block = self.structure.block
        if self.structure.ends_up(mark):
            self._end_of_side()
        followed = self.structure.take(mark)
        if followed is None:
            return
        if self.structure.side is not None and self._buffer.lines:
            self._buffer.cuts.append(mark.line)
        match followed:
            case Annotation.DOWN:
                self._buffer, self._lost, self._after_end = _Buffer(), 0, False
            case Annotation.BEGIN:
                self._lost, self._after_end = 0, False
            case Annotation.END:
                self._after_end, self._carried = True, False
                if self._buffer.lines:
                    self._store(block=True)
                else:
                    self._lost = block
            case _:
                pass

    def _end_of_side(self) -> None:
        left, side = self._buffer, self.structure.side
        if side is None or self.structure.block:
            return
        if self._findings.has(side, "empty_block"):
            return  # where goose loses a line, it is no use to tell what it lacks
        if trim("\n".join(left.lines)):
            unfinished(left.statement(), side, self._findings)
        elif left.lines:
            self._carried = True

    def _lines_between(self, first: int, last: int) -> None:
        if self.structure.side is None:
            self._preamble(first, last)
            return
        if self._carried and first < last:
            self._carried = False
            self._expand(self._lines[first], first + 1, (Direction.UP,))
        statements = self._half.statements
        for index in range(first, last):
            line = self._lines[index]
            if (
                not (self._buffer.lines or self.structure.block)
                and not (self._lost or self.structure.envsub)
                and "--" not in line
                and _STARTS_PLAIN(line)
                and PLAIN_NEXT.fullmatch(text := line.rstrip(BLANKS))
            ):
                statements.append(Statement(text, index + 1))
            else:
                self._line(line, index + 1)

    @property
    def _half(self) -> Half:
        return self.halves[self.structure.side or Direction.UP]

    def _preamble(self, first: int, last: int) -> None:
        for index in range(first, last):
            bare = trim(self._lines[index])
            if bare and not bare.startswith("--"):
                column = self._lines[index].index(bare[0]) + 1
                if not self._findings.has(Direction.UP, "before_up"):
                    self._findings.add("before_up", index + 1, column)
                return

    def _line(self, line: str, number: int) -> None:
        comment = line.lstrip(BLANKS).startswith("--")
        if not self._buffer.lines and (comment or not line):
            if "\r" in line:
                self._cr(line, number)
            return
        if self._lost:
            self._lose(line, number)
            return
        if self.structure.envsub:
            line = self._expand(line, number, self._expanding(line, comment=comment))
        self._buffer.append(line, number)
        if not self.structure.block and ends_statement(line):
            self._store(block=False)

    def _expanding(self, line: str, *, comment: bool) -> tuple[Direction, ...]:
        side = self.structure.side
        if comment or not line or self._after_end:
            return tuple(each for each in BOTH if each is side)
        return BOTH

    def _expand(self, line: str, number: int, sides: tuple[Direction, ...]) -> str:
        if not self.structure.envsub:
            return line
        broken = _SURROGATE.search(line)
        if broken:
            self._findings.add("invalid_utf8", number, broken.start() + 1, sides=sides)
            return line
        try:
            return expand(line, self._environ)
        except SubstitutionError as error:
            self._findings.add(
                "envsub",
                number,
                error.position + 1,
                sides=sides,
                why=error.reason,
            )
            return line

    def _lose(self, line: str, number: int) -> None:
        if trim(line):
            side = self._half.side
            self._findings.add("empty_block", self._lost, sides=(side,), lost=number)
            self._half.trust_no_more()
        self._lost = 0

    def _cr(self, line: str, number: int) -> None:
        for match in _AFTER_CR.finditer(line):
            self._findings.add(
                "lost_after_cr",
                number,
                match.start() + 1,
                sides=(self._half.side,),
            )
            return

    def _store(self, *, block: bool) -> None:
        half, buffer = self._half, self._buffer
        statement = buffer.statement()
        self._buffer = _Buffer()
        if not statement.text:
            return
        half.note(statement, block=block, cuts=tuple(buffer.cuts))


_SURROGATE = re.compile("[\udc80-\udcff]")
# Behind a CR that ends the comment for PostgreSQL: more than blanks and comments
_AFTER_CR = re.compile(r"\r(?=[ \t\f\v]*+[^ \t\f\v\r\-]|[ \t\f\v]*+-(?!-))")
# A cheap look before the regular expression that reads the whole line
_STARTS_PLAIN = re.compile("[A-Za-z]").match
_COMMENT_WORD = re.compile(rf"(?:^|(?<=[{BLANKS}]))--")


# parser.go: endsWithSemicolon; words by bufio.ScanWords
def ends_statement(line: str) -> bool:
    """Say whether the last word before the first with `--` in front ends with `;`."""
    if "--" in line:
        match = _COMMENT_WORD.search(line)
        line = line[: match.start()] if match else line
    return line.rstrip(BLANKS).endswith(";")


class _Buffer:
    """The lines of the statement that is being read."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cuts: list[int] = []
        """The file's lines that were taken out of its middle."""

        self._first = 0
        self._next = 0
        self._height = 0
        self._jumps: list[tuple[int, int]] = []

    def append(self, line: str, number: int) -> None:
        """Take the file's line *number*; expanded, it may be several lines."""
        if not self.lines:
            self._first = number
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

"""
Statements by goose's rule: `;` at a line's end, or StatementBegin/End.

goose: `internal/sqlparser/parser.go`, ParseSQLMigration. goose parses a file once for
each direction and expands variables also in the other half; here one pass does both.

Two things that `pg_dump` writes and goose cannot run work here: the rows that follow a
`COPY … FROM stdin`, and psql's `\\restrict` (goose#138, #823, #859, #863).
"""

import re
from collections.abc import Iterable, Mapping
from functools import partial

from migrator.domain.model import Direction, Statement
from migrator.sql.backslashes import conforming, may_set_escapes
from migrator.sql.goose.annotations import Annotation, Mark, Verdict, find_marks
from migrator.sql.goose.copy_rows import Ahead, LongRows, end_of_rows, rows_of
from migrator.sql.goose.envsub import Variables
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.hazards import Half, unfinished
from migrator.sql.goose.line_buffer import BLANKS, LineBuffer, ends_statement, trim
from migrator.sql.goose.state_machine import AnnotationStateMachine
from migrator.sql.keywords import is_restriction
from migrator.sql.split import (
    PLAIN_NEXT,
    StatementSpan,
    copy_part,
    is_plain,
    skip_blank,
    split_statements,
)


class LineParser:
    """goose's parser for one file, which may come piece by piece."""

    held = 0
    """How many characters must come again with the next piece: none."""

    def __init__(
        self, environ: Mapping[str, str], findings: FaultCollector, ahead: Ahead
    ) -> None:
        self.structure = AnnotationStateMachine(findings)
        self.halves = {side: Half(side) for side in BOTH}
        self._variables = Variables(environ, findings)
        self._findings = findings
        self._ahead = ahead
        self._lines: list[str] = []
        self._first = 0
        """The file's index of the first of these lines."""

        self._at = 0
        """The file's index of the next line to read."""

        self._last = False
        self._skips = False
        """Rows are never ended: the lines up to the next annotation are not read."""

        self._settings = False
        """Whether a statement may change how strings are read."""

        self._buffer = LineBuffer()
        self._lost = 0
        """The line of an empty block's start: goose swallows the next line of SQL."""

        self._after_end = False
        """
        In the other direction goose expands no variables between StatementEnd and the
        next annotation that changes its state.
        """

        self._carried = False
        """Blanks were left over from Up: goose expands Down's first line for Up too."""

    @property
    def in_rows(self) -> bool:
        """Say whether the next piece starts with rows of the last statement."""
        return self._at > self._first

    def feed(self, text: str, *, last: bool) -> None:
        """Read the next piece of the file: whole lines, unless it is the *last*."""
        first, end = self._first, self._first + text.count("\n") + last
        if self._at < end:
            self._lines, self._last = text.split("\n"), last
            self._settings = self._settings or may_set_escapes(text)
            for mark in find_marks(text, first + 1):
                self._up_to(mark)
            self._at = self._lines_between(self._at, end)
        self._first = end
        if last:
            self._end_of_side()
            self.structure.finish()

    def _up_to(self, mark: Mark) -> None:
        self._at = self._lines_between(self._at, mark.line - 1)
        if mark.line <= self._at:
            return  # a row of COPY
        self._at = mark.line - 1 if mark.verdict is Verdict.NEAR else mark.line
        self._skips = False
        self._mark(mark)

    def _mark(self, mark: Mark) -> None:
        block = self.structure.block
        if self.structure.ends_up(mark):
            self._end_of_side()
        followed = self.structure.take(mark)
        if followed is None:
            return
        within = self.structure.side is not None and self._buffer.lines
        if within and followed is not Annotation.END:
            self._buffer.cuts.append(mark.line)
        match followed:
            case Annotation.DOWN:
                self._buffer, self._lost, self._after_end = LineBuffer(), 0, False
            case Annotation.BEGIN:
                self._lost, self._after_end = 0, False
            case Annotation.END:
                self._after_end, self._carried = True, False
                if self._buffer.lines:
                    self._store_block()
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
            statement = left.statement()
            text = self._conforming(statement.text)
            unfinished(statement._replace(text=text), side, self._findings)
        elif left.lines:
            self._carried = True

    def _lines_between(self, first: int, last: int) -> int:
        """Read lines by their index; return the next: rows of COPY go beyond *last*."""
        if self._skips and first < last:
            return last
        if self.structure.side is None:
            self._preamble(first, last)
            return last
        if self._carried and first < last:
            self._carried = False
            line = self._lines[first - self._first]
            self._expand(line, first + 1, (Direction.UP,), own=None)
        while first < last and not self._skips:
            plainly = self.structure.block and not self.structure.envsub
            read = self._block_lines if plainly else self._some_lines
            first = read(first, min(last, first + _SOME))
        return last if self._skips else first

    def _block_lines(self, first: int, last: int) -> int:
        """Read lines of a block, which begins behind blank lines and comments."""
        lines = self._lines[first - self._first : last - self._first]
        for index, line in enumerate(lines):
            if self._buffer.lines:
                self._buffer.extend(lines[index:], first + index + 1)
                break
            self._line(line, first + index + 1)
        return last

    def _some_lines(self, first: int, last: int) -> int:
        statements = self._half.statements
        lines = self._lines[first - self._first : last - self._first]
        for index, line in enumerate(lines, first):
            if (
                not (self._buffer.lines or self.structure.block)
                and not (self._lost or self.structure.envsub or self._settings)
                and "--" not in line
                and _STARTS_PLAIN(line)
                and PLAIN_NEXT.fullmatch(text := line.rstrip(BLANKS))
            ):
                statements.append(Statement(text, index + 1))
            elif (read := self._line(line, index + 1)) != index + 1:
                return read
        return last

    @property
    def _half(self) -> Half:
        return self.halves[self.structure.side or Direction.UP]

    def _preamble(self, first: int, last: int) -> None:
        lines = self._lines[first - self._first : last - self._first]
        for index, line in enumerate(lines, first):
            bare = trim(line)
            if bare and not bare.startswith("--"):
                column = line.index(bare[0]) + 1
                if not self._findings.has(Direction.UP, "before_up"):
                    self._findings.add("before_up", index + 1, column)
                return

    def _line(self, line: str, number: int) -> int:
        """
        Read one line; return the number of the last one that was read with it.

        That is 0 when nothing is read before the next annotation.
        """
        bare = line.lstrip(BLANKS)
        comment = bare.startswith("--")
        if not self._buffer.lines and (comment or not line):
            if "\r" in line:
                self._cr(line, number)
            return number
        if bare[:1] == "\\" and self._restricts(bare):
            return number
        if self._lost:
            self._lose(line, number)
            return number
        if self.structure.envsub:
            own = None if comment else self.structure.side
            sides = self._expanding(line, comment=comment)
            line = self._expand(line, number, sides, own=own)
        self._buffer.append(line, number)
        if self.structure.block:
            return number
        if ends_statement(line) or (self._buffer.copies and self._ends_copy(line)):
            return self._store(number)
        return number

    def _restricts(self, bare: str) -> bool:
        """Say whether the line only tells psql what to refuse, between statements."""
        if self.structure.block or not self._buffer.between or not is_restriction(bare):
            return False
        # one look at a statement; one for each such line in it would be slow
        self._buffer.between = not any(split_statements("\n".join(self._buffer.lines)))
        return self._buffer.between

    # goose sees no end in `COPY t FROM stdin; /* c */`; for psql the next line is a row
    def _ends_copy(self, line: str) -> bool:
        if ";" not in line:
            return False
        self._buffer.copies = False  # one look; a second for each line would be slow
        return copy_part(self._conforming("\n".join(self._buffer.lines))) is not None

    def _conforming(self, text: str) -> str:
        return conforming(text) if self._half.escapes else text

    def _expanding(self, line: str, *, comment: bool) -> tuple[Direction, ...]:
        side = self.structure.side
        if comment or not line or self._after_end:
            return tuple(each for each in BOTH if each is side)
        return BOTH

    def _expand(
        self,
        line: str,
        number: int,
        sides: tuple[Direction, ...],
        *,
        own: Direction | None,
    ) -> str:
        if not self.structure.envsub:
            return line
        return self._variables.expand(line, number, sides, own=own)

    def _lose(self, line: str, number: int) -> None:
        if trim(line):
            side = self._half.side
            self._findings.add("empty_block", self._lost, sides=(side,), lost=number)
            self._half.trust_no_more()
        self._lost = 0

    def _cr(self, line: str, number: int) -> None:
        if match := _AFTER_CR.search(line):
            column, sides = match.start() + 1, (self._half.side,)
            self._findings.add("lost_after_cr", number, column, sides=sides)

    def _store(self, number: int) -> int:
        """Keep the statement; return the number of the last line that belongs to it."""
        statement, cuts = self._taken()
        plain = is_plain(statement.text)
        copy = None if plain else copy_part(self._conforming(statement.text))
        if copy is not None:
            return self._copy(statement, copy, number)
        self._half.note(statement, block=False, plain=plain, cuts=cuts)
        return number

    def _store_block(self) -> None:
        statement, cuts = self._taken()
        if statement.text:
            plain = is_plain(statement.text)
            self._half.note(statement, block=True, plain=plain, cuts=cuts)

    def _taken(self) -> tuple[Statement, tuple[int, ...]]:
        buffer, self._buffer = self._buffer, LineBuffer()
        return buffer.statement(), tuple(buffer.cuts)

    # psql reads the rows from the next line on, up to a line `\.`
    def _copy(self, statement: Statement, part: StatementSpan, number: int) -> int:
        text = statement.text
        if skip_blank(text, 0)[0] != part.start:
            self._add("copy_merged", statement, part.start)
        follows, _ = skip_blank(text, part.end)
        if follows < len(text):
            self._add("copy_followed", statement, follows)
        data, end = self._rows(number)
        if not end:
            self._add("copy_unended", statement, part.start)
            self._skips = True
            return 0
        copy = statement._replace(text=text[: part.end], data=data)
        self._half.statements.append(copy)
        return end

    def _rows(self, first: int) -> tuple[Iterable[str], int]:
        """Return the rows from an index on, and the line that ends them; 0 for none."""
        at = first - self._first
        try:
            end = self._lines.index("\\.", at)
        except ValueError:
            return ((), 0) if self._last else self._long_rows(first)
        rows = "".join(f"{row}\n" for row in self._lines[at:end])
        if self.structure.envsub:
            rows = "".join(self._variables.rows((rows,), first + 1, (self._half.side,)))
        return (rows,), self._first + end + 1

    def _long_rows(self, first: int) -> tuple[Iterable[str], int]:
        ahead, side = self._ahead(first + 1), (self._half.side,)
        end = end_of_rows(ahead, first + 1)
        if not self.structure.envsub or not end:
            return LongRows(partial(rows_of, ahead)), end
        rows = LongRows(partial(self._variables.rows, ahead, first + 1, side))
        for _ in rows:
            pass  # for its faults
        return rows, end

    def _add(self, slug: str, statement: Statement, at: int) -> None:
        line, column = statement.locate(at + 1)
        self._findings.add(slug, line, column, sides=(self._half.side,))


# Behind a CR that ends the comment for PostgreSQL: more than blanks and comments
_AFTER_CR = re.compile(r"\r(?=[ \t\f\v]*+[^ \t\f\v\r\-]|[ \t\f\v]*+-(?!-))")
_SOME = 1000
"""How many lines are taken at a time: those behind rows of COPY are taken again."""

# A cheap look before the regular expression that reads the whole line
_STARTS_PLAIN = re.compile("[A-Za-z]").match

"""
Statements by goose's rule: `;` at a line's end, or StatementBegin/End.

goose: `internal/sqlparser/parser.go`, ParseSQLMigration. goose parses a file once for
each direction and expands variables also in the other half; here one pass does both.

Two things that `pg_dump` writes and goose cannot run work here: the rows that follow a
`COPY … FROM stdin`, and psql's `\\restrict` (goose#138, #823, #859, #863).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from migrator.domain.model import Direction, Statement
from migrator.sql.backslashes import conforming, may_set_escapes
from migrator.sql.goose.annotations import Annotation, Mark, Verdict, find_marks
from migrator.sql.goose.envsub import Variables
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.hazards import Half, unfinished
from migrator.sql.goose.line_buffer import BLANKS, LineBuffer, ends_statement, trim
from migrator.sql.goose.state_machine import AnnotationStateMachine
from migrator.sql.goose.text_pieces import LongRows, TextPieces, rows_of
from migrator.sql.keywords import is_restriction
from migrator.sql.split import (
    StatementSpan,
    copy_part,
    is_plain,
    skip_blank,
    split_statements,
)


class LineParser:
    """goose's parser for one file; `halves` gather what it finds."""

    def __init__(
        self, pieces: TextPieces, environ: Mapping[str, str], findings: FaultCollector
    ) -> None:
        self.structure = AnnotationStateMachine(findings)
        self.halves = {side: Half(side) for side in BOTH}
        self._half = self.halves[Direction.UP]
        self._pieces = pieces
        self._variables = Variables(environ, findings)
        self._findings = findings
        self._lines: list[str] = []
        """Of the piece that was read last."""

        self._marks: Iterator[Mark] = iter(())
        """The annotations in these lines that are still to come."""

        self._first = self._end = 0
        """The file's index of the first of these lines, and of the line behind them."""

        self._at = 0
        """The file's index of the next line to read."""

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

    def batches(self) -> Iterator[None]:
        """Read the file; pause behind each piece of it, unless it ends within rows."""
        while self._read_piece():
            while self._at < self._end:
                mark = next(self._marks, None)
                self._read_lines(mark.line - 1 if mark else self._end)
                if mark and self._at < mark.line:  # otherwise a row of COPY
                    self._at += mark.verdict is not Verdict.NEAR
                    self._skips = False
                    self._mark(mark)
            if self._pieces.is_last:
                self._end_of_side()
                self.structure.finish()
            yield

    def _read_piece(self) -> bool:
        """Go on to the next piece; say whether there is one."""
        if self._pieces.is_last:
            return False
        text = self._pieces.read()
        self._lines, self._first = text.split("\n"), self._end
        # behind its last line end, a piece that others follow has no line
        self._end += len(self._lines) - (not self._pieces.is_last)
        self._marks = find_marks(text, self._first + 1)
        self._settings = self._settings or may_set_escapes(text)
        return True

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
                self._half = self.halves[Direction.DOWN]
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

    def _read_lines(self, stop: int) -> None:
        """Read lines up to an index; the rows of a COPY go beyond it."""
        if self.structure.side is None:
            self._preamble(stop)
        elif self._carried and self._at < stop and not self._skips:
            self._carried = False
            line = self._lines[self._at - self._first]
            self._expand(line, self._at + 1, (Direction.UP,), own=None)
        while self._at < stop and not self._skips:
            if self.structure.block and not self.structure.envsub:
                self._block_lines(stop)
            else:
                self._some_lines(stop)
        if self._skips:
            self._at = max(self._at, stop)

    def _block_lines(self, stop: int) -> None:
        """Read lines of a block, which begins behind blank lines and comments."""
        while self._at < stop and not self._buffer.lines:
            self._at += 1
            self._line(self._lines[self._at - 1 - self._first])
        if self._at < stop:
            lines = self._lines[self._at - self._first : stop - self._first]
            self._buffer.extend(lines, self._at + 1)
            self._at = stop

    def _some_lines(self, stop: int) -> None:
        statements, lines, first = self._half.statements, self._lines, self._first
        while self._at < stop and not self._skips:
            line = lines[self._at - first]
            self._at += 1
            if (
                not (self._buffer.lines or self.structure.block)
                and not (self._lost or self.structure.envsub or self._settings)
                and _STARTS_PLAIN(line)
                and ends_statement(line)
                and is_plain(text := line.rstrip(BLANKS))
            ):
                statements.append(Statement(text, self._at))
            else:
                self._line(line)

    def _preamble(self, stop: int) -> None:
        lines = self._lines[self._at - self._first : stop - self._first]
        for number, line in enumerate(lines, self._at + 1):
            bare = trim(line)
            if bare and not bare.startswith("--"):
                column = line.index(bare[0]) + 1
                if not self._findings.has(Direction.UP, "before_up"):
                    self._findings.add("before_up", number, column)
                break
        self._at = stop

    def _line(self, line: str) -> None:
        """Read the line before the next one, and the rows behind it."""
        number = self._at
        bare = line.lstrip(BLANKS)
        comment = bare.startswith("--")
        if not self._buffer.lines and (comment or not line):
            if "\r" in line:
                self._cr(line, number)
            return
        if bare[:1] == "\\" and self._restricts(bare):
            return
        if self._lost:
            self._lose(line, number)
            return
        if self.structure.envsub:
            own = None if comment else self.structure.side
            sides = self._expanding(line, comment=comment)
            line = self._expand(line, number, sides, own=own)
        self._buffer.append(line, number)
        if self.structure.block:
            return
        if ends_statement(line) or (self._buffer.copies and self._ends_copy(line)):
            self._store()

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

    def _store(self) -> None:
        """Keep the statement, and read the rows behind it."""
        statement, cuts = self._taken()
        plain = is_plain(statement.text)
        copy = None if plain else copy_part(self._conforming(statement.text))
        if copy is not None:
            self._copy(statement, copy)
        else:
            self._note(statement, cuts, block=False, plain=plain)

    def _store_block(self) -> None:
        statement, cuts = self._taken()
        if statement.text:
            plain = is_plain(statement.text)
            self._note(statement, cuts, block=True, plain=plain)

    def _note(
        self, statement: Statement, cuts: tuple[int, ...], *, block: bool, plain: bool
    ) -> None:
        self._half.note(statement, block=block, plain=plain, cuts=cuts)
        # its words may stand in two pieces, and be found in neither
        self._settings = self._settings or self._half.escapes

    def _taken(self) -> tuple[Statement, tuple[int, ...]]:
        buffer, self._buffer = self._buffer, LineBuffer()
        return buffer.statement(), tuple(buffer.cuts)

    # psql reads the rows from the next line on, up to a line `\.`
    def _copy(self, statement: Statement, part: StatementSpan) -> None:
        text = statement.text
        if skip_blank(text, 0)[0] != part.start:
            self._add("copy_merged", statement, part.start)
        follows, _ = skip_blank(text, part.end)
        if follows < len(text):
            self._add("copy_followed", statement, follows)
        data = self._rows()
        if data is None:
            self._add("copy_unended", statement, part.start)
            self._skips = True
        else:
            copy = statement._replace(text=text[: part.end], data=data)
            self._half.statements.append(copy)

    def _rows(self) -> Iterable[str] | None:
        """Read rows and the line that ends them; return the rows, None without end."""
        first = self._at
        if not self._ends_rows():
            return self._long_rows()
        lines = self._lines[first - self._first : self._at - 1 - self._first]
        rows = ("".join(f"{line}\n" for line in lines),)
        if not self.structure.envsub:
            return rows
        return tuple(self._variables.rows(rows, first + 1, (self._half.side,)))

    def _ends_rows(self) -> bool:
        """Go behind the line that ends rows; say whether this piece has one."""
        try:
            end = self._lines.index("\\.", self._at - self._first)
        except ValueError:
            return False
        self._at = self._first + end + 1
        return True

    def _long_rows(self) -> Iterable[str] | None:
        number, sides, variables = self._at + 1, (self._half.side,), self._variables
        head = "\n".join(self._lines[self._at - self._first :])
        following = self._pieces.following()
        place = self._pieces.index, self._lines, self._marks
        indexes = self._first, self._end, self._at
        while self._read_piece():
            self._at = self._first
            if self._ends_rows():
                break
        else:
            self._pieces.index, self._lines, self._marks = place
            self._first, self._end, self._at = indexes
            return None
        envsub = self.structure.envsub

        def read() -> Iterator[str]:
            texts = chain((head,), following())
            return variables.rows(texts, number, sides) if envsub else rows_of(texts)

        for _ in read() if envsub else ():
            pass  # for its faults
        return LongRows(read)

    def _add(self, slug: str, statement: Statement, at: int) -> None:
        line, column = statement.locate(at + 1)
        self._findings.add(slug, line, column, sides=(self._half.side,))


# Behind a CR that ends the comment for PostgreSQL: more than blanks and comments
_AFTER_CR = re.compile(r"\r(?=[ \t\f\v]*+[^ \t\f\v\r\-]|[ \t\f\v]*+-(?!-))")
# A cheap look before the regular expression that reads the whole line
_STARTS_PLAIN = re.compile("[A-Za-z]").match

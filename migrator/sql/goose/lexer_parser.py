"""
Statements by PostgreSQL's lexer: StatementBegin/End are optional.

Annotations count where the lexer sees a comment; inside a string, a dollar quote or a
block comment they are text. Two things stay as in goose: a block is one statement,
whatever is in it, and ENVSUB works on lines, before anything else is read.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress

from migrator.domain.model import Direction
from migrator.sql.backslashes import backslash_hint
from migrator.sql.goose.annotations import Annotation, Mark, Verdict
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.hazards import Half
from migrator.sql.goose.line_buffer import BLANKS
from migrator.sql.goose.state_machine import AnnotationStateMachine
from migrator.sql.goose.text_pieces import TextPieces
from migrator.sql.goose.window import UncertainError, Window, line_end
from migrator.sql.keywords import copies_in, is_restriction
from migrator.sql.lexer import possessive, tokenize
from migrator.sql.split import (
    Inside,
    StatementSpan,
    Stop,
    is_plain,
    part_at,
    skip_blank,
    whole_at,
)


class LexerParser(Window):
    """
    The parser of one file for split=postgres; `halves` gather what it finds.

    What the end of a piece leaves uncertain is read again with the next piece; until
    it is certain, nothing is noted that would not be noted again.
    """

    def __init__(
        self, pieces: TextPieces, environ: Mapping[str, str], findings: FaultCollector
    ) -> None:
        super().__init__(pieces, environ)
        self.structure = AnnotationStateMachine(findings)
        self.halves = {side: Half(side) for side in BOTH}
        self._findings = findings
        self._down = 0
        """The line of Down; 0 before."""

    def batches(self) -> Iterator[None]:
        """Read the file; pause where the next piece of it is needed."""
        while not self._pieces.is_last:
            self._extend()
            with suppress(UncertainError):
                while self._at < self._end:
                    self._at = self._next(self._at)
            self.structure.expands = self._expander.expands
            if self._pieces.is_last:
                self._finish()
            yield

    def _finish(self) -> None:
        self.structure.finish()
        for failure in self._expander.failures:
            self._findings.add(
                "envsub",
                failure.line,
                failure.column,
                sides=self._sides_of(failure.line),
                why=failure.reason,
            )
        for unset in self._expander.unset:
            sides = self._sides_of(unset.line)
            self._findings.warn(
                "variable_unset",
                unset.line,
                unset.column,
                sides=sides,
                said=unset.reason,
            )

    def _sides_of(self, line: int) -> tuple[Direction, ...]:
        if not self._down:
            return BOTH if self.structure.side is None else (Direction.UP,)
        return (Direction.UP if line < self._down else Direction.DOWN,)

    def _next(self, at: int) -> int:
        """Read what comes next: an annotation, or a statement; return its end."""
        mark = self._mark
        stop = mark.dashes if mark else self._end
        if self.structure.side is not None and not self._settings:
            at = self._at = self._plain(at, stop)
        start, unclosed = skip_blank(self._text, at, stop)
        if mark and start == stop:
            return self._annotation(mark)
        self._certainly(not unclosed)
        self._pass(start)
        if unclosed:
            return self._unclosed(Inside.BLOCK, start)
        if start > stop or start == self._end:
            return start
        return self._sql(start, mark)

    def _sql(self, start: int, mark: Mark | None) -> int:
        if self.structure.side is None:
            return self._before_up(start)
        if self._text[start] == "\\":
            return self._command(start)
        part = part_at(self._text, start, escapes=self._half.escapes)
        self._certainly(part.stop is Stop.SEMICOLON)
        if mark and mark.dashes < part.end:
            return self._crossed(part)
        return self._statement(part)

    def _plain(self, at: int, stop: int) -> int:
        """Read the statements up to *stop* in which there is nothing to look at."""
        statements, source = self._half.statements, self._source
        while match := whole_at(self._text, at, stop):
            at = match.end()
            start = match.start("statement")
            statements.append(source.whole(start, match["statement"]))
        return at

    def _annotation(self, mark: Mark) -> int:
        self._await_end(mark)
        self._passed += 1
        followed = self.structure.take(mark)
        if followed is Annotation.DOWN:
            self._down = mark.line
        if followed is Annotation.BEGIN:
            return self._block([], mark)
        return mark.end

    def _await_end(self, mark: Mark) -> None:
        """Make certain that the block which *mark* begins ends in this text."""
        begins = mark.annotation is Annotation.BEGIN and self.structure.side
        if begins and mark.verdict is not Verdict.NEAR:
            following = range(self._passed + 1, len(self._marks))
            ends = (self.structure.ends_block(self._marks[n]) for n in following)
            self._certainly(any(ends))

    def _before_up(self, start: int) -> int:
        """Pass all up to the next annotation, without which nothing counts."""
        self._findings.add("before_up", *self._source.place(start))
        while self._mark is None and not self._pieces.is_last:
            self._at = self._end
            self._extend()
        return self._mark.start if self._mark else self._end

    def _command(self, start: int) -> int:
        end = line_end(self._text, start)
        line = self._text[start:end]
        if not is_restriction(line):
            self._add("psql_command", start, said=line[:40], hint="")
        self._pass(end)
        return end

    def _statement(self, part: StatementSpan) -> int:
        if part.stop is Stop.OPEN and part.inside in _QUOTES:
            hint = backslash_hint(self._text[part.start : part.end])
            return self._unclosed(part.inside, part.since, hint)
        if copies_in(self._text, part.start, part.end):
            return self._copy(part)
        if part.end - part.start > 1 or part.stop is not Stop.SEMICOLON:
            self._store([(part.start, part.end)])
        return part.end

    def _store(self, pieces: list[tuple[int, int]]) -> None:
        statement = self._source.statement(pieces)
        self._half.note(statement, block=False, plain=False)

    def _crossed(self, part: StatementSpan) -> int:
        """Read a statement in which a mark stands: find out whether it is one."""
        pieces: list[tuple[int, int]] = []
        start = part.start
        for token in tokenize(self._text, part.start, escapes=self._half.escapes):
            mark = self._mark
            if mark is None or mark.dashes >= part.end:
                break
            if token.start == mark.dashes and token.closed:
                if mark.verdict is Verdict.NEAR:
                    self._annotation(mark)
                    continue
                if mark.annotation in _ENDS:
                    return self._cut_short([*pieces, (start, mark.start)], mark)
                pieces.append((start, mark.start))
                start = min(mark.end + 1, part.end)
                self._annotation(mark)
            self._pass(token.end)
        if not pieces:
            return self._statement(part)
        self._store([*pieces, (start, part.end)])
        return part.end

    def _cut_short(self, pieces: list[tuple[int, int]], mark: Mark) -> int:
        if mark.annotation is Annotation.BEGIN:
            self._await_end(mark)
            self._passed += 1
            if self.structure.take(mark) is Annotation.BEGIN:
                return self._block(pieces, mark)
        start = pieces[0][0]
        if copies_in(self._text, start, mark.start):
            self._add("copy_unended", start)
        self._store(pieces)
        return mark.start

    # As in goose: the block is taken line by line, whatever the lexer thinks of it
    def _block(self, pieces: list[tuple[int, int]], mark: Mark) -> int:
        while following := self._mark:
            pieces.append((min(mark.end + 1, following.start), following.start))
            mark = following
            self._passed += 1
            side = self.structure.side
            if self.structure.take(mark) is Annotation.DOWN:
                self._down = mark.line
            if not self.structure.block or self.structure.side is not side:
                break
        else:
            return self._end
        pieces = self._without_lead(pieces)
        if pieces and self.structure.side is side:
            statement = self._source.statement(pieces)
            plain = is_plain(statement.text)
            self._half.note(statement, block=True, plain=plain)
        return mark.end

    def _without_lead(self, pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return *pieces* without the blank and comment lines that they start with."""
        for index, (start, end) in enumerate(pieces):
            match = _LEAD.match(self._text, start, end)
            first = match.end() if match else start
            if first < end:
                return [(first, end), *pieces[index + 1 :]]
        return []

    # psql reads the rows from the next line on, up to a line `\.`
    def _copy(self, part: StatementSpan) -> int:
        rest = line_end(self._text, part.end)
        follows, unclosed = skip_blank(self._text, part.end, rest)
        self._certainly(not unclosed)
        if follows != rest or unclosed:
            self._add("copy_followed", follows)
        copy = self._source.statement([(part.start, part.end)])
        rows, end = self._rows(min(rest + 1, self._end))
        if end < 0 or part.stop is not Stop.SEMICOLON:
            self._findings.add(
                "copy_unended", copy.line, copy.column, sides=self._onward
            )
            self._pass(self._end)
            return self._end
        self._half.note(copy._replace(data=rows), block=False, plain=False)
        return end

    def _unclosed(self, inside: Inside, since: int, hint: str = "") -> int:
        line, column = self._source.place(since)
        self._findings.add(
            "unclosed",
            line,
            column,
            sides=self._onward,
            inside=inside.value,
            hint=hint,
        )
        self._pass(self._end)
        return self._end

    @property
    def _half(self) -> Half:
        return self.halves[self.structure.side or Direction.UP]

    @property
    def _onward(self) -> tuple[Direction, ...]:
        """The halves that are lost when the rest of the file is."""
        return (Direction.DOWN,) if self.structure.side is Direction.DOWN else BOTH

    def _add(self, slug: str, at: int, **fields: object) -> None:
        line, column = self._source.place(at)
        self._findings.add(slug, line, column, sides=(self._half.side,), **fields)


_ENDS = {Annotation.UP, Annotation.DOWN, Annotation.BEGIN, Annotation.END}
_QUOTES = {Inside.STRING, Inside.NAME, Inside.DOLLAR, Inside.BLOCK}
_LEAD = re.compile(possessive(rf"[{BLANKS}]*+--[^\n]*+\n?+") + rf"[{BLANKS}]*+")

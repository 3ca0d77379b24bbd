"""
What goose runs otherwise than it is written: found by asking PostgreSQL's lexer.

goose knows no strings, no dollar quotes and no block comments. Where its statements
and PostgreSQL's end at the same places, or where the difference does no harm, nothing
is said.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from migrator.domain.model import Direction, Statement
from migrator.sql.backslashes import backslash_hint, conforming, sets_escapes
from migrator.sql.goose.faults import FaultCollector
from migrator.sql.goose.statement_runs import OpenStatements, StatementRun
from migrator.sql.keywords import (
    copies_in,
    ends_transaction,
    find_backslash,
    refuses_transaction,
)
from migrator.sql.lexer import Kind, tokenize
from migrator.sql.split import (
    INSIDE,
    Inside,
    StatementSpan,
    Stop,
    block_comments,
    inside,
    split_statements,
)
from migrator.sql.transaction_block import transaction_refusal


_Find = Callable[[int], tuple[Statement, int]]
"""Gives the statement that holds a place of a text, and its place in it."""


class _Suspect(NamedTuple):
    """A statement in which goose and PostgreSQL may differ."""

    at: int
    block: bool
    cuts: tuple[int, ...]


class Half:
    """The new statements of one direction, and those that need a second look."""

    def __init__(self, side: Direction) -> None:
        self.side = side
        self.statements: list[Statement] = []
        self.rest: OpenStatements | None = None
        """What the next statements go on with, up to the next block."""

        self.escapes = False
        """Whether backslashes in the plain strings of what follows are escapes."""

        self._conforming: dict[int, Statement] = {}
        self._suspects: list[_Suspect] = []
        self._blocks: list[int] = []
        self._trusted: int | None = None

    def note(
        self,
        statement: Statement,
        *,
        block: bool,
        plain: bool,
        cuts: tuple[int, ...] = (),
    ) -> None:
        """
        Take *statement*; unless it is *plain*, it gets a second look.

        *cuts* are the file's lines taken out of its middle.
        """
        index = len(self.statements)
        self.statements.append(statement)
        if block:
            self._blocks.append(index)
        if self.escapes:
            text = conforming(statement.text)
            self._conforming[index] = statement._replace(text=text)
        if cuts or not plain or self.escapes:
            self._suspects.append(_Suspect(index, block, cuts))
        said = sets_escapes(statement.text)
        self.escapes = self.escapes if said is None else said

    def trust_no_more(self) -> None:
        """Leave what follows unchecked: goose lost a line here, the rest is noise."""
        if self._trusted is None:
            self._trusted = len(self.statements)

    def check(
        self, findings: FaultCollector, *, transaction: bool | None, last: bool
    ) -> None:
        """
        Note what would be done with the new statements unseen by their author.

        *transaction* is None as long as the file may still say that it wants none.
        """
        check = _Check(self, findings, transaction=transaction, last=last)
        behind, trusted = check.go_on(), self._trusted
        for suspect in self._suspects:
            if suspect.at >= behind and (trusted is None or suspect.at < trusted):
                behind = check.look(suspect)

    def as_conforming(self) -> list[Statement]:
        """Return the new statements with no escapes in their plain strings."""
        if not self._conforming:
            return self.statements
        return [self._conforming.get(n, s) for n, s in enumerate(self.statements)]

    @property
    def starts_with_block(self) -> bool:
        """Say whether the first new statement stands in a block."""
        return self._blocks[:1] == [0]

    def take(self) -> list[Statement]:
        """Return the new statements, which are old from now on."""
        taken, self.statements = self.statements, []
        self._suspects, self._blocks, self._conforming = [], [], {}
        if self._trusted is not None:
            self._trusted = 0
        return taken

    def end_of_run(self, index: int) -> int:
        """Return the index of the next block behind *index*, or of the end."""
        at = bisect_right(self._blocks, index)
        return self._blocks[at] if at < len(self._blocks) else len(self.statements)


class _Check:
    def __init__(
        self,
        half: Half,
        findings: FaultCollector,
        *,
        transaction: bool | None,
        last: bool,
    ) -> None:
        self._half = half
        self._statements = half.as_conforming()
        self._findings = findings
        self._transaction = transaction
        self._last = last

    def go_on(self) -> int:
        """Go on with the rest of what came before; return where to look again."""
        rest = self._half.rest
        if rest is None:
            return 0
        end = self._half.end_of_run(-1)
        ends = self._ends_at(end)
        enough = rest.grows(self._statements[:end]) or ends
        if ends:
            self._half.rest = None
        if enough and rest.statements is not None:
            self._compare(rest.statements, rest.at, ends=ends)
        return end

    def look(self, suspect: _Suspect) -> int:
        """Check one statement, or all up to the next block; return where to go on."""
        statement = self._statements[suspect.at]
        self._cuts(statement, suspect.cuts)
        found = list(split_statements(statement.text))
        for part in found:
            self._in_transaction(statement, part.start, statement.text, part.start)
            if self._foreign(statement, part, block=suspect.block):
                return self._up_to_block(suspect.at, compare=False)
        self._merged(statement, found, block=suspect.block)
        if suspect.block and found and found[-1].inside is not Inside.BODY:
            self._unclosed(statement.text, found[-1], lambda at: (statement, at))
        if suspect.block or not found or found[-1].stop is Stop.SEMICOLON:
            return suspect.at + 1
        return self._up_to_block(suspect.at, compare=True)

    def _in_transaction(
        self, statement: Statement, at: int, text: str, start: int
    ) -> None:
        """Note what the transaction refuses or ends with: *at* is *start* of *text*."""
        if self._transaction is False:
            return
        for slug, find in _OUTSIDE:
            if said := find(text, start):
                self._add_if(slug, statement, at, transaction=True, said=said)

    def _foreign(
        self, statement: Statement, part: StatementSpan, *, block: bool
    ) -> bool:
        """Note what is no SQL; say whether rows follow, which are not looked at."""
        text = statement.text
        said, at = _psql_command(text[part.start : part.end])
        if said:
            hint = backslash_hint(text)
            self._add("psql_command", statement, part.start + at, said=said, hint=hint)
        if block and copies_in(text, part.start, part.end):
            self._add("copy_in_block", statement, part.start)
            return True
        return False

    # A simple query of several statements is one implicit transaction: protocol-flow,
    # "Multiple Statements in a Simple Query"
    def _merged(
        self, statement: Statement, found: list[StatementSpan], *, block: bool
    ) -> None:
        merged = len(found) > 1 and self._transaction is not True
        if merged and any(
            refuses_transaction(statement.text, part.start) for part in found
        ):
            remedy = _OWN_BLOCK if block else _OWN_LINE
            at = found[1].start
            self._add_if("merged", statement, at, transaction=False, remedy=remedy)

    def _up_to_block(self, index: int, *, compare: bool) -> int:
        """Compare goose's ends with PostgreSQL's, or do not; return the next block."""
        end = self._half.end_of_run(index)
        ends = self._ends_at(end)
        if compare:
            self._compare(self._statements[index:end], 0, ends=ends)
        elif not ends:
            self._half.rest = OpenStatements(None)
        return end

    def _ends_at(self, end: int) -> bool:
        """Say whether what ends at *end* of the new statements goes no further."""
        return self._last or end < len(self._half.statements)

    def _compare(self, statements: list[Statement], at: int, *, ends: bool) -> None:
        run = StatementRun(statements)
        for part in split_statements(run.text, at):
            if part.stop is not Stop.SEMICOLON and not ends:
                break
            self._between(run, at, part.start)
            at = part.end
            self._compared(run, part)
        else:
            self._between(run, at, len(run.text))
        if not ends:
            self._half.rest = run.rest(at)

    def _compared(self, run: StatementRun, part: StatementSpan) -> None:
        self._in_transaction(*run.find(part.start), run.text, part.start)
        first = run.first_end_inside(part)
        if part.inside is Inside.BLOCK and part.since == part.start:
            self._split_comment(run, run.first_end(part.start), part.start)
        elif part.inside is not None and part.inside not in _DEPTHS:
            self._unclosed(run.text, part, run.find)
        elif first is not None:
            at = run.semicolon(first)
            where = inside(run.text, part, at) or Inside.COMMENT
            hint = backslash_hint(run.text[part.start : part.end])
            statement, at = run.find(at)
            self._add("split_inside", statement, at, inside=where.value, hint=hint)
        elif part.inside is Inside.PARENTHESES:
            self._unclosed(run.text, part, run.find)

    def _unclosed(self, text: str, part: StatementSpan, find: _Find) -> None:
        """Note what *part* of *text* opens and never closes, if it does."""
        if part.inside is not None:
            hint = backslash_hint(text[part.start : part.end])
            statement, at = find(part.since)
            self._add("unclosed", statement, at, inside=part.inside.value, hint=hint)

    def _between(self, run: StatementRun, start: int, end: int) -> None:
        """Note an end that goose sees in a comment between statements."""
        for comment in block_comments(run.text, start, end):
            first = run.first_end_inside(comment)
            if first is not None:
                self._split_comment(run, first, comment.start)

    def _split_comment(self, run: StatementRun, end: int, start: int) -> None:
        statement, at = run.find(start)
        begin, _ = statement.locate(at + 1)
        statement, at = run.find(run.semicolon(end))
        self._add("semicolon_in_comment", statement, at, begin=begin)

    def _cuts(self, statement: Statement, cuts: tuple[int, ...]) -> None:
        """Note annotations that were taken out of a string, a name or a comment."""
        places = list(_line_starts(statement, cuts))
        if not places:
            return
        for token in tokenize(statement.text):
            while places and places[0][0] < token.end:
                at, line = places.pop(0)
                if token.kind in _TEXTS and token.start < at:
                    sides = (self._half.side,)
                    where = INSIDE[token.kind].value
                    self._findings.add(
                        "annotation_inside", line, sides=sides, inside=where
                    )

    def _add(self, slug: str, statement: Statement, at: int, **fields: object) -> None:
        line, column = statement.locate(at + 1)
        sides = (self._half.side,)
        self._findings.add(slug, line, column, sides=sides, **fields)

    def _add_if(
        self,
        slug: str,
        statement: Statement,
        at: int,
        *,
        transaction: bool,
        **fields: object,
    ) -> None:
        line, column = statement.locate(at + 1)
        sides = (self._half.side,)
        self._findings.add_if(
            slug, line, column, sides=sides, transaction=transaction, **fields
        )


_OUTSIDE = (
    ("ends_transaction", ends_transaction),
    ("refuses_transaction", transaction_refusal),
)
_DEPTHS = {Inside.PARENTHESES, Inside.BODY}
_TEXTS = {Kind.STRING, Kind.NAME, Kind.BLOCK}
_OWN_LINE = "give each its own line that ends with ';'"
_OWN_BLOCK = "give each its own StatementBegin and StatementEnd"


def _line_starts(
    statement: Statement, cuts: tuple[int, ...]
) -> Iterator[tuple[int, int]]:
    """Yield where lines were taken out of a statement, and their file lines."""
    taken = set(cuts)
    at, number = 0, 0
    for jump, line in statement.jumps:
        for _ in range(jump - number):
            at = statement.text.index("\n", at) + 1
        number = jump
        if line - 1 in taken:
            yield at, line - 1


def unfinished(left: Statement, side: Direction, findings: FaultCollector) -> None:
    """Note that goose finds no end of the last statement, and why."""
    said, at = _psql_command(left.text)
    if said and not said.startswith("\\."):  # which ends rows, not a statement
        line, column = left.locate(at + 1)
        hint = backslash_hint(left.text)
        findings.add("psql_command", line, column, sides=(side,), said=said, hint=hint)
        return
    at, why, remedy = _why_unfinished(left.text)
    line, column = left.locate(at + 1)
    findings.add("unfinished", line, column, sides=(side,), why=why, remedy=remedy)


# psqlscan.l: outside of quotes a backslash begins a command, wherever in a line
def _psql_command(text: str) -> tuple[str, int]:
    """Return the first command for psql in *text* and where it is; "" for none."""
    at = find_backslash(text)
    return text[at:].split("\n", 1)[0][:40] if at >= 0 else "", at


def _why_unfinished(text: str) -> tuple[int, str, str]:
    found = list(split_statements(text))
    if not found:
        return 0, "goose takes this for a statement without ';'", _COMMENT_ONLY
    last = found[-1]
    if last.stop is Stop.SEMICOLON:
        return last.end - 1, "goose does not see this ';', for more follows it", _MOVE
    if last.stop is Stop.OPEN and last.inside is not None:
        remedy = f"close it{backslash_hint(text)}"
        return last.since, f"{last.inside.value} is opened here", remedy
    return last.start, "this statement has no ';'", "end its last line with ';'"


_COMMENT_ONLY = "remove the comment, or the line above it that holds nothing but blanks"
_MOVE = "move the comment above the statement"

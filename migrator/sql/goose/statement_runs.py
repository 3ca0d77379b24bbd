"""
Several of goose's statements as one text, for comparing their ends with PostgreSQL's.

A run of statements may go on in the next piece of its file; its rest is kept then.
"""

from bisect import bisect_right

from migrator.domain.model import Statement
from migrator.sql.goose.line_buffer import BLANKS, COMMENT_WORD
from migrator.sql.lexer import Token
from migrator.sql.split import StatementSpan


class OpenStatements:
    """Statements whose ends are not known yet; None if they are not checked."""

    def __init__(self, statements: list[Statement] | None, at: int = 0) -> None:
        self.statements = statements
        self.at = at
        self._size = self._looked = sum(len(each.text) for each in statements or ())

    def grows(self, statements: list[Statement]) -> bool:
        """Add statements; return whether the size has doubled since the last check."""
        if self.statements is None:
            return False
        self.statements += statements
        self._size += sum(len(each.text) for each in statements)
        return self._size >= 2 * self._looked


class StatementRun:
    """Several of goose's statements as one text."""

    def __init__(self, statements: list[Statement]) -> None:
        self.text = "\n".join(statement.text for statement in statements)
        self._statements = statements
        self._ends: list[int] = []
        end = -1
        for statement in statements:
            end += len(statement.text) + 1
            self._ends.append(end)

    def first_end_inside(self, part: StatementSpan | Token) -> int | None:
        """Return the first statement that goose ends before PostgreSQL does, if any."""
        at = self.first_end(part.start)
        return at if self._ends[at] < part.end else None

    def first_end(self, at: int) -> int:
        """Return the index of goose's statement at a place of the text."""
        return bisect_right(self._ends, at)

    def rest(self, at: int) -> OpenStatements:
        """Return the statements from a place on, to be checked with later ones."""
        index = bisect_right(self._ends, at)
        if index == len(self._ends):
            return OpenStatements([])
        start = self._ends[index] - len(self._statements[index].text)
        return OpenStatements(self._statements[index:], max(at - start, 0))

    def semicolon(self, index: int) -> int:
        """Return where the `;` stands that ends a statement for goose."""
        end = self._ends[index]
        start = self.text.rfind("\n", 0, end) + 1
        start = max(start, end - len(self._statements[index].text))
        last = COMMENT_WORD.split(self.text[start:end], maxsplit=1)[0]
        return start + len(last.rstrip(BLANKS)) - 1

    def find(self, at: int) -> tuple[Statement, int]:
        """Return the statement that holds a place of the text, and its place in it."""
        index = bisect_right(self._ends, at)
        index = min(index, len(self._statements) - 1)
        statement = self._statements[index]
        return statement, at - (self._ends[index] - len(statement.text))

"""
A half of a file that is one `BEGIN … COMMIT`: the transaction of its migration.

goose sends the two as they are: its own transaction ends with that COMMIT, and the
version row is written behind it. Here the migration's transaction takes their place, so
that the version row is inside. So does it for one block that ends with COMMIT and has
no BEGIN, because goose's own stands before it. Any other BEGIN and COMMIT stay where
they are, and are refused where they would end that transaction.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from migrator.domain.model import Statement
from migrator.sql.keywords import BLANK_KINDS, ends_transaction
from migrator.sql.lexer import IN_WORD, Kind, tokenize
from migrator.sql.split import StatementSpan, Stop, split_statements


class OwnTransaction:
    """Finds out whether a half, given piece by piece, is one `BEGIN … COMMIT`."""

    def __init__(self) -> None:
        self.begin = ""
        """The BEGIN to send: with what the file's own one asks for."""

        self.hidden = 0
        """How many statements hold nothing but the BEGIN or the COMMIT."""

        self._start = self._end = 0
        """Where the first statement goes on behind BEGIN, and the last ends."""

        self._started = self._ended = False
        self._possible = True

    @property
    def is_whole_half(self) -> bool:
        """Whether all statements up to now are one `BEGIN … COMMIT`."""
        return self._possible and self._ended

    def take(self, statements: Iterable[Statement], *, block: bool) -> None:
        """Read the next statements of the half; the first may be a *block*."""
        for statement in statements:
            if not self._possible:
                return
            if self._started and not self._ended and _is_other(statement.text):
                continue
            found = list(split_statements(statement.text))
            if block and not self._started:
                self._look_for_commit(statement.text, found)
            self._take(statement.text, found)

    def _look_for_commit(self, text: str, found: list[StatementSpan]) -> None:
        """Take the BEGIN as said before a block that has only a COMMIT, at its end."""
        if len(found) > 1 and not _BEGINS.match(text, found[0].start):
            self.begin = "BEGIN"
            self._started = bool(re.fullmatch(_COMMIT, _said(text, found[-1])))

    def without_ends(self, statements: Iterable[Statement]) -> Iterator[Statement]:
        """Yield what *statements*, all of the half, have between BEGIN and COMMIT."""
        neighbours = pairwise(chain(statements, [None]))
        for number, (statement, after) in enumerate(neighbours):
            if statement is None:
                return
            size = len(statement.text)
            start = 0 if number else self._start
            end = self._end if after is None else size
            if start < end:
                yield statement.cut(start, end) if end - start < size else statement

    def _take(self, text: str, found: list[StatementSpan]) -> None:
        controls = 0
        self._possible = bool(found) and not self._ended
        if not self._started:
            self._start = found[1].start if len(found) > 1 else len(text)
        for part in found:
            controls += self._control(text, part)
        self._end = found[-2].end if len(found) > 1 else 0
        if controls == len(found):
            self.hidden += 1

    def _control(self, text: str, part: StatementSpan) -> bool:
        """Read one statement; say whether it is the BEGIN or the COMMIT."""
        if not self._possible or self._ended or part.stop is Stop.OPEN:
            self._possible = False
        elif not self._started:
            begins = _BEGINS.match(text, part.start)
            match = re.fullmatch(_BEGIN, _said(text, part)) if begins else None
            self._started, self._possible = True, match is not None
            self.begin = f"BEGIN{match['modes'].upper()}" if match else ""
            return True
        elif ends_transaction(text, part.start):
            self._ended = re.fullmatch(_COMMIT, _said(text, part)) is not None
            self._possible = self._ended
            return True
        elif _BEGINS.match(text, part.start):
            self._possible = False
        return False


def _is_other(text: str) -> bool:
    return _CONTROL_WORD.search(text) is None


def _said(text: str, part: StatementSpan) -> str:
    tokens = tokenize(text[part.start : part.end])
    apart = (*BLANK_KINDS, Kind.SEMICOLON)
    start = part.start
    return " ".join(
        text[start + t.start : start + t.end].lower()
        for t in tokens
        if t.kind not in apart
    )


_BEGINS = re.compile(rf"(?:begin|start)(?!{IN_WORD})", re.IGNORECASE)
_CONTROL_WORD = re.compile(
    r"\b(?:begin|start|commit|end|abort|rollback|prepare)\b", re.IGNORECASE
)
# In gram.y: TransactionStmt, transaction_mode_list. READ ONLY is not among them: the
# version row could not be written in such a transaction.
_MODE = (
    r" (?:isolation level (?:serializable|repeatable read|read (?:un)?committed)"
    r"|read write|(?:not )?deferrable)"
)
_BEGIN = (
    r"(?:begin(?: work| transaction)?|start transaction)"
    rf"(?P<modes>(?:{_MODE}(?:(?: ,)?{_MODE})*)?)"
)
_COMMIT = r"(?:commit|end)(?: work| transaction)?(?: and no chain)?"

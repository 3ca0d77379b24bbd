"""
Statements by PostgreSQL's lexer: StatementBegin/End are optional.

Annotations count where the lexer sees a comment; inside a string, a dollar quote or a
block comment they are text. Two things stay as in goose: a block is one statement,
whatever is in it, and ENVSUB works on lines, before anything else is read.
"""

import re
from collections.abc import Mapping

from migrator.model import Direction
from migrator.sql.annotation import Annotation, Mark, find_marks
from migrator.sql.findings import BOTH, Findings
from migrator.sql.hazards import Half
from migrator.sql.lexer import tokenize
from migrator.sql.source import Source, expand_lines
from migrator.sql.split import (
    Part,
    Stop,
    copies_in,
    part_at,
    skip_blank,
)
from migrator.sql.structure import Structure


_LINE = re.compile(r"[^\n]*\n?")
# psql's rule for the end of rows: a line `\.` and nothing else
_ROWS_END = re.compile(r"^\\\.$\n?", re.MULTILINE)


class LexerParser:
    """The parser of one file for split=postgres."""

    def __init__(
        self, text: str, environ: Mapping[str, str], findings: Findings
    ) -> None:
        self.structure = Structure(findings)
        self.halves = {side: Half(side) for side in BOTH}
        self._findings = findings
        self._source = expand_lines(text, environ, list(find_marks(text)))
        self._text = self._source.text
        self._marks = self._source.marks
        self._mark = 0
        """The index of the next mark."""

    def run(self) -> None:
        """Read the whole file."""
        at = 0
        while at < len(self._text):
            at = self._next(at)
        self.structure.finish()
        for side, line, column, fields in self._source.errors(self._side_of):
            self._findings.add("envsub", line, column, sides=(side,), **fields)

    def _next(self, at: int) -> int:
        """Read one annotation, blank or statement; return where it ends."""
        stop = self._upcoming.dashes if self._upcoming else len(self._text)
        start, unclosed = skip_blank(self._text, at, stop)
        if self._upcoming and start == stop:
            return self._annotation()
        self._pass(start)
        if unclosed:
            self._unclosed(Part(start, len(self._text), Stop.OPEN), start)
            return len(self._text)
        if start >= len(self._text) or start > at:
            return start
        if self._text[start] == "\\":
            return self._command(start)
        return self._statement(start)

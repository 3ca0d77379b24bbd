"""
The position of an error in a statement's text, also inside a DO block's body.

The server points into what it parsed itself. Of what a body runs it gives a position in
an internal query, or only PL/pgSQL's line, which is counted from the body's beginning
(pl_scanner.c: location_lineno_init).
"""

import re
from collections.abc import Iterator

from psycopg.errors import Diagnostic

from migrator.sql.keywords import BLANK_KINDS, first_words
from migrator.sql.lexer import Kind, tokenize
from migrator.sql.split import split_statements


# "PL/pgSQL function inline_code_block line 3 at RAISE", in the server's language
_LINE = re.compile(r"\binline_code_block\D+(\d+)")


def error_position(text: str, diag: Diagnostic) -> int | None:
    """
    Return the position in *text*, from 1, that *diag* is about; None if unknown.

    It is unknown if *text* has several DO blocks: the server does not say which.
    """
    if diag.statement_position is not None:
        return int(diag.statement_position)
    frames = (diag.context or "").splitlines()
    line = _LINE.search(frames[-1]) if frames else None
    bodies = list(_bodies(text)) if line else []
    if line is None or len(bodies) != 1:
        return None
    start = _start_of_line(text, bodies[0], int(line[1]))
    # with more frames it is a query of a function that the block has called
    query = diag.internal_query if len(frames) == 1 else None
    offset = text.find(query, start) if query else -1
    return start + 1 if offset < 0 else offset + int(diag.internal_position or 1)


def _bodies(text: str) -> Iterator[int]:
    """Yield the offset of each DO block's body, after its quote."""
    for part in split_statements(text):
        if first_words(text, part.start, limit=1) == ["do"]:
            yield from _body(text, part.start)


def _body(text: str, start: int) -> Iterator[int]:
    is_language = False
    for token in tokenize(text, start):
        if token.kind in BLANK_KINDS:
            continue
        if token.kind is Kind.DOLLAR:
            yield text.index("$", token.start + 1) + 1
            return
        if token.kind is Kind.STRING and not is_language:  # DO LANGUAGE 'plpgsql' '…'
            yield text.index("'", token.start) + 1
            return
        is_language = text[token.start : token.end].lower() == "language"


def _start_of_line(text: str, body: int, number: int) -> int:
    """Return the offset of the first character of line *number*, from 1, of *body*."""
    start = body
    for _ in range(number - 1):
        start = text.find("\n", start) + 1
    return start + len(text[start:]) - len(text[start:].lstrip())

"""
A migration file's text to its two halves: annotations, statements, faults.

goose: `internal/sqlparser/parser.go`. What it refuses is refused here, in the same
direction; what it accepts is accepted with the same statements, unless it would run
something else than what is written.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, assert_never

from migrator.model import Section, Split
from migrator.sql.by_line import LineParser
from migrator.sql.findings import BOTH, Findings
from migrator.sql.hazards import Half, bad_characters


if TYPE_CHECKING:
    from migrator.sql.by_lexer import LexerParser


class Parsed(NamedTuple):
    """What one file says."""

    up: Section
    down: Section
    transaction: bool


def parse(
    text: str, *, split: Split, environ: Mapping[str, str], findings: Findings
) -> Parsed:
    """
    Return the halves of *text*, whose lines end with LF.

    Faults found before, such as a byte order mark, are in *findings* already.
    """
    parser = _parser(text, split, environ, findings)
    parser.run()
    structure, halves = parser.structure, parser.halves
    checked = "\0" not in text and _is_utf8(text) and not structure.expands
    for half in halves.values():
        half.check(findings, transaction=structure.transaction)
        if not checked:
            _characters(half, findings)
    up, down = (
        Section(tuple(halves[side].statements), findings.of(side)) for side in BOTH
    )
    return Parsed(up, down, structure.transaction)


def _parser(
    text: str, split: Split, environ: Mapping[str, str], findings: Findings
) -> "LineParser | LexerParser":
    match split:
        case Split.GOOSE:
            return LineParser(text, environ, findings)
        case Split.POSTGRES:
            from migrator.sql.by_lexer import LexerParser  # noqa: PLC0415 - not goose's

            return LexerParser(text, environ, findings)
        case _:
            assert_never(split)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _characters(half: Half, findings: Findings) -> None:
    for slug, line, column in bad_characters(half.statements):
        findings.add(slug, line, column, sides=(half.side,))

"""
A migration file's text to its two halves: annotations, statements, faults.

goose: `internal/sqlparser/parser.go`. What it refuses is refused here, in the same
direction; what it accepts is accepted with the same statements, unless it would run
something else than what is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from migrator.model import Section, Split
from migrator.sql.by_lexer import LexerParser
from migrator.sql.by_line import LineParser
from migrator.sql.findings import BOTH, Findings
from migrator.sql.hazards import Half, bad_characters


@dataclass(frozen=True, slots=True)
class Parsed:
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
    match split:
        case Split.GOOSE:
            by_line = LineParser(text, environ, findings)
            by_line.run()
            transaction, halves = by_line.structure.transaction, by_line.halves
            for half in halves.values():
                half.check(findings, transaction=transaction, copy="copy")
        case Split.POSTGRES:
            by_lexer = LexerParser(text, environ, findings)
            by_lexer.run()
            transaction, halves = by_lexer.structure.transaction, by_lexer.halves
            for half in halves.values():
                half.check(findings, transaction=transaction, copy="copy_in_block")
        case _:
            assert_never(split)
    if "\0" in text or not _is_utf8(text):
        for half in halves.values():
            _characters(half, findings)
    up, down = (
        Section(tuple(halves[side].statements), findings.of(side)) for side in BOTH
    )
    return Parsed(up, down, transaction)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _characters(half: Half, findings: Findings) -> None:
    for slug, line, column in bad_characters(half.statements):
        findings.add(slug, line, column, sides=(half.side,))

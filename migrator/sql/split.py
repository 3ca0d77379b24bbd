"""
Where statements end, as psql and the server see it.

A statement ends at a `;` outside parentheses and outside the body of a routine
(`BEGIN ATOMIC … END`): psql's rule in `src/fe_utils/psqlscan.l`.
"""

import re
from collections.abc import Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple

from migrator.sql.lexer import (
    COMMENT,
    IN_WORD,
    NEUTRAL_TOKEN,
    SPACE,
    Kind,
    Token,
    neutral_token,
    possessive,
    token_at,
    tokenize,
)
from migrator.sql.words import BLANK_KINDS, ENDING, copies_in, is_routine


class Stop(Enum):
    """Why a statement ends where it ends."""

    SEMICOLON = "semicolon"
    TEXT = "end of the text"
    OPEN = "end of the text inside something that is never closed"


class Inside(Enum):
    """What a place in a text can be inside of; in the words of a message."""

    STRING = "a string"
    NAME = "a quoted name"
    DOLLAR = "a dollar-quoted text"
    BLOCK = "a block comment"
    COMMENT = "a comment"
    PARENTHESES = "parentheses"
    BODY = "a BEGIN ATOMIC body"


INSIDE = {
    Kind.STRING: Inside.STRING,
    Kind.NAME: Inside.NAME,
    Kind.DOLLAR: Inside.DOLLAR,
    Kind.BLOCK: Inside.BLOCK,
    Kind.COMMENT: Inside.COMMENT,
}


class Part(NamedTuple):
    """One statement in a text: from its first token to behind its `;`."""

    start: int
    end: int
    stop: Stop
    inside: Inside | None = None
    """What is never closed, when *stop* is OPEN."""

    since: int = 0
    """Where that was opened."""


@cache
def _run(*, escapes: bool) -> re.Pattern[str]:
    return re.compile(possessive(neutral_token(escapes=escapes)))


# Routines, COPY and what may end a transaction, which the tokens must read; a block
# comment before the second word makes the patterns below fail anyway. The look at the
# first letter spares most statements the rest.
_GAP = possessive(rf"{SPACE}|{COMMENT}")
_OR_REPLACE = possessive(f"or{_GAP}replace{_GAP}", "?")
_HEAD = (
    rf"(?=[ACEPRacepr])(?i:copy|{ENDING}|create{_GAP}{_OR_REPLACE}(?:function|procedure))"
    rf"(?!{IN_WORD})"
)
# How deep parentheses nest before the tokens are asked
_DEEP = 4


def _statement(atom: str) -> str:
    """Return the pattern of a statement made of *atom* and of parentheses around it."""
    nested = possessive(atom)
    for _ in range(_DEEP):
        nested = possessive(rf"{atom}|\({nested}\)")
    return rf"(?!{_HEAD})((?=[A-Za-z]){nested};)"


# Most statements, in one step. The first pattern reads long runs: nothing in it but
# plain strings, quoted names and parentheses; an E'' ends it, for its continuation has
# backslashes. The second reads word by word and knows E'', line comments and `$$`.
# The heads above, tagged dollar quotes and block comments are left to the tokens. What
# repeats does so possessively, so nothing is read twice.
_PLAIN = _statement(r"[^'\"$;()/\-\\]++|(?<![eE])'[^']*+'|\"[^\"]*+\"|-(?!-)|/(?!\*)")
_DOLLARS = r"\$\$" + possessive(r"[^$]++|\$(?!\$)") + r"\$\$"
_WHOLE = _statement(rf"{NEUTRAL_TOKEN}|{_DOLLARS}")
_BETWEEN = re.compile(_GAP)
_REST = re.compile(_GAP + r"\Z")
_ATOMIC = re.compile("atomic", re.IGNORECASE)
_COPY_ANYWHERE = re.compile("copy", re.IGNORECASE)

PLAIN_NEXT = re.compile(r"[ \t\n\r\f\v]*+" + _PLAIN)
"""Blanks and one whole statement, as group 1, without anything to trip over."""


@cache
def _at_whole() -> re.Pattern[str]:
    # takes some milliseconds, and many files hold nothing but what is plain
    return re.compile(_WHOLE)


def is_plain(text: str) -> bool:
    """
    Say whether *text* is one whole statement without anything to trip over.

    True is certain; False means that the tokens must be asked.
    """
    match = PLAIN_NEXT.match(text) or _at_whole().match(text)
    return match is not None and _REST.match(text, match.end()) is not None


def parts(text: str, start: int = 0) -> Iterator[Part]:
    """
    Yield the statements of *text* in order; comments alone are none.

    A block comment between statements that is never closed is the last part.
    """
    start, unclosed = skip_blank(text, start)
    while start < len(text):
        if unclosed:
            yield Part(start, len(text), Stop.OPEN, Inside.BLOCK, start)
            return
        part = part_at(text, start)
        if part.end - start > 1 or part.stop is not Stop.SEMICOLON:
            yield part  # a lone `;` is none
        start, unclosed = skip_blank(text, part.end)


def copy_part(text: str) -> Part | None:
    """Return the first `COPY … FROM stdin;` of *text*, if there is one."""
    if not _COPY_ANYWHERE.search(text):
        return None
    for part in parts(text):
        if part.stop is Stop.SEMICOLON and copies_in(text, part.start, part.end):
            return part
    return None


def skip_blank(text: str, start: int, stop: int | None = None) -> tuple[int, bool]:
    """
    Return where the blanks and comments from *start* end, and whether one never does.

    The place is not behind *stop*, but for a block comment that reaches over it. When
    a block comment is never closed, the place is its start.
    """
    stop = len(text) if stop is None else stop
    while True:
        start = _blank_end(text, start, stop)
        if start >= stop:
            return start, False
        if not text.startswith("/*", start):
            return start, False
        token = token_at(text, start)
        if not token.closed:
            return start, True
        start = token.end


def _blank_end(text: str, start: int, end: int) -> int:
    match = _BETWEEN.match(text, start, end)
    return match.end() if match else start


def part_at(text: str, start: int, *, escapes: bool = False) -> Part:
    """
    Return the statement whose first token stands at *start*.

    With *escapes* its plain strings have backslashes (standard_conforming_strings off).
    """
    if not escapes:
        match = PLAIN_NEXT.match(text, start) or _at_whole().match(text, start)
        if match is not None:
            return Part(start, match.end(1), Stop.SEMICOLON)
    if is_routine(text, start):
        return _routine(text, start, escapes=escapes)
    return _simple(text, start, escapes=escapes)


# In psqlscan.l: paren_depth; a `)` too many does not count
def _simple(text: str, start: int, *, escapes: bool) -> Part:
    at, depth, opened, run = start, 0, start, _run(escapes=escapes)
    while True:
        match = run.match(text, at)
        at = match.end() if match else at
        if at == len(text):
            return _unfinished(start, at, depth, opened)
        match text[at]:
            case ";" if not depth:
                return Part(start, at + 1, Stop.SEMICOLON)
            case ";":
                at += 1
            case "(":
                opened, depth, at = opened if depth else at, depth + 1, at + 1
            case ")":
                depth, at = max(depth - 1, 0), at + 1
            case _:
                token = token_at(text, at, escapes=escapes)
                if not token.closed:
                    return Part(start, len(text), Stop.OPEN, INSIDE[token.kind], at)
                at = token.end


def _unfinished(start: int, end: int, depth: int, opened: int) -> Part:
    if depth:
        return Part(start, end, Stop.OPEN, Inside.PARENTHESES, opened)
    return Part(start, end, Stop.TEXT)


class _Depth:
    """
    How deep a routine's text is in parentheses and in BEGIN ATOMIC … END.

    psqlscan.l counts each BEGIN, CASE and END outside parentheses. We are closer to
    the server in two places: only BEGIN ATOMIC opens a body, and a name after AS or
    a dot is no keyword (`SELECT 1 AS end`).
    """

    def __init__(self) -> None:
        self.parentheses = 0
        self.body = 0
        self.opened = 0
        self._before = ""

    def take(self, text: str, token: Token) -> None:
        """Count *token*."""
        if token.kind in BLANK_KINDS:
            return
        named = token.kind in (Kind.WORD, Kind.OTHER)
        word = text[token.start : token.end].lower() if named else ""
        if token.kind is Kind.OPEN:
            self.opened = self.opened if self else token.start
            self.parentheses += 1
        elif token.kind is Kind.CLOSE:
            self.parentheses = max(self.parentheses - 1, 0)
        elif token.kind is Kind.WORD and not self.parentheses:
            self._word(word, token.start)
        self._before = word

    def _word(self, word: str, start: int) -> None:
        if self._before == "as" or self._before.endswith("."):
            return
        if not self.body:
            if word == "atomic" and self._before == "begin":
                self.body, self.opened = 1, start
        elif word == "case":
            self.body += 1
        elif word == "end":
            self.body -= 1

    def __bool__(self) -> bool:
        return bool(self.parentheses or self.body)


def _routine(text: str, start: int, *, escapes: bool) -> Part:
    part = _simple(text, start, escapes=escapes)
    if not _ATOMIC.search(text, start, part.end):
        return part
    depth = _Depth()
    for token in tokenize(text, start, escapes=escapes):
        if not token.closed:
            return Part(start, len(text), Stop.OPEN, INSIDE[token.kind], token.start)
        if token.kind is Kind.SEMICOLON and not depth:
            return Part(start, token.end, Stop.SEMICOLON)
        depth.take(text, token)
    if depth.body:
        return Part(start, len(text), Stop.OPEN, Inside.BODY, depth.opened)
    return _unfinished(start, len(text), depth.parentheses, depth.opened)


def inside(text: str, part: Part, at: int) -> Inside | None:
    """Return what the character at *at* of a statement is inside of, if anything."""
    depth = _Depth()
    for token in tokenize(text, part.start):
        if token.start <= at < token.end and token.kind in INSIDE:
            return INSIDE[token.kind]
        if token.end > at:
            break
        depth.take(text, token)
    if depth.body:
        return Inside.BODY
    return Inside.PARENTHESES if depth.parentheses else None

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

from migrator.sql.keywords import BLANK_KINDS, ENDING, copies_in, is_routine
from migrator.sql.lexer import (
    BLOCK,
    COMMENT,
    ESCAPED_REST,
    IN_WORD,
    SPACE,
    TAG,
    Kind,
    Token,
    neutral_token,
    possessive,
    token_at,
    tokenize,
)


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


class StatementSpan(NamedTuple):
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


# What a second look is for, by its first words: COPY, and what ends a transaction or
# may be refused in one. The look at the first letter spares most statements the rest.
_BLANK = possessive(rf"{SPACE}|{COMMENT}|{BLOCK}")
_UNIQUE = possessive(f"unique{_BLANK}", "?")
_UP_TO_DETACH = possessive("[^;dD]++|[dD](?!etach)") + "[dD]etach"
_SECOND_LOOK = (
    rf"copy|{ENDING}|vacuum|cluster|reindex|discard"
    rf"|(?:create|drop|alter){_BLANK}(?:database|tablespace|subscription|system)"
    rf"|(?:create|drop){_BLANK}{_UNIQUE}index{_BLANK}concurrently"
    rf"|alter{_BLANK}table{_BLANK}{_UP_TO_DETACH}"
)
_GAP = possessive(rf"{SPACE}|{COMMENT}")
_OR_REPLACE = possessive(f"or{_GAP}replace{_GAP}", "?")
_ROUTINE = rf"create{_GAP}{_OR_REPLACE}(?:function|procedure)"
# How deep parentheses nest before the tokens are asked
_DEEP = 4


def _nested(atom: str, depth: int = _DEEP) -> str:
    """Return what matches *atom*, and parentheses around it, as often as it can."""
    pattern = possessive(atom)
    for _ in range(depth):
        pattern = possessive(rf"{atom}|\({pattern}\)")
    return pattern


def _statement(body: str, heads: str) -> str:
    """Return what matches a statement of *body* that starts with none of *heads*."""
    apart = rf"(?=[ACDEPRVacdeprv])(?i:{heads})(?!{IN_WORD})"
    return rf"(?!{apart})(?P<statement>(?=[A-Za-z]){body};)"


# Most statements, in one step. The first pattern takes milliseconds less to compile,
# and is enough for many files: nothing in it but plain strings, quoted names and
# parentheses. The second knows E'', comments, and dollar quotes by what may be the
# first tag, and one more outside of parentheses, for what repeats can refer to no group
# inside of it. Both read long runs: what a quote or a `$` begins is seen by what stands
# before it. All else is left to the tokens: BEGIN ATOMIC, which opens a body, and `a$b`
# or `1e'a'`. What repeats does so possessively, so nothing is read twice.
_PLAIN = _statement(
    _nested(r"[^'\"$;()/\-\\]++|(?<![eE])'[^']*+'|\"[^\"]*+\"|-(?!-)|/(?!\*)"),
    f"{_SECOND_LOOK}|{_ROUTINE}",
)
_ATOM = (
    rf"[^'\"$;()/\-\\bB]++|(?!(?i:begin){_BLANK}(?i:atomic))[bB]"
    r"|'(?:(?<![eE]')|(?<=[A-Za-z_][eE]'))[^']*+'"
    rf"|'(?<=[eE]')(?<!{IN_WORD}[eE]'){ESCAPED_REST}'"
    rf"|\"[^\"]*+\"|-(?!-)|{COMMENT}|/(?!\*)|{BLOCK}|(?<!{IN_WORD})(?!{TAG})\$"
)


def _dollars(tag: str) -> str:
    """Return what matches a text in dollar quotes with the tag of the group *tag*."""
    same = f"(?P={tag})"
    return rf"(?<!{IN_WORD}){same}" + possessive(rf"[^$]++|(?!{same})\$") + same


_FIRST_TAG = rf"(?=[^$;]*+(?P<first>{TAG})?)"
_BODY = _nested(f"{_ATOM}|{_dollars('first')}")
_OTHER_TAG = rf"(?:(?=(?P<other>{TAG})){_dollars('other')}{_nested(_ATOM, 1)})?"
_WHOLE = _BLANK + _FIRST_TAG + _statement(_BODY + _OTHER_TAG, _SECOND_LOOK)
_BETWEEN = re.compile(_GAP)
_REST = re.compile(_BLANK + r"\Z")
_ATOMIC = re.compile("atomic", re.IGNORECASE)
_COPY_ANYWHERE = re.compile("copy", re.IGNORECASE)

PLAIN_NEXT = re.compile(r"[ \t\n\r\f\v]*+" + _PLAIN)
"""Blanks and one whole statement, the group of this name, with nothing to trip over."""


@cache
def _whole_next() -> re.Pattern[str]:
    # takes some milliseconds, and many files hold nothing but what is plain
    return re.compile(_WHOLE)


def whole_at(text: str, start: int, stop: int | None = None) -> re.Match[str] | None:
    """
    Return what *text* holds from *start* on: blanks, comments, and a whole statement.

    That is one which needs no second look: what it is matches the group `statement`.
    None when there may be another one, or more than blanks before *stop*.
    """
    stop = len(text) if stop is None else stop
    return PLAIN_NEXT.match(text, start, stop) or _whole_next().match(text, start, stop)


def is_plain(text: str) -> bool:
    """
    Say whether *text* is one whole statement without anything to trip over.

    True is certain; False means that the tokens must be asked.
    """
    if PLAIN_NEXT.fullmatch(text):
        return True
    match = _whole_next().match(text)
    return match is not None and _REST.match(text, match.end()) is not None


def split_statements(text: str, start: int = 0) -> Iterator[StatementSpan]:
    """
    Yield the statements of *text* in order; comments alone are none.

    A block comment between statements that is never closed is the last part.
    """
    start, unclosed = skip_blank(text, start)
    while start < len(text):
        if unclosed:
            yield StatementSpan(start, len(text), Stop.OPEN, Inside.BLOCK, start)
            return
        whole = whole_at(text, start)
        part = (
            StatementSpan(start, whole.end(), Stop.SEMICOLON)
            if whole
            else part_at(text, start)
        )
        if part.end - start > 1 or part.stop is not Stop.SEMICOLON:
            yield part  # a lone `;` is none
        start, unclosed = skip_blank(text, part.end)


def block_comments(text: str, start: int, end: int) -> Iterator[Token]:
    """Yield the block comments from *start*, between statements, to before *end*."""
    if text.find("/*", start, end) < 0:
        return
    for token in tokenize(text, start):
        if token.start >= end:
            return
        if token.kind is Kind.BLOCK:
            yield token


def copy_part(text: str) -> StatementSpan | None:
    """Return the first `COPY … FROM stdin;` of *text*, if there is one."""
    if not _COPY_ANYWHERE.search(text):
        return None
    for part in split_statements(text):
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


def part_at(text: str, start: int, *, escapes: bool = False) -> StatementSpan:
    """
    Return the statement whose first token stands at *start*, by its tokens.

    With *escapes* its plain strings have backslashes (standard_conforming_strings off).
    """
    if is_routine(text, start):
        return _routine(text, start, escapes=escapes)
    return _simple(text, start, escapes=escapes)


# In psqlscan.l: paren_depth; a `)` too many does not count
def _simple(text: str, start: int, *, escapes: bool) -> StatementSpan:
    at, depth, opened, run = start, 0, start, _run(escapes=escapes)
    while True:
        match = run.match(text, at)
        at = match.end() if match else at
        if at == len(text):
            return _unfinished(start, at, depth, opened)
        match text[at]:
            case ";" if not depth:
                return StatementSpan(start, at + 1, Stop.SEMICOLON)
            case ";":
                at += 1
            case "(":
                opened, depth, at = opened if depth else at, depth + 1, at + 1
            case ")":
                depth, at = max(depth - 1, 0), at + 1
            case _:
                token = token_at(text, at, escapes=escapes)
                if not token.closed:
                    return StatementSpan(
                        start, len(text), Stop.OPEN, INSIDE[token.kind], at
                    )
                at = token.end


def _unfinished(start: int, end: int, depth: int, opened: int) -> StatementSpan:
    if depth:
        return StatementSpan(start, end, Stop.OPEN, Inside.PARENTHESES, opened)
    return StatementSpan(start, end, Stop.TEXT)


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


def _routine(text: str, start: int, *, escapes: bool) -> StatementSpan:
    part = _simple(text, start, escapes=escapes)
    if not _ATOMIC.search(text, start, part.end):
        return part
    depth = _Depth()
    for token in tokenize(text, start, escapes=escapes):
        if not token.closed:
            return StatementSpan(
                start, len(text), Stop.OPEN, INSIDE[token.kind], token.start
            )
        if token.kind is Kind.SEMICOLON and not depth:
            return StatementSpan(start, token.end, Stop.SEMICOLON)
        depth.take(text, token)
    if depth.body:
        return StatementSpan(start, len(text), Stop.OPEN, Inside.BODY, depth.opened)
    return _unfinished(start, len(text), depth.parentheses, depth.opened)


def inside(text: str, part: StatementSpan, at: int) -> Inside | None:
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

"""
PostgreSQL's lexer: text in, tokens out; it never fails and loses no character.

The rules are those of `src/backend/parser/scan.l` with standard_conforming_strings
on; with *escapes* they are those with it off, where plain strings have backslashes.
Tokens follow each other without a gap; what is never closed is a token up to the end of
the text, with a flag.

B'', X'', N'', U&'' and U&"" end where a plain string or a quoted name ends, so they
need no kind of their own: their prefix is a word before it.
"""

import re
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cache
from typing import NamedTuple


class Kind(Enum):
    """What a token is; as coarse as the finding of statements allows."""

    SPACE = "space"
    COMMENT = "comment"
    """`-- …` without its line end."""

    BLOCK = "block comment"
    STRING = "string"
    NAME = "quoted name"
    DOLLAR = "dollar-quoted text"
    WORD = "word"
    SEMICOLON = "semicolon"
    OPEN = "("
    CLOSE = ")"
    OTHER = "other"


class Token(NamedTuple):
    """A piece of the text from *start* to before *end*."""

    kind: Kind
    start: int
    end: int
    closed: bool = True
    """False when the text ends before the string, name or comment does."""


def possessive(pattern: str, times: str = "*") -> str:
    """
    Return the regular expression that repeats *pattern* and gives nothing back.

    What repeats may hold no capturing group (gh-101955: "The span of capturing group
    is wrong").
    """
    if sys.version_info >= (3, 11, 5):
        return rf"(?:{pattern}){times}+"
    # Before 3.11.5 CPython's re goes on from the wrong place when a possessive repeat
    # ends in the middle of its pattern (gh-100061, gh-106052). An atomic group around
    # a greedy one means the same; it is slower and keeps each step in memory.
    return rf"(?>(?:{pattern}){times})"


# In scan.l: space; \v is a space since PostgreSQL 16 and an error before
SPACE = r"[ \t\n\r\f\v]++"
# In scan.l: comment; a line comment has no escapes, and a CR ends it too
COMMENT = r"--[^\n\r]*+"
# In scan.l: ident_start, ident_cont: every non-ASCII character is a letter; `$`
# continues a name but cannot start one. Written as what they are not: such a set
# compiles a hundred times faster than one that counts up to U+10FFFF.
_LETTER = r"[^\x00-@\[-^`{-\x7f]"
_LETTER_DIGIT = r"[^\x00-/:-@\[-^`{-\x7f]"
IN_WORD = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
WORD = rf"{_LETTER}{IN_WORD}*+"
# In scan.l: decinteger, numeric, real. `$` does not continue a number: 1$a$ opens.
_FRACTION = possessive(r"\.[0-9]*+", "?")
_EXPONENT = possessive(r"[eE][+-]?+[0-9]++", "?")
NUMBER = rf"[0-9]++{_FRACTION}{_EXPONENT}"
# In scan.l: xq; a doubled quote goes on, a backslash is a character like others
STRING = "'" + possessive("[^']++|''") + "'"
# In scan.l: xd
NAME = '"' + possessive('[^"]++|""') + '"'
# In scan.l: dolqdelim; the tag is a name without `$`
TAG = rf"\$(?:{_LETTER}{_LETTER_DIGIT}*+)?\$"
# In scan.l: xcstart
_BLOCK = r"/\*"
# One in which no other begins
BLOCK = _BLOCK + possessive(r"[^*/]++|\*(?!/)|/(?!\*)") + r"\*/"
# In scan.l: xe, xeescape; and quotecontinue: after a line end the next quote continues
# the same string, with backslashes, also behind line comments
_ESCAPED_BODY = possessive(r"[^'\\]++|\\[\s\S]|''")
_REST_OF_LINE = possessive(rf"[ \t\f\v]++|{COMMENT}")
_MORE_LINES = possessive(rf"{SPACE}|{COMMENT}[\n\r]")
_CONTINUE = rf"{_REST_OF_LINE}[\n\r]{_MORE_LINES}'"
_CONTINUED = possessive(rf"'{_CONTINUE}{_ESCAPED_BODY}")
# Behind the quote that opens it, without the one that closes it
ESCAPED_REST = _ESCAPED_BODY + _CONTINUED
# Everything that starts none of the above, in runs. Not a backslash: it is in no token
# of SQL, and begins a command of psql.
_SIGNS = r"!#%&*+,.:<=>?@\[\]^`{|}~\x7f"
_OTHER = rf"[\x00-\x08\x0e-\x1f{_SIGNS}]++"


def neutral_token(*, escapes: bool = False) -> str:
    """
    Return what matches a token that ends no statement, opens nothing and nests nowhere.

    That leaves out `;`, parentheses, dollar quotes, block comments that nest,
    backslashes outside of quotes, and what is never closed. With *escapes* plain
    strings have them too.
    """
    # a word with the blanks behind it, and signs with blanks, are one step: most are so
    string = f"'{ESCAPED_REST}'" if escapes else STRING
    return (
        rf"(?![eE]'){WORD}[ \t\n\r\f\v]*+|[\x00- {_SIGNS}]++"
        rf"|[eE]'{ESCAPED_REST}'|{NUMBER}|{string}|{NAME}|{COMMENT}|{BLOCK}|-|/(?!\*)|(?!{TAG})\$"
    )


_TOKEN = (
    rf"(?P<SPACE>{SPACE})|(?P<COMMENT>{COMMENT})"
    rf"|(?P<ESCAPED>[eE]'{ESCAPED_REST}(?P<closed>'?))"
    rf"|(?P<WORD>{WORD})|(?P<STRING>{STRING})|(?P<NAME>{NAME})"
    r"|(?P<SEMICOLON>;)|(?P<OPEN>\()|(?P<CLOSE>\))"
    rf"|(?P<BLOCK>{_BLOCK})|(?P<DOLLAR>{TAG})"
    r"|(?P<OPEN_STRING>')|(?P<OPEN_NAME>\")"
    rf"|(?P<OTHER>{NUMBER}|{_OTHER}|[\s\S])"
)
_UNCLOSED = {"OPEN_STRING": Kind.STRING, "OPEN_NAME": Kind.NAME}
_KINDS = {kind.name: kind for kind in Kind}
# In scan.l: xcstart, xcstop inside xc: block comments nest
_NESTING = re.compile(r"/\*|\*/")


# In scan.l: xqstart begins xe with standard_conforming_strings off
_TOKEN_WITH_ESCAPES = _TOKEN.replace("(?P<ESCAPED>[eE]'", "(?P<ESCAPED>[eE]?'")


@cache
def _token() -> Callable[[str, int], re.Match[str] | None]:
    return re.compile(_TOKEN).match


@cache
def _token_with_escapes() -> Callable[[str, int], re.Match[str] | None]:
    return re.compile(_TOKEN_WITH_ESCAPES).match


def tokenize(text: str, start: int = 0, *, escapes: bool = False) -> Iterator[Token]:
    """
    Yield the tokens of *text* from *start*, which must not lie inside a token.

    The first token starts at *start*, each other where the one before it ends, and
    the last ends with the text.
    """
    while start < len(text):
        token = token_at(text, start, escapes=escapes)
        yield token
        start = token.end


def token_at(text: str, start: int, *, escapes: bool = False) -> Token:
    """Return the token that starts at *start*, which must lie before the end."""
    match = (_token_with_escapes() if escapes else _token())(text, start)
    if match is None:  # never: its last alternative takes every character
        return Token(Kind.OTHER, start, start + 1)
    end, name = match.end(), match.lastgroup
    if name == "DOLLAR":
        return _quoted(text, start, end, match.group())
    if name == "BLOCK":
        return _block(text, start, end)
    if name == "ESCAPED":
        closed = match["closed"] != ""
        return Token(Kind.STRING, start, end if closed else len(text), closed)
    if name in _UNCLOSED:
        return Token(_UNCLOSED[name], start, len(text), closed=False)
    return Token(_KINDS[str(name)], start, end)


# In scan.l: xdolq; only the same tag closes, and `$` before it hides nothing
def _quoted(text: str, start: int, end: int, tag: str) -> Token:
    at = text.find(tag, end)
    if at < 0:
        return Token(Kind.DOLLAR, start, len(text), closed=False)
    return Token(Kind.DOLLAR, start, at + len(tag))


def _block(text: str, start: int, end: int) -> Token:
    depth = 1
    while depth:
        match = _NESTING.search(text, end)
        if match is None:
            return Token(Kind.BLOCK, start, len(text), closed=False)
        depth += 1 if match.group() == "/*" else -1
        end = match.end()
    return Token(Kind.BLOCK, start, end)

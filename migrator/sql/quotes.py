r"""
Literals, however deep in other literals they stand, by the quotes that open them.

A literal within another one has its quotes doubled (`''s''`), or backslashes before
them (`\'s\'`, `\"s\"`); within two it has four, or three backslashes, and so on. A text
may be cut off anywhere, and need not be SQL.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Literal(NamedTuple):
    """A literal with its quotes: what stands from *start* to before *end* of a text."""

    start: int
    end: int
    quote: str
    """What opens it: quotes with what stands before each of them, or `$tag$`."""

    content: str


# Left to re's own cache: compiled, they would delay every start; few runs need them.
# In scan.l: xe, xdolq; and xus, xq. What is cut off ends with the text.
_ESCAPED = r"""(?sx)
    [eE](?P<quote>')(?=(?:'')*(?!')) (?P<content>(?:[^'\\]|\\.|\\\Z|'')*) (?:'|\Z)
"""
_DOLLAR = r"(?s)(?P<quote>\$\w*\$)(?P<content>.*?)(?:(?P=quote)|\Z)"
_SLASHED = r"(?P<quote>\\+')"
_DOUBLE = r"(?P<quote>\\*\")"
_SINGLE = r"(?:[eE]|[uU]&|[nN])?(?P<run>'+)"
_LITERAL_OR_END = r";|(?:[eE]|[uU]&|[nN])?'|(?<!\\)\\+'|\$\w*\$"
_BEHIND_EMPTY = r"[\s,;)]|\Z"


def literal_at(text: str, at: int) -> Literal | None:
    """Return the literal that begins at a place of *text*; None where none does."""
    for pattern in (_ESCAPED, _DOLLAR):
        if found := re.compile(pattern).match(text, at):
            return Literal(at, found.end(), found["quote"], found["content"])
    for pattern, end_of in ((_SLASHED, _slashed_end), (_DOUBLE, _double_end)):
        if found := re.compile(pattern).match(text, at):
            end = end_of(text, found.end(), found["quote"])
            content = text[found.end() : end].rstrip("\\'\"")
            return Literal(at, end, found["quote"], content) if content else None
    found = re.compile(_SINGLE).match(text, at)
    return found and _single(text, at, found)


def literals_up_to_semicolon(text: str, at: int) -> Iterator[Literal]:
    """Yield the literals from a place of *text* to the next `;` outside of them."""
    pattern = re.compile(_LITERAL_OR_END)
    while (found := pattern.search(text, at)) and found[0] != ";":
        literal = literal_at(text, found.start())
        at = literal.end if literal else found.end()
        if literal:
            yield literal


def _slashed_end(text: str, start: int, _quote: str) -> int:
    r"""
    Return where a literal in quotes such as `\'` ends.

    Two of them in a row are a quote in it, as two bare ones are. A bare one by itself
    ends what is around it.
    """
    for found in re.compile(r"(?<!\\)(?:\\+'|')+").finditer(text, start):
        bare = len(found[0]) - len(found[0].rstrip("'"))
        bare -= found[0][-bare - 1 : -bare] == "\\"
        slashed = found[0].count("'") - bare
        if bare % 2:
            return found.end() - 1
        if slashed % 2 and not bare % 4:
            return found.end()
    return len(text)


def _double_end(text: str, start: int, quote: str) -> int:
    r"""
    Return where a literal in quotes such as `"` or `\"` ends.

    Each level doubles the backslashes and adds one: behind another number of them than
    before the first quote, or that and some whole backslashes, a quote is part of it.
    """
    depth = len(quote)
    for found in re.compile(r"(?<!\\)\\*\"").finditer(text, start):
        more = len(found[0]) - depth
        if more < 0:
            return found.start()
        if more % (2 * depth) == 0:
            return found.end()
    return len(text)


def _single(text: str, at: int, opening: re.Match[str]) -> Literal:
    r"""
    Return the literal in plain quotes: of *opening* what is no content of it.

    That is 2 of 6, for 4 are a quote within it, and so is what has a backslash before
    it within E'…'. Two may be an empty literal, too, where no other two close it.
    """
    run = len(opening["run"])
    width = run & -run
    start = opening.end() - run + width
    # with a backslash they close what has a single quote
    for found in re.compile("'+" if width == 1 else r"(?<![\\'])'+").finditer(
        text, start
    ):
        left = len(found[0]) % (2 * width)
        if left:
            end, closes = found.end() - left, left >= width
            break
    else:
        end, closes = len(text), False
    if width > 1 and not closes and re.compile(_BEHIND_EMPTY).match(text, start):
        return Literal(at, start, "'" * (width // 2), "")
    behind = end + width * closes
    return Literal(at, behind, "'" * width, text[start:end])

"""
Passwords in texts: SQL, connection strings, URLs, and what a server repeats of them.

They are found by the words before them, so what nobody calls a password is none.
"""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import unquote


MASK = "********"
SHORT = 6
"""Passwords with fewer characters are masked only where they stand as a word."""

_GAP = r"(?:\s|/\*.*?\*/|--[^\n]*\n)"
# In scan.l: xe, xus, xq, xdolq. What is cut off ends with the text.
_STRING = r"""
    [eE]'(?:[^'\\]|\\.|'')*(?:'|$) | (?:[uU]&|[nN])?'(?:[^']|'')*(?:'|$)
    | \$(?P<{0}>\w*)\$.*?(?:\$(?P={0})\$|$)
"""
_NAME = r"(?:password|passwd|passphrase)"
_ANY_NAME = r"(?:password|passwd|passphrase|pwd|secret|token|access_?key|api_?key)"
# Left to re's own cache: compiled, they would delay every start, and few runs need them
# PASSWORD 's' of a role, a user mapping, a subscription; password := "s", secret => 's'
_QUOTED = rf"""(?isx)
    (?P<before>{_NAME}\b{_GAP}+ | {_ANY_NAME}(?:["']?|\s+\w+)\s*(?:=>|:=|=|:)\s*
        | \bset_config\s*\(\s*'[^']{{0,100}}{_ANY_NAME}'\s*,\s*)
    (?P<value>{_STRING.format("tag")} | (?<=[=:>\s])"(?:[^"\\]|\\.)+(?:"|$))
"""
# libpq's keywords, a URL's query, ODBC
_BARE = rf"(?i)(?P<before>{_ANY_NAME}=)(?P<value>(?!\*\*\*|…)[^\s'\"&;]+)"
# Not those of our own examples; one slash is left where somebody took it for a path.
# Bounded, so that long texts take no more time than they have to.
_URL = (
    r"(?P<before>\b\w{1,20}:/{1,3}[^\s:/@'\"]{0,100}:)"
    r"(?P<value>(?!password@|\*\*\*)[^\s'\"]{0,1000})(?=@)"
)
# libpq shows the part of a long line around the error, and may cut the words off
_EXCERPT = r"(?P<before>\bLINE \d+: )(?P<value>\.\.\.[^\n]*)"
# libpq shows where a connection string cannot be read: behind a blank in a password
_BROKEN = r'(?P<before>missing "=" after )(?P<value>"[^"]*")'
_UNQUOTED = rf"""(?isx)
    \b(?:create|alter)\s+(?:role|user|group)\b [^;]{{0,300}}? \b{_NAME}\b{_GAP}+
    (?!null\b|\$)(?P<value>"[^"]*"|[^\s'\";,()]+)
"""
_HINT = re.compile(
    r"passw|passphrase|pwd|secret|token|access_?key|api_?key|(?-i:LINE \d+: \.)"
    r'|missing "="'
    r"|:/{1,3}[^\s:/@]{0,100}:",
    re.IGNORECASE,
)


def without_passwords(text: str) -> str:
    """Return *text* with a mask for each password that its own words give away."""
    if not _HINT.search(text):
        return text
    for pattern, mask in (
        (_EXCERPT, MASK),
        (_BROKEN, f'"{MASK}"'),
        (_QUOTED, f"'{MASK}'"),
        (_URL, MASK),
        (_BARE, MASK),
    ):
        text = re.sub(pattern, rf"\g<before>{mask}", text)
    return text


def masked(sql: str) -> str:
    """Return *sql* with a mask for each password in it, wherever it stands again."""
    found = passwords(sql)
    return masking(found).sub(MASK, without_passwords(sql)) if found else sql


def passwords(text: str) -> frozenset[str]:
    """
    Return the passwords in *text*, as a server may repeat them without those words.

    In `CREATE ROLE` also where the quotes are wrong or missing.
    """
    return frozenset(filter(None, _passwords(text))) if _HINT.search(text) else _NONE


_NONE: frozenset[str] = frozenset()


def _passwords(text: str) -> Iterator[str]:
    for found in re.finditer(_QUOTED, text):
        yield from _unquoted(found["value"])
        # a quote inside ended it too early: the rest stands behind it
        yield from re.findall(r"\A[^\s'\",;()]+", text[found.end() :])
    for pattern in (_URL, _BARE):
        for found in re.finditer(pattern, text):
            yield from {found["value"], unquote(found["value"])}
    for found in re.finditer(_UNQUOTED, text):
        yield found["value"].strip('"')


def _unquoted(literal: str) -> Iterator[str]:
    dollar = re.fullmatch(r"\$(\w*)\$(.*?)(?:\$\1\$)?", literal, re.DOTALL)
    if dollar:
        yield dollar[2]
        return
    quote = '"' if literal.startswith('"') else "'"
    content = literal.partition(quote)[2].removesuffix(quote)
    yield content
    yield content.replace(quote * 2, quote)


def masking(secrets: Iterable[str]) -> re.Pattern[str]:
    """
    Return a pattern that finds *secrets*, the longest first, in small letters too.

    So a server repeats one that it takes for a name. A short one is found only where it
    stands as a word: anywhere else it would eat the text without hiding anything.
    """
    longest_first = sorted(filter(None, secrets), key=len, reverse=True)
    either = "|".join(map(_pattern, longest_first)) or r"(?!)"
    return re.compile(either, re.IGNORECASE)


def _pattern(secret: str) -> str:
    literal = re.escape(secret)
    return literal if len(secret) >= SHORT else rf"(?<!\w){literal}(?!\w)"

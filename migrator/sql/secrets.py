"""
Passwords in texts: SQL, connection strings, URLs, and what a server repeats of them.

They are found by the words before them, so what nobody calls a password is none.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from os.path import commonprefix
from urllib.parse import unquote

from migrator.sql.gaps import Gaps
from migrator.sql.quotes import Literal, literal_at, literals_up_to_semicolon


MASK = "********"
SHORT = 6
"""Passwords with fewer characters are masked only where they stand as a word."""

_FEWEST = 4
_NO_SECRETS = frozenset(("true", "false", "null", "none", "undefined"))


_NAME = r"(?:password|passwd|passphrase)"
_ANY_NAME = r"(?:password|passwd|passphrase|pwd|secret|token|access_?key|api_?key)"
# Left to re's own cache: compiled, they would delay every start, and few runs need them
# PASSWORD 's' of a role, a user mapping, a subscription, behind a gap
_NAME_ALONE = rf"(?i){_NAME}\b"
# password := "s", secret => 's'
_ASSIGNED = rf"""(?ix)
    {_ANY_NAME}(?:[\\"']*|\s+\w+)\s*(?:=>|:=|=|:)\s*
    | \bset_config\s*\(\s*'+[^']{{0,100}}{_ANY_NAME}'+\s*,\s*
"""
# 'PASSWORD ' || 's' and format('PASSWORD %L', 's'): every literal up to the semicolon
_BUILT = r"(?s)(?:'*+%(?:\d+\$)?[LsI][^;']{0,100}?'*?)?(?:'+|\$\w*\$)"
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
# In CREATE ROLE, where the quotes are wrong or missing
_WORD = r"""(?isx)(?!null\b|\$)(?:"[^"]*"|[^\s'\";,()]+)"""
_OF_A_ROLE = r"(?is)\b(?:create|alter)\s+(?:role|user|group)\b[^;]*\W\Z"
_MOST_BEFORE = 330
_HINT = re.compile(
    r"passw|passphrase|pwd|secret|token|access_?key|api_?key|(?-i:LINE \d+: \.)"
    r'|missing "="'
    r"|:/{1,3}[^\s:/@]{0,100}:",
    re.IGNORECASE,
)


def mask_passwords(text: str) -> str:
    """Return *text* with a mask for each password that its own words give away."""
    if not _HINT.search(text):
        return text
    for pattern, mask in ((_EXCERPT, MASK), (_BROKEN, f'"{MASK}"')):
        text = re.sub(pattern, rf"\g<before>{mask}", text)
    text = _mask(text, _literals(text))
    for pattern in (_URL, _BARE):
        text = re.sub(pattern, rf"\g<before>{MASK}", text)
    return text


def _mask(text: str, literals: Iterable[Literal]) -> str:
    """Return *text* with a mask for each of *literals*, in quotes of the same depth."""
    parts, done = [], 0
    for found in sorted(literals):
        if found.start >= done:
            inner = len(found.quote) > 1 and found.quote[-1] in "'\""
            quote = found.quote if inner else "'"
            parts += [text[done : found.start], quote, MASK, quote]
        done = max(done, found.end)
    return "".join((*parts, text[done:]))


def _literals(text: str) -> Iterator[Literal]:
    """
    Yield what words before it call a password.

    Two of them may overlap: nobody knows how deep in quotes a piece of a text is.
    """
    yield from _built_literals(text)
    ends = chain(
        (end for _, end in _password_words(text)),
        (found.end() for found in re.finditer(_ASSIGNED, text)),
    )
    done = 0
    for at in sorted(ends):
        found = literal_at(text, at) if at >= done else None
        if found:
            done = found.end
            yield found


def _built_literals(text: str) -> Iterator[Literal]:
    """Yield what a statement with a PASSWORD is put together from."""
    template, gaps, done = re.compile(_BUILT), Gaps(text), 0
    for _, end in _password_words(text):
        found = template.match(text, end) if end >= done else None
        behind = gaps.end(found.end()) if found else 0
        if found and text.startswith(("||", ","), behind):
            for literal in literals_up_to_semicolon(text, behind):
                yield literal
                done = literal.end


def _password_words(text: str) -> Iterator[tuple[int, int]]:
    """Return where each PASSWORD before a gap begins, and where that gap ends."""
    gaps = Gaps(text)
    for name in re.finditer(_NAME_ALONE, text):
        end = gaps.end(name.end())
        if end > name.end():
            yield name.start(), end


def mask_everywhere(sql: str) -> str:
    """Return *sql* with a mask for each password in it, wherever it stands again."""
    found = find_passwords(sql)
    return mask_pattern(found).sub(MASK, mask_passwords(sql)) if found else sql


def find_passwords(text: str) -> frozenset[str]:
    """
    Return the passwords in *text*, as a server may repeat them without those words.

    In `CREATE ROLE` also where the quotes are wrong or missing.
    """
    return frozenset(filter(None, _passwords(text))) if _HINT.search(text) else _NONE


_NONE: frozenset[str] = frozenset()


def _passwords(text: str) -> Iterator[str]:
    for literal in _literals(text):
        yield literal.content
        yield literal.content.replace(literal.quote * 2, literal.quote[-1])
        # a quote inside ended it too early: the rest stands behind it
        rest = re.compile(r"[^\s'\",;()]+").match(text, literal.end)
        if rest:
            yield rest[0]
    for pattern in (_URL, _BARE):
        for found in re.finditer(pattern, text):
            yield from {found["value"], unquote(found["value"])}
    yield from _of_roles(text)


def _of_roles(text: str) -> Iterator[str]:
    word = re.compile(_WORD)
    for start, end in _password_words(text):
        found = word.match(text, end)
        before = text[max(0, start - _MOST_BEFORE) : start]
        if found and re.search(_OF_A_ROLE, before):
            yield found[0].strip('"')


def is_secret(text: str) -> bool:
    """
    Return whether *text* is worth hiding.

    Fewer than four characters, or a word such as `true`, are found everywhere: masks
    would eat the text without hiding anything.
    """
    bare = text.strip()
    return len(bare) >= _FEWEST and bare.lower() not in _NO_SECRETS


def mask_pattern(secrets: Iterable[str]) -> re.Pattern[str]:
    """
    Return a pattern that finds *secrets*, the longest first, in small letters too.

    So a server repeats one that it takes for a name. A short one is found only where it
    stands as a word; what is no secret (`is_secret`) is not found at all.
    """
    known = {_in_small_letters(secret) for secret in secrets if is_secret(secret)}
    long = _either({each for each in known if len(each) >= SHORT})
    short = _either({each for each in known if len(each) < SHORT})
    return re.compile(rf"{long}|(?<!\w)(?:{short})(?!\w)", re.IGNORECASE)


def _in_small_letters(text: str) -> str:
    return "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _either(secrets: Collection[str]) -> str:
    longest_first = sorted(secrets, key=lambda secret: (-len(secret), secret))
    return _tree(longest_first) if longest_first else r"(?!)"


def _tree(secrets: Sequence[str], depth: int = 0) -> str:
    """
    Return a pattern for *secrets*, the longest first, that share what they begin with.

    A seed may hold thousands of hashes: at each character of a text only few are tried.
    """
    if len(secrets) <= _FEW or depth == _DEEPEST:
        return "|".join(map(re.escape, secrets))
    start = commonprefix(secrets)  # noqa: RUF071 - characters are meant
    groups: dict[str, list[str]] = {}
    for rest in (secret[len(start) :] for secret in secrets):
        groups.setdefault(rest[:1], []).append(rest)
    inner = "|".join(_tree(group, depth + 1) for group in groups.values())
    return f"{re.escape(start)}(?:{inner})"


_FEW = 4
_DEEPEST = 40
"""Groups in each other: re's own parser calls itself for each."""

"""
Backslashes in plain strings: escapes where standard_conforming_strings is off.

PostgreSQL reads a whole message before it runs any of it (postgres.c:
exec_simple_query, pg_parse_query), so a SET takes effect for the next one.
"""

import re

from migrator.sql.lexer import Kind, tokenize
from migrator.sql.split import Stop, split_statements


def may_set_escapes(text: str) -> bool:
    """Return whether *text* may turn escapes on; False is certain."""
    return _NAME in text.lower() and _TURNS_OFF.search(text) is not None


def sets_escapes(text: str) -> bool | None:
    """Return whether *text*, one message, turns escapes on; None if it sets nothing."""
    found: bool | None = None
    if _NAME not in text.lower():
        return None
    for part in split_statements(text):
        match = _SETS.match(text, part.start)
        if match is not None:
            value = match["value"] or match["config"] or ""
            found = _FALSE.fullmatch(value) is not None
    return found


def conforming(text: str) -> str:
    """
    Return *text* as it reads with standard_conforming_strings on.

    Each escape in a plain string is replaced by as many other characters, so that
    everything stands where it stood.
    """
    if "\\" not in text:
        return text
    return "".join(
        _ESCAPE.sub(_filler, text[token.start : token.end])
        if token.kind is Kind.STRING and text[token.start] == "'"
        else text[token.start : token.end]
        for token in tokenize(text, escapes=True)
    )


def backslash_hint(text: str) -> str:
    """Return a hint for *text* with something unclosed, if `\\'` is the reason."""
    if "\\'" not in text:
        return ""
    closed = all(
        part.stop is not Stop.OPEN for part in split_statements(conforming(text))
    )
    return _HINT if closed else ""


def _filler(match: re.Match[str]) -> str:
    return "x" + ("\n" if match[0][1:] == "\n" else "x")


_HINT = (
    "; a backslash before a quote escapes it only in E'…', or behind"
    " SET standard_conforming_strings = off in the same half of the file"
)
_NAME = "standard_conforming_strings"
_TURNS_OFF = re.compile(rf"{_NAME}\W+(?:to\W+)?(?:of|f|n|0)", re.IGNORECASE)
_ESCAPE = re.compile(r"\\[\s\S]")
_SETS = re.compile(
    rf"set\s+(?:session\s+|local\s+)?{_NAME}\s*(?:=|\bto\b)\s*'?(?P<value>\w+)"
    r"|select\s+(?:pg_catalog\s*\.\s*)?set_config\s*\("
    rf"\s*'{_NAME}'\s*,\s*'(?P<config>\w+)'"
    rf"|reset\s+(?:{_NAME}|all)\b",
    re.IGNORECASE,
)
# PostgreSQL's bool.c: parse_bool_with_len
_FALSE = re.compile("f|fa|fal|fals|false|n|no|of|off|0", re.IGNORECASE)

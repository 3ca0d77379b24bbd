"""What kind of statement a text is, by its words."""

import re
from collections.abc import Iterator
from itertools import islice

from migrator.sql.lexer import IN_WORD, WORD, Kind, Token, tokenize


# A tuple: it compares by identity first, a set of enums hashes in Python
BLANK_KINDS = (Kind.SPACE, Kind.COMMENT, Kind.BLOCK)
_CREATE = re.compile(rf"create(?:[ \t\n\r\f\v]++({WORD}))?", re.IGNORECASE)
_ROUTINE = {"or", "function", "procedure"}
_ROUTINE_WORDS = 5


# In psqlscan.l, rule {identifier}: CREATE [OR REPLACE] {FUNCTION|PROCEDURE}
def is_routine(text: str, start: int) -> bool:
    """Say whether a statement creates a routine, whose body may hold statements."""
    match = _CREATE.match(text, start)
    if match is None or (match[1] and match[1].lower() not in _ROUTINE):
        return False
    head = first_words(text, start, limit=_ROUTINE_WORDS)
    kind = head[3:4] if head[1:3] == ["or", "replace"] else head[1:2]
    return head[0] == "create" and kind in (["function"], ["procedure"])


def first_words(text: str, start: int = 0, *, limit: int) -> list[str]:
    """Return the first words of a statement in lower case, up to its first `;`."""
    found: list[str] = []
    for token in tokenize(text, start):
        if token.kind is Kind.SEMICOLON or len(found) == limit:
            break
        if token.kind is Kind.WORD:
            found.append(text[token.start : token.end].lower())
    return found


def phrase(text: str, start: int = 0, *, limit: int) -> str:
    """Return a statement's first tokens, apart by blanks, with words in lower case."""
    found: list[str] = []
    for token in islice(significant_tokens(text, start), limit):
        said = text[token.start : token.end]
        found.append(said.lower() if token.kind is Kind.WORD else said)
    return " ".join(found)


def significant_tokens(text: str, start: int = 0) -> Iterator[Token]:
    """Yield a statement's tokens up to its first `;`, without blanks and comments."""
    for token in tokenize(text, start):
        if token.kind is Kind.SEMICOLON:
            return
        if token.kind not in BLANK_KINDS:
            yield token


def stray_dollar(text: str) -> int:
    """Return where a `$` stands that PostgreSQL's lexer refuses; -1 for none."""
    return next((at for at in _signs(text, "$") if not _has_number(text, at)), -1)


def has_parameter(text: str) -> bool:
    """Say whether there is a parameter such as `$1`, outside of quotes and comments."""
    return any(_has_number(text, at) for at in _signs(text, "$"))


def find_backslash(text: str) -> int:
    """Return where the first backslash outside of quotes and comments is; -1: none."""
    return next(_signs(text, "\\"), -1)


def _signs(text: str, sign: str) -> Iterator[int]:
    """Yield where *sign* is no part of a name, a quoted text or a comment."""
    for token in tokenize(text) if sign in text else ():
        if token.kind is Kind.OTHER and text[token.start] == sign:
            yield token.start


def _has_number(text: str, at: int) -> bool:
    return text[at + 1 : at + 2].isdigit()


_COPY = re.compile(rf"copy(?!{IN_WORD})", re.IGNORECASE)


def starts_copy(text: str, start: int = 0) -> bool:
    """Say whether the word at *start* is COPY."""
    return _COPY.match(text, start) is not None


# In gram.y: copy_file_name; either name stands for either direction
def copies_in(text: str, start: int, end: int) -> bool:
    """Say whether a statement is a `COPY … FROM stdin`, whose rows follow it."""
    if not starts_copy(text, start):
        return False
    text = text[start:end]
    depth, before = 0, ""
    for token in tokenize(text):
        if token.kind in BLANK_KINDS:
            continue
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        word = text[token.start : token.end].lower()
        if not depth and before == "from" and word in {"stdin", "stdout"}:
            return True
        before = word
    return False


# In gram.y: TransactionStmt
ENDING = "abort|commit|end|prepare|rollback"
"""The first words of what may end a transaction."""

_ENDING = re.compile(rf"(?:{ENDING})(?!{IN_WORD})", re.IGNORECASE)
# Patterns that few files need are texts: `re` compiles them when they are asked for.
# ROLLBACK TO goes back to a savepoint; COMMIT PREPARED and ROLLBACK PREPARED are
# refused inside a transaction; `PREPARE transaction AS …` is a prepared statement
_ENDS = (
    r"(?:abort|end)\b|commit\b(?! prepared\b)|prepare transaction$"
    r"|rollback\b(?! prepared\b)(?!(?: work| transaction)? to\b)"
)
_ENDING_WORDS = 3


def ends_transaction(text: str, start: int = 0) -> str:
    """Return the word with which the statement at *start* ends a transaction, or ""."""
    match = _ENDING.match(text, start)
    if match is None:
        return ""
    said = " ".join(first_words(text, start, limit=_ENDING_WORDS))
    return match[0] if re.match(_ENDS, said) else ""


# pg_dump since 17.6, 16.10 and 15.14 (CVE-2025-8714) writes both, with a random key
# of letters and digits: psql then takes no commands from the dumped data
_RESTRICTION = r"\\(?:un)?restrict[ \t]+[0-9A-Za-z]+[ \t\r]*"


def is_restriction(line: str) -> bool:
    """Say whether a line is psql's `\\restrict KEY` or `\\unrestrict KEY`."""
    return re.fullmatch(_RESTRICTION, line) is not None


# "cannot run inside a transaction block": PreventInTransactionBlock in PostgreSQL's
# sources, by the words of a statement
_OWN_TRANSACTION = (
    r"vacuum\b|alter system\b|cluster$"
    r"|(?:create|drop) (?:database|tablespace|subscription)\b"
    r"|(?:create(?: unique)?|drop) index concurrently\b"
    r"|reindex (?:database|system|schema)\b|reindex\b.* concurrently\b"
    r"|alter database\b.* set tablespace\b"
    r"|alter subscription\b.* refresh\b"
    r"|alter table\b.* detach partition\b.* concurrently\b"
    r"|(?:commit|rollback) prepared\b"
    # TimescaleDB 2.29 calls it, too: src/process_utility.c; in tsl/src
    # continuous_aggs/refresh.c and reorder.c; chunk_merge.c commits
    r"|create(?: or replace)? materialized view\b.* (?:timescaledb|tsdb) continuous\b"
    r"|create index\b.* (?:timescaledb|tsdb) transaction_per_chunk\b"
    r"|call (?:\w+ )?(?:refresh_continuous_aggregate|merge_chunks_concurrently)\b"
    r"|select (?:\w+ )?(?:move|reorder)_chunk\b"
)
_TRANSACTION_WORDS = 40


def refuses_transaction(text: str, start: int = 0) -> bool:
    """Say whether the statement at *start* cannot run inside a transaction block."""
    said = " ".join(first_words(text, start, limit=_TRANSACTION_WORDS))
    if re.match(_OWN_TRANSACTION, said) is None:
        return False
    return not (said.startswith(_FILLED_LATER) and _is_filled_later(text, start))


_FILLED_LATER = ("create materialized", "create or replace materialized")


def _is_filled_later(text: str, start: int) -> bool:
    return first_words(text, start, limit=len(text))[-3:] == ["with", "no", "data"]


_SETS_SESSION = ("set", "listen", "prepare", "declare", "load")
# Behind a `;` in one text, of which most have none
_LATER_SETS = (
    r";(?:\s|--[^\n]*\n|/\*.*?\*/)*(?:set|listen|prepare|declare|load"
    r"|create\s+(?:\w+\s+){0,3}temp(?:orary)?)\s"
)


def may_set_session(text: str) -> bool:
    """
    Say whether *text*, one message, may leave something in its session.

    False is certain, but for what functions of the database do.
    """
    several = text.count(";") > 1
    if text[:1] in _SETS_NOTHING and not several:
        return False
    low = text.lower()
    first = "".join(low[:200].split(None, 1)[:1])
    if not first or first in _SETS_SESSION:
        return True
    if first == "create" and "temp" in low and re.match(_TEMPORARY, low):
        return True
    calls = "set_config" in low or "advisory_lock" in low
    if calls or "into temp" in low or "into local temp" in low:
        return True
    if first == "do" or first.startswith(("--", "/*")):
        return any(word in low for word in (*_SETS_SESSION, "temp"))
    return several and re.search(_LATER_SETS, low, re.DOTALL) is not None


_SETS_NOTHING = ("I", "U", "A", "i", "u", "a")
"""First letters, of INSERT, UPDATE, ALTER: with one command there is nothing to see."""

_TEMPORARY = r"create\s+(?:\S+\s+){0,3}temp"

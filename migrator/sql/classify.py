"""
How a statement runs in a file without a transaction, by its words.

Whether it may run inside a transaction block of its own; if not, how to find out after
a lost session whether it was applied; and what is lost with the session. The words are
those of PostgreSQL's grammar (gram.y).
"""

import re
from collections.abc import Iterator
from enum import Enum
from itertools import islice
from typing import NamedTuple

from migrator.sql.keywords import (
    ends_transaction,
    significant_tokens,
)
from migrator.sql.lexer import Kind
from migrator.sql.restrictions import may_refuse_transaction
from migrator.sql.split import is_plain, split_statements


class Effect(Enum):
    """How a statement runs by itself, and what is known about it afterwards."""

    BLOCK = "in a transaction block, where it means the same"
    SESSION = "changes nothing but the session, and may be repeated in another one"
    CONTROL = "is about the file's own transaction, or has no effect outside of one"
    TRACED = "not in a transaction block; the catalogs show whether it was applied"
    AGAIN = "not in a transaction block, and may run again"
    OPAQUE = "commits as it likes, and nothing tells how far it came"


class StatementClass(NamedTuple):
    """A statement's effect, and the names to look up in the catalogs."""

    effect: Effect
    verb: str = ""
    """What a TRACED one does: `create index`, `detach partition` and so on."""

    name: str = ""
    """As it is written, quoted or not: what is made, dropped or detached."""

    table: str = ""
    """The table of an index, the parent of a partition."""

    keeps: bool = False
    """Whether what follows needs something that the session keeps, beyond settings."""


def classify(text: str) -> StatementClass:
    """Return what the statement *text* is; several commands in it count as one."""
    if is_plain(text):
        return _classify_command(text)
    found = [
        _classify_command(text[part.start : part.end])
        for part in split_statements(text)
    ]
    if len(found) == 1:
        return found[0]
    # one message is one transaction, unless it ends that by itself
    simple = all(each.effect in _SIMPLE for each in found)
    keeps = any(each.keeps or each.effect is Effect.SESSION for each in found)
    return StatementClass(Effect.BLOCK if simple else Effect.OPAQUE, keeps=keeps)


def classify_outside_block(text: str) -> StatementClass:
    """Return what *text* is, if the server refuses it in a transaction block."""
    return _classify_alone(" ".join(_words(text)))


_SIMPLE = (Effect.BLOCK, Effect.SESSION)


class Applied:
    """How many statements of a file without a transaction are committed."""

    def __init__(self) -> None:
        self.last_applied = 0
        """The number, from 1, of the last committed statement; 0 for none."""

        self.pending = False
        """Whether the file's own open transaction has changed anything."""

        self._open = False
        self._number = 0

    def add(self, text: str) -> None:
        """Count the next statement, *text*, which has succeeded."""
        self._number += 1
        effect = classify(text).effect
        if effect is Effect.CONTROL:
            self._control(text)
        elif self._open and effect in _WITHIN:
            self.pending = True
        elif effect is not Effect.SESSION:
            self.last_applied = self._number

    def _control(self, text: str) -> None:
        phrase = " ".join(_words(text))
        if re.match(_BEGIN, phrase):
            self._open = True
        elif end := _ending(text):
            if end in _COMMITS and self.pending:
                self.last_applied = self._number
            self._open, self.pending = re.match(_CHAIN, phrase) is not None, False


_COMMITS = ("commit", "end")
_WITHIN = (Effect.BLOCK, Effect.TRACED, Effect.AGAIN)
_BEGIN = r"(?:begin|start transaction)\b"
_CHAIN = r".* and chain$"


def is_commit(text: str) -> bool:
    """Return whether *text* is a COMMIT, by whichever of its names."""
    return _ending(text) in _COMMITS


def _ending(text: str) -> str:
    first = next(significant_tokens(text), None)
    return "" if first is None else ends_transaction(text, first.start).lower()


def _classify_command(text: str) -> StatementClass:
    phrase = " ".join(_words(text))
    for pattern, effect in _EFFECTS:
        if re.match(pattern, phrase, re.DOTALL):
            return StatementClass(effect)
    if phrase.startswith("do ") and re.search(
        _TRANSACTION_CONTROL, text, re.IGNORECASE
    ):
        return StatementClass(Effect.OPAQUE)
    if may_refuse_transaction(text):
        return _classify_alone(phrase)
    return StatementClass(Effect.BLOCK, keeps=re.match(_KEEPS, phrase) is not None)


# SET LOCAL and the like only warn outside of a transaction, LOCK and SAVEPOINT fail
# there (PostgreSQL's xact.c: WarnNoTransactionBlock, RequireTransactionBlock)
_CONTROL = (
    r"(?:begin|start transaction|commit(?! prepared)|end|rollback(?! prepared)|abort"
    r"|savepoint|release|lock|set (?:local|transaction|constraints)"
    r"|declare(?!.* with hold)|fetch|move|close)\b"
)
_SESSION = (
    r"(?:set|reset|load|listen|unlisten|discard|show|deallocate)\b"
    r"|prepare (?!transaction ')"
    r"|select (?:pg_catalog \. )?set_config \("
)
# idempotent: what is refreshed already is left as it is (its documentation)
_REFRESH = r'call (?:\S+ \. )?"?refresh_continuous_aggregate"? \('
_OPAQUE = r"call\b|prepare transaction\b|(?:commit|rollback) prepared\b"
_EFFECTS = (
    (_CONTROL, Effect.CONTROL),
    (_SESSION, Effect.SESSION),
    (_REFRESH, Effect.AGAIN),
    (_OPAQUE, Effect.OPAQUE),
)
_KEEPS = r"declare\b|create (?:(?:local|global) )?temp(?:orary)?\b"
# plpgsql's stmt_commit, stmt_rollback, stmt_call; a DO that only raises has none
_TRANSACTION_CONTROL = r"\b(?:commit|rollback|call)\b"
_NAME = r"\S+(?: \. \S+)*"
_TABLE = rf"(?P<table>{_NAME})"
_WHICH = rf"(?P<name>{_NAME})"
_TRACES = (
    (
        r"(?P<verb>create)(?: unique)? (?P<kind>index) concurrently"
        rf" (?:if not exists )?(?:(?!on ){_WHICH} )?on (?:only )?{_TABLE}"
    ),
    (
        r"(?P<verb>drop) (?P<kind>index) concurrently (?:if exists )?"
        rf"{_WHICH}(?: cascade| restrict)?$(?P<table>)"
    ),
    (
        rf"alter table (?:if exists )?(?:only )?{_TABLE} (?:\* )?(?P<verb>detach)"
        rf" (?P<kind>partition) {_WHICH} concurrently"
    ),
    (
        r"(?P<verb>create|drop) (?P<kind>database|tablespace|subscription)"
        rf" (?:if exists )?{_WHICH}(?P<table>)"
    ),
    (
        r"(?P<verb>create) (?:or replace )?materialized (?P<kind>view)"
        rf" (?:if not exists )?{_WHICH}(?P<table>)"
    ),
    r"(?P<verb>re)(?P<kind>index)\b.* concurrently (?P<name>.+)(?P<table>)",
)
_AGAIN = r"(?:vacuum|cluster|reindex|alter system|alter database)\b"


def _classify_alone(phrase: str) -> StatementClass:
    """Return what a statement is that cannot run in a transaction block."""
    match = next(filter(None, (re.match(trace, phrase) for trace in _TRACES)), None)
    if match is None:
        again = re.match(_AGAIN, phrase) is not None
        return StatementClass(Effect.AGAIN if again else Effect.OPAQUE)
    verb, kind = match["verb"], match["kind"]
    return StatementClass(
        Effect.TRACED,
        "reindex" if verb == "re" else f"{verb} {kind}",
        _written(match["name"]),
        _written(match["table"]),
    )


_BLANK = "\0"
"""Stands for a blank inside a quoted name; no text for the server holds it."""


def _written(name: str | None) -> str:
    return (name or "").replace(" . ", ".").replace(_BLANK, " ")


def _words(text: str) -> Iterator[str]:
    """Yield the first tokens that are not blank, keywords in lower case."""
    for token in islice(significant_tokens(text), _ENOUGH):
        written = text[token.start : token.end]
        yield (
            written.lower() if token.kind is Kind.WORD else written.replace(" ", _BLANK)
        )


_ENOUGH = 40

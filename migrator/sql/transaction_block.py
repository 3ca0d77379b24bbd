"""
Statements that no transaction block takes, as far as their words are enough to know.

They are the calls of PreventInTransactionBlock (access/transam/xact.c) in PostgreSQL
14 to 18: in tcop/utility.c, and in dbcommands.c, discard.c, vacuum.c, cluster.c,
indexcmds.c and subscriptioncmds.c of src/backend/commands. Where such a call depends on
what the database holds, the statement is left to the server: DROP SUBSCRIPTION (has it
a slot?), REINDEX and CLUSTER of a table (is it partitioned?), ALTER SUBSCRIPTION … SET,
and DETACH PARTITION CONCURRENTLY of a table IF EXISTS.
"""

import re

from migrator.sql.keywords import phrase
from migrator.sql.lexer import BLOCK, COMMENT, IN_WORD, SPACE, possessive


_GAP = possessive(rf"{SPACE}|{COMMENT}|{BLOCK}")
_FIRST = re.compile(
    rf"(?:(?:create|drop){_GAP}(?:unique|index|database|tablespace|subscription)"
    rf"|alter{_GAP}(?:system|table|database|subscription)"
    rf"|cluster|commit|discard|reindex|rollback|vacuum)(?!{IN_WORD})",
    re.IGNORECASE,
)
_PART = r'(?:"(?:[^"]|"")*"|\S+)'
_NAME = rf"{_PART}(?: \. {_PART})*"
_OPTIONS = r"(?:\( [^)]*\) )?"
_SLOTLESS = r"connect\b|create_slot\b|slot_name\b"
# The groups are what a message calls the statement
_REFUSED = (
    r"(vacuum)\b"
    r"|((?:create|drop) (?:database|tablespace))\b"
    r"|(alter system|discard all|(?:commit|rollback) prepared)\b"
    r"|(create) (?:unique )?(index concurrently)\b|(drop index concurrently)\b"
    rf"|(reindex) {_OPTIONS}(?:index|table) (concurrently)\b"
    r"|(reindex) \( (?:[^)]* )?(concurrently)(?: true| on| 1)? [,)]"
    rf"|(reindex) {_OPTIONS}(database|system|schema)\b"
    r"|(cluster)(?: verbose| \( [^)]*\))?$"
    rf"|(alter database) {_NAME} (set tablespace)\b"
    rf"|(alter table) (?:only )?{_NAME} (detach partition) {_NAME} (concurrently)$"
    # by default they create a slot, or refresh
    rf"|(create subscription)\b(?!.*\b(?:{_SLOTLESS}))"
    rf"|(alter subscription) {_NAME} (refresh publication)\b"
    rf"|(alter subscription) {_NAME} ((?:set|add|drop) publication)\b(?!.*\brefresh\b)"
)
_LONGEST = 1000
"""How many words and signs are read; such statements are short."""


def transaction_refusal(text: str, start: int = 0) -> str:
    """
    Return what to call the statement at *start* if no transaction block takes it.

    That is certain, whatever the database holds; "" for all others.
    """
    if _FIRST.match(text, start) is None:
        return ""
    said = phrase(text, start, limit=_LONGEST)
    match = re.match(_REFUSED, said, re.DOTALL)
    return " ".join(filter(None, match.groups())).upper() if match else ""

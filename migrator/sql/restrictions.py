"""
What a statement does not allow: a transaction block around it, others in its pipeline.

Transaction blocks: the calls of PreventInTransactionBlock (access/transam/xact.c) in
PostgreSQL 14 to 18: in tcop/utility.c, and in dbcommands.c, discard.c, vacuum.c,
cluster.c, indexcmds.c and subscriptioncmds.c of src/backend/commands. Some of them
depend on what the database holds: DROP SUBSCRIPTION (has it a slot?), REINDEX and
CLUSTER of a table (is it partitioned?), ALTER SUBSCRIPTION … SET, and DETACH PARTITION
CONCURRENTLY of a table IF EXISTS.
"""

import re
from itertools import islice

from migrator.domain.model import Statement
from migrator.sql.keywords import (
    ends_transaction,
    has_parameter,
    significant_tokens,
    starts_copy,
)
from migrator.sql.lexer import BLOCK, COMMENT, IN_WORD, SPACE, Kind, possessive
from migrator.sql.split import is_plain, skip_blank, split_statements


_GAP = possessive(rf"{SPACE}|{COMMENT}|{BLOCK}")
_FIRST = re.compile(
    rf"(?:(?:create|drop){_GAP}(?:unique|index|database|tablespace|subscription)"
    rf"|create{_GAP}(?:or{_GAP}replace{_GAP})?materialized"
    rf"|alter{_GAP}(?:system|table|database|subscription)"
    rf"|call|cluster|commit|discard|reindex|rollback|select|vacuum)(?!{IN_WORD})",
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
_TSDB = "(?:timescaledb|tsdb)"
# What more may be refused: some by what the database holds, some by TimescaleDB 2.29 in
# src/process_utility.c; in tsl/src continuous_aggs/refresh.c and reorder.c; and
# chunk_merge.c commits
_MAYBE_REFUSED = (
    r"(?:create|drop) subscription\b|reindex\b.* concurrently\b"
    r"|alter subscription\b.* refresh\b"
    r"|alter table\b.* detach partition\b.* concurrently\b"
    rf"|create (?:or replace )?materialized view\b.* {_TSDB} \. continuous\b"
    r"(?!.* with no data$)"
    rf"|create index\b.* {_TSDB} \. transaction_per_chunk\b"
    r"|call (?:\S+ \. )?(?:refresh_continuous_aggregate|merge_chunks_concurrently)\b"
    r"|select (?:\S+ \. )?(?:move|reorder)_chunk\b"
)


def transaction_refusal(text: str, start: int = 0) -> str:
    """
    Return what to call the statement at *start* if no transaction block takes it.

    That is certain, whatever the database holds; "" for all others.
    """
    match = re.match(_REFUSED, _phrase(text, start), re.DOTALL)
    return " ".join(filter(None, match.groups())).upper() if match else ""


def may_refuse_transaction(text: str, start: int = 0) -> bool:
    """Return whether a transaction block may not take the statement at *start*."""
    phrase = _phrase(text, start)
    return re.match(f"{_REFUSED}|{_MAYBE_REFUSED}", phrase, re.DOTALL) is not None


def _phrase(text: str, start: int) -> str:
    """Return a statement's tokens, apart by blanks; "" if it is none of those here."""
    if _FIRST.match(text, skip_blank(text, start)[0]) is None:
        return ""
    tokens = significant_tokens(text, start)
    return " ".join(
        text[t.start : t.end].lower() if t.kind is Kind.WORD else text[t.start : t.end]
        for t in tokens
    )


def not_pipelined_reason(statement: Statement) -> str:
    """
    Return why *statement* cannot share a pipeline with others; empty when it can.

    In pipeline mode the extended protocol takes one command at a time, reads `$1` as a
    parameter, and has no COPY (libpq's "Pipeline Mode", "Using Pipeline Mode").
    """
    text = statement.text
    if statement.data is not None:
        return "COPY"
    if is_plain(text):
        return ""
    found = list(islice(split_statements(text), 2))
    if len(found) > 1:
        return "several commands in one statement"
    # one without a command is an empty query, which the extended protocol has, too
    return _command_reason(text, found[0].start) if found else ""


def _command_reason(text: str, start: int) -> str:
    if starts_copy(text, start):
        return "COPY"
    if ends_transaction(text, start):
        return "an end of the transaction"
    return "a parameter such as $1" if has_parameter(text) else ""

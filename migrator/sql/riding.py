"""Which statements may be sent before the one in front of them is answered."""

from itertools import islice

from migrator.domain.model import Statement
from migrator.sql.keywords import ends_transaction, has_parameter, starts_copy
from migrator.sql.split import is_plain, split_statements


def not_pipelined_reason(statement: Statement) -> str:
    """
    Return why *statement* has to be sent by itself; empty when it may ride along.

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
    return _reason(text, found[0].start) if found else ""


def _reason(text: str, start: int) -> str:
    if starts_copy(text, start):
        return "COPY"
    if ends_transaction(text, start):
        return "an end of the transaction"
    return "a parameter such as $1" if has_parameter(text) else ""

"""Errors that name no way out, or one that a migration file writes differently."""

import re

from migrator.facts import Place, ServerMessage
from migrator.model import Statement
from migrator.sql.words import words


_NO_BLOCK = "25001"
"""Of PreventInTransactionBlock in PostgreSQL's xact.c, which extensions call, too."""

_NO_COMMIT = "2D000"
"""Of a procedure's COMMIT in a transaction block (spi.c: _SPI_commit)."""

# citusdata/citus: relation_access_tracking.c and whatever else calls
# ParallelQueryExecutedInTransaction; all of these errors have XX000, most have the hint
_PARALLEL = re.compile(
    r"there was a parallel (?:\w+ access to|operation on a) distributed table"
    r"|SET LOCAL citus\.multi_shard_modify_mode TO"
)
_SEQUENTIAL = (
    "put SET LOCAL citus.multi_shard_modify_mode TO 'sequential'; before the first"
    " statement of the file, then re-run"
)
_EXISTS = frozenset(("42P07", "42P06", "42710", "42701", "42723"))
"""A relation, a schema, another object, a column, a function (errcodes.txt)."""

_BASELINE = (
    "if the database had it before this run, its schema came from elsewhere: record the"
    " files that it has with `baseline N`, then re-run"
)
_DELETE = "first DELETE FROM {} WHERE version_id > 0"
_ALONE = (
    "it cannot run in a transaction: put it into a file of its own with {}, then re-run"
)


def remedy_of(server: ServerMessage, statement: Statement, place: Place) -> str:
    """Return what to do about *server*'s error of *statement*; empty if unknown."""
    if _PARALLEL.search(f"{server.message}\n{server.hint or ''}"):
        return _SEQUENTIAL
    if _stands_alone(server, statement.text):
        python = place.path.endswith(".py")
        return _ALONE.format(
            "TRANSACTION = False" if python else "-- +goose NO TRANSACTION"
        )
    return ""


def remedy_of_existing(server: ServerMessage, table: str, *, recorded: bool) -> str:
    """
    Return what to do where *server* found what a file creates; empty for other errors.

    It is for a database that had no version in *table* before the run. *recorded* says
    that the run has written some since.
    """
    if server.sqlstate not in _EXISTS:
        return ""
    return f"{_BASELINE}; {_DELETE.format(table)}" if recorded else _BASELINE


def _stands_alone(server: ServerMessage, text: str) -> bool:
    """Tell whether *text*, empty where nobody knows it, is refused in a transaction."""
    first = words(text, limit=1)
    if server.sqlstate == _NO_COMMIT:
        return first in (["call"], ["do"])
    if server.sqlstate != _NO_BLOCK or first == ["set"]:
        return False  # SET TRANSACTION has the same SQLSTATE, where it comes too late
    return bool(text) or "transaction block" in server.message

"""Remedies for server errors whose own hint does not fit a migration file."""

import re
from collections.abc import Sequence

from migrator.domain.facts import Place, ServerMessage
from migrator.domain.model import SessionState, Statement
from migrator.errors import StatementFailedError
from migrator.errors.base import list_values
from migrator.errors.runtime import NOT_APPLIED
from migrator.sql.keywords import first_words


_ACTIVE_TRANSACTION = "25001"
"""active_sql_transaction, of xact.c: PreventInTransactionBlock, also in extensions."""

_INVALID_TERMINATION = "2D000"
"""invalid_transaction_termination, of a procedure's COMMIT in a transaction block
(spi.c: _SPI_commit)."""

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
_DELETE_VERSIONS = "first DELETE FROM {} WHERE version_id > 0"
_NO_TRANSACTION = (
    "it cannot run in a transaction: put it into a file of its own with {}, then re-run"
)


def find_remedy(server: ServerMessage, statement: Statement, place: Place) -> str:
    """Return what to do about *server*'s error of *statement*; empty if unknown."""
    if _PARALLEL.search(f"{server.message}\n{server.hint or ''}"):
        return _SEQUENTIAL
    if _refuses_transaction(server, statement.text):
        python = place.path.endswith(".py")
        return _NO_TRANSACTION.format(
            "TRANSACTION = False" if python else "-- +goose NO TRANSACTION"
        )
    return ""


def find_existing_remedy(server: ServerMessage, table: str, *, recorded: bool) -> str:
    """
    Return what to do if an object of a file exists already; empty for other errors.

    It is for a database without a version in *table* before the run. *recorded* says
    that the run has recorded some since.
    """
    if server.sqlstate not in _EXISTS:
        return ""
    return f"{_BASELINE}; {_DELETE_VERSIONS.format(table)}" if recorded else _BASELINE


_UNDEFINED = frozenset(("42P01", "3F000", "42704", "42883"))
"""No such relation, schema, other object, function (errcodes.txt)."""

_SESSION_STATE = (
    "an earlier file leaves something in its session ({}), which goose carries into"
    " later files of the same run: set it in this file too, or set"
    " MIGRATOR_SEARCH_PATH{}, then re-run"
)
_OR_KEEP = ", or MIGRATOR_SESSION=keep"


def find_session_remedy(
    server: ServerMessage, left: Sequence[str], state: SessionState
) -> str:
    """
    Return what to do if an object of a file is not found; empty for other errors.

    *left* are the places where earlier files leave settings in their session.
    """
    if not left or server.sqlstate not in _UNDEFINED:
        return ""
    return _SESSION_STATE.format(
        list_values(left), _OR_KEEP if state is SessionState.RESET else ""
    )


def session_lost_error(place: Place, left: Sequence[str]) -> StatementFailedError:
    """Return the error that the session settings left at the places *left* are lost."""
    words = f"the connection was lost, and with it what {list_values(left)} left in it"
    error = StatementFailedError(place, ServerMessage(None, words), remedy=_WITHOUT)
    error.state = NOT_APPLIED
    return error


_WITHOUT = (
    "with MIGRATOR_SESSION=keep it would run without that; what ran before is applied:"
    " set MIGRATOR_SEARCH_PATH or MIGRATOR_ROLE, or set it in this file, as far as it"
    " needs it, then re-run"
)


def _refuses_transaction(server: ServerMessage, text: str) -> bool:
    """Tell whether *text*, empty if unknown, was refused in a transaction block."""
    first = first_words(text, limit=1)
    if server.sqlstate == _INVALID_TERMINATION:
        return first in (["call"], ["do"])
    if server.sqlstate != _ACTIVE_TRANSACTION or first == ["set"]:
        return False  # SET TRANSACTION after a query has the same SQLSTATE
    return bool(text) or "transaction block" in server.message


# Both sessions of a run have the same application_name
SPARE_SESSIONS_REMEDY = (
    "the session that holds the migration lock was terminated each time this statement"
    " ran: if the statement terminates other sessions, exclude it with AND"
    " application_name <> current_setting('application_name'), then re-run"
)

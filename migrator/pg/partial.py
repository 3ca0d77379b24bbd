"""A migration without a transaction that stopped: what is left, and what to do now."""

import re

from migrator.errors import (
    AccessDeniedError,
    ContentionError,
    FileChangedError,
    MigratorError,
    PartialError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.facts import Place
from migrator.model import Direction, Statement, Step


# The server itself has said that the statement did not come through, also of a COPY
# whose rows we took back
_ANSWERED = (
    AccessDeniedError,
    ContentionError,
    FileChangedError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
# What leaves traces when it fails although autocommit would roll a plain statement
# back: it commits by itself, in pieces (PostgreSQL's CREATE INDEX, "Building Indexes
# Concurrently"; CALL; DO)
_LEAVES_TRACES = re.compile(
    r"\b(call|cluster|commit|concurrently|do|end|prepare|vacuum)\b", re.IGNORECASE
)
FINISH = (
    "what ran before it is committed: finish or undo it by hand,"
    " make the file safe to run again, and run again"
)


def leaves_nothing(error: MigratorError, place: Place, statement: Statement) -> bool:
    """
    Tell whether the database is as it was although there is no transaction.

    Only a first statement that the server has refused, and that does not commit in
    pieces. A lost connection or a cancel may have come after the statement's end.
    """
    answered = place.statement == 1 and isinstance(error, _ANSWERED)
    return answered and not _LEAVES_TRACES.search(statement.text)


def half_way(error: MigratorError, place: Place, what: str) -> PartialError:
    """Return the error of a migration of which *what* did not come through."""
    doubt = "" if isinstance(error, _ANSWERED) else "; it may be in effect all the same"
    return PartialError(
        getattr(error, "place", None) or place,
        reason=f"{what} did not come through: {_words(error)}{doubt}",
        mend=FINISH,
        server=getattr(error, "server", None),
    )


def unrecorded(
    error: MigratorError, place: Place, step: Step, table: str
) -> PartialError:
    """Return the error of a *step* that is whole in effect, but not in the table."""
    by_hand = {
        Direction.UP: f"INSERT INTO {table} (version_id, is_applied)"
        f" VALUES ({place.version}, true)",
        Direction.DOWN: f"DELETE FROM {table} WHERE version_id = {place.version}",
    }
    return PartialError(
        place,
        reason="all of this NO TRANSACTION migration is in effect, and only the table"
        f" could not be told: {_words(error)}",
        mend=f"do not run it again: {by_hand[step.direction]}",
        server=getattr(error, "server", None),
    )


def part(place: Place, total: int) -> str:
    """Return which statement of how many is meant."""
    return f"statement {place.statement} of {total} of a NO TRANSACTION migration"


def _words(error: MigratorError) -> str:
    server = getattr(error, "server", None)
    if server is None:
        return str(error)
    state = f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""
    blocker = getattr(error, "blocker", None)
    return f"{server.message}{state}{f', blocked by {blocker}' if blocker else ''}"

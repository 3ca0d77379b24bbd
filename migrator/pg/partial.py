"""A migration without a transaction that stopped: what is left, and what to do now."""

from typing import NamedTuple

from migrator.errors import (
    AccessDeniedError,
    BusyTableError,
    ConnectionLostError,
    ContentionError,
    DeadlineError,
    FileChangedError,
    InterruptedRunError,
    MigratorError,
    PartialError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
from migrator.facts import Place
from migrator.model import Direction, Statement, Step
from migrator.pg.journal import Intent
from migrator.sql.nature import Nature, act_of


# The server itself has said that the statement did not come through, also of a COPY
# whose rows we took back
ANSWERED = (
    AccessDeniedError,
    ContentionError,
    FileChangedError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
# What another attempt may get past without a human
HEALS = (
    BusyTableError,
    ConnectionLostError,
    ContentionError,
    DeadlineError,
    InterruptedRunError,
    ReadOnlyServerError,
    StatementTimeoutError,
)
FINISH = (
    "what ran before it is committed: finish or undo it by hand,"
    " make the file safe to run again, and run again"
)
_GO_ON = (
    "what ran before it is in effect and noted: mend this statement, or what it met,"
    " and run again: the run goes on with it"
)


CALL_AGAIN = "mend the function, or what it met, and run again: it is called again"


class Progress(NamedTuple):
    """How far a step without a transaction has come."""

    place: Place
    """Where it stopped."""

    through: int
    total: int
    ledger: str | None
    """The quoted name of the table that has it noted; None where nothing is noted."""

    row: int | None = None

    def __str__(self) -> str:
        return (
            f"{self.through} of {self.total} statements of {self.place.path} are in"
            " effect and noted, the next run goes on behind them"
        )

    @property
    def part(self) -> str:
        """Return which statement of how many is meant."""
        return f"statement {self.place.statement} of {self.total} of {_KIND}"


_KIND = "a NO TRANSACTION migration"
# What leaves traces although it is refused: not in a block, it commits by itself
_IN_PIECES = frozenset({Nature.TRACED, Nature.AGAIN, Nature.OPAQUE, Nature.CONTROL})


def stopped(
    error: MigratorError, statement: Statement, progress: Progress
) -> MigratorError:
    """
    Return the error of a step that *error* of *statement* has stopped.

    *error* itself, where the step can simply be taken again or nothing is in effect.
    """
    if isinstance(error, PartialError):
        return error
    if progress.ledger is None:
        return _unnoted(error, statement, progress)
    if isinstance(error, HEALS):
        return with_words(error, str(progress)) if progress.through else error
    if not progress.through:
        return error
    return half_way(error, progress.place, progress.part, mend=_GO_ON)


def with_words(error: MigratorError, words: str) -> MigratorError:
    """Return *error* with *words* at the end of its message."""
    error.sequel = words
    return error


def _unnoted(
    error: MigratorError, statement: Statement, progress: Progress
) -> MigratorError:
    """A lost connection or a cancel may have come after the statement's end."""
    first = not progress.through and progress.place.statement == 1
    whole = act_of(statement.text).nature not in _IN_PIECES
    if first and whole and isinstance(error, ANSWERED):
        return error
    return half_way(error, progress.place, progress.part)


def half_way(
    error: MigratorError, place: Place, what: str, *, mend: str = FINISH
) -> PartialError:
    """Return the error of a migration of which *what* did not come through."""
    doubt = "" if isinstance(error, ANSWERED) else "; it may be in effect all the same"
    return PartialError(
        getattr(error, "place", None) or place,
        reason=f"{what} did not come through: {_words(error)}{doubt}",
        mend=mend,
        server=getattr(error, "server", None),
    )


def invalid_index(
    index: str, table: str, progress: Progress, error: MigratorError | None = None
) -> PartialError:
    """Return the error that an unfinished index stands in the way, or is left now."""
    why = f"{progress.part} did not come through: {_words(error)}; " if error else ""
    mend = "make it possible and run again: that drops the index and builds it anew"
    if error is None:
        mend = "run again with MIGRATOR_ON_INVALID_INDEX=drop"
    return PartialError(
        getattr(error, "place", None) or progress.place,
        reason=f"{why}index {index} on {table} is left INVALID,"
        " which costs every write and helps no query",
        mend=f"{mend}, or drop it by hand: DROP INDEX CONCURRENTLY {index}",
        server=getattr(error, "server", None),
    )


def undecided(
    progress: Progress, why: str, error: MigratorError | None
) -> PartialError:
    """Return the error that nobody but a human can say how far a statement came."""
    told = f"UPDATE {progress.ledger} SET state = 'open', prefix = NULL, statement ="
    where = f"WHERE id = {progress.row}"
    at = progress.place.statement
    return PartialError(
        progress.place,
        reason=f"{progress.part} was begun, and {why}",
        mend="look whether it is in effect, then say so and run again: when it is,"
        f" {told} {at} {where}; when it is not, {told} {at - 1} {where}",
        server=getattr(error, "server", None),
    )


def lost_track(intent: Intent, progress: Progress, why: str) -> PartialError:
    """Return the error that the file does not fit what is noted about it."""
    begun = f"{progress.through} of its statements are in effect since {intent.since}"
    return PartialError(
        progress.place,
        reason=f"{begun}, by {intent.by}, and {why}",
        mend="restore the file as it was, or finish by hand and tell the table;"
        " to begin the file anew:"
        f" DELETE FROM {progress.ledger} WHERE id = {intent.id}",
    )


CHANGED = "what the file says up to there has changed since"
KEEPS = "one of them made something that is gone with its session"


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


def _words(error: MigratorError) -> str:
    server = getattr(error, "server", None)
    if server is None:
        return str(error)
    state = f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""
    blocker = getattr(error, "blocker", None)
    return f"{server.message}{state}{f', blocked by {blocker}' if blocker else ''}"

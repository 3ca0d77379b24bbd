"""Errors of a NO TRANSACTION migration that stopped part-way."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from migrator.domain.facts import Place, ServerMessage
from migrator.domain.model import Direction, Script, Statement, Step
from migrator.errors import (
    AccessDeniedError,
    ConnectionLostError,
    ContentionError,
    DeadlineError,
    FileChangedError,
    InterruptedRunError,
    MigratorError,
    NotRecordedError,
    PartiallyAppliedError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
    TrackingTableLockedError,
)
from migrator.errors.base import server_text
from migrator.pg.tracking.intent_log import Intent
from migrator.sql.classify import Effect, classify


class RecordedFailure(NamedTuple):
    """How a statement of unknown outcome failed; its intent keeps it for later runs."""

    line: int
    column: int
    sqlstate: str | None
    message: str
    detail: str | None

    @classmethod
    def of(
        cls, error: MigratorError, place: Place, mask: Callable[[str], str]
    ) -> "RecordedFailure":
        """Return what is kept of *error*, met at *place*: bounded, secrets masked."""
        here = getattr(error, "place", None) or place
        server = getattr(error, "server", None) or ServerMessage(
            None, error_reason(error)
        )
        message = f"{server.message}{_blocker_text(error)}"
        kept = [text and mask(text)[:_KEPT] for text in (message, server.detail)]
        return cls(
            here.line, here.column, server.sqlstate, kept[0] or "", kept[1] or None
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "RecordedFailure":
        """Return what `fields` were made of."""
        texts = (fields["sqlstate"], fields["message"], fields["detail"])
        sqlstate, message, detail = map(_decoded, texts)
        return cls(fields["line"], fields["column"], sqlstate, message or "", detail)

    @property
    def server(self) -> ServerMessage:
        """Return what the server, or the function, said then."""
        return ServerMessage(self.sqlstate, self.message, self.detail)

    @property
    def fields(self) -> dict[str, Any]:
        """
        Return it as JSON that a database of any encoding takes.

        A text may hold what jsonb refuses, such as U+0000 or half a surrogate pair.
        """
        return {name: _encoded(value) for name, value in self._asdict().items()}


def _encoded(value: int | str | None) -> int | str | None:
    if not isinstance(value, str):
        return value
    return value.encode("unicode_escape").decode("ascii")


def _decoded(value: str | None) -> str | None:
    if value is None:
        return None
    return value.encode("ascii", "replace").decode("unicode_escape", "replace")


_KEPT = 1000
"""How many characters of a message, and of its DETAIL, are kept."""


def error_reason(error: MigratorError) -> str:
    """Return the reason of *error*, without the state of the database."""
    server = getattr(error, "server", None)
    if server is None:
        return str(getattr(error, "reason", error))
    return f"{server_text(server)}{_blocker_text(error)}"


def _blocker_text(error: MigratorError) -> str:
    blocker = getattr(error, "blocker", None)
    return f", blocked by {blocker}" if blocker else ""


# The server itself reported that the statement failed; also of a COPY that was aborted
ANSWERED = (
    AccessDeniedError,
    ContentionError,
    FileChangedError,
    NotRecordedError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
)
# Errors that a later attempt may not meet, without manual work
RETRYABLE = (
    TrackingTableLockedError,
    ConnectionLostError,
    ContentionError,
    DeadlineError,
    InterruptedRunError,
    ReadOnlyServerError,
    StatementTimeoutError,
)
COMPLETE_MANUALLY = (
    "what ran before it is committed: complete or revert it"
    " manually and make the file idempotent, then re-run"
)
_RESUME_HERE = (
    "what ran before it is applied and recorded; fix the statement or the data and"
    " re-run: the next run resumes here"
)


CALL_AGAIN = "fix the function or the data and re-run: the function is called again"


class FileProgress(NamedTuple):
    """How many statements of a NO TRANSACTION step are applied."""

    place: Place
    """Where it stopped."""

    completed: int
    """The number of the last statement whose effect is committed; 0 for none."""

    total: int
    history_table: str | None
    """The quoted name of the history table; None if nothing is recorded."""

    row: int | None = None
    script: Script | None = None
    """What the step calls in place of statements."""

    def __str__(self) -> str:
        return (
            f"{self.completed} of {self.total} statements of {self.place.path} are"
            " applied and recorded; the next run resumes after them"
        )

    @property
    def part(self) -> str:
        """Return which statement of how many is meant, or which function."""
        if self.script is not None:
            return f"{self.script.call.text} of a migration with TRANSACTION = False"
        return f"statement {self.place.statement} of {self.total} of {_KIND}"


_KIND = "a NO TRANSACTION migration"


def stopped_error(
    error: MigratorError, statement: Statement, progress: FileProgress
) -> MigratorError:
    """
    Return the error of a step that *error* of *statement* has stopped.

    It is *error* itself if the step can be retried or nothing of it is applied.
    """
    if isinstance(error, PartiallyAppliedError):
        return error
    if progress.history_table is None:
        return _unrecorded(error, statement, progress)
    if not progress.completed:
        return error
    if isinstance(error, RETRYABLE):
        return append_text(error, str(progress))
    return half_applied_error(
        error, progress.place, progress.part, remedy=_resume_advice(error)
    )


def _resume_advice(error: MigratorError) -> str:
    """Return the remedy for *error*, if what ran before it is recorded."""
    place = getattr(error, "place", None)
    if place is None or not place.phase:
        return _RESUME_HERE
    return (
        "what ran before it is applied and recorded, and the next run resumes there:"
        f" {getattr(error, 'remedy', 'fix what the server names, then re-run')}"
    )


def append_text(error: MigratorError, words: str) -> MigratorError:
    """Return *error* with *words* at the end of its message."""
    error.advice = words
    return error


def _unrecorded(
    error: MigratorError, statement: Statement, progress: FileProgress
) -> MigratorError:
    """A lost connection or a cancel may have come after the statement's end."""
    nature = classify(statement.text).nature
    refused = nature is not Effect.OPAQUE and isinstance(error, ANSWERED)
    if not progress.completed and (refused or nature is Effect.SESSION):
        return error
    return half_applied_error(error, progress.place, progress.part)


def half_applied_error(
    error: MigratorError, place: Place, what: str, *, remedy: str = COMPLETE_MANUALLY
) -> PartiallyAppliedError:
    """Return the error of a migration of which *what* failed."""
    doubt = "" if isinstance(error, ANSWERED) else "; it may still have been applied"
    return PartiallyAppliedError(
        getattr(error, "place", None) or place,
        reason=f"{what} failed: {error_reason(error)}{doubt}",
        remedy=remedy,
        server=getattr(error, "server", None),
    )


def invalid_index_error(
    index: str, table: str, progress: FileProgress, error: MigratorError | None = None
) -> PartiallyAppliedError:
    """Return the error that an index is left INVALID, by this run or an earlier one."""
    why = f"{progress.part} failed: {error_reason(error)}; " if error else ""
    remedy = "fix the cause and re-run, which drops and rebuilds the index"
    if error is None:
        remedy = "re-run with MIGRATOR_ON_INVALID_INDEX=drop"
    return PartiallyAppliedError(
        getattr(error, "place", None) or progress.place,
        reason=f"{why}index {index} on {table} is left INVALID:"
        " writes maintain it, queries do not use it",
        remedy=f"{remedy}, or drop it manually: DROP INDEX CONCURRENTLY {index}",
        server=getattr(error, "server", None),
    )


def undecided_error(
    progress: FileProgress,
    failure: RecordedFailure | None,
    *,
    earlier: Intent | None = None,
) -> PartiallyAppliedError:
    """Return the error that the outcome of a statement is unknown."""
    record_sql = (
        f"UPDATE {progress.history_table}"
        " SET state = 'open', prefix = NULL, statement ="
    )
    where, at = f"WHERE id = {progress.row}", progress.place.statement
    place, why = progress.place, _NO_ERROR
    if failure is not None:
        place = place._replace(line=failure.line, column=failure.column)
        why = f"failed: {server_text(failure.server)}"
    begun = f", begun {earlier.started_at} by {earlier.run_by}," if earlier else ""
    return PartiallyAppliedError(
        place,
        reason=f"{progress.part}{begun} {why}; outcome unknown: all, a part or"
        " nothing of it may be applied",
        remedy="check the database, record the answer and re-run:"
        f" if it was applied, {record_sql} {at} {where};"
        f" if it was not, {record_sql} {at - 1} {where};"
        f" if a part was, {_in_part(progress.script)}",
        server=failure.server if failure else None,
    )


_NO_ERROR = (
    "did not end, and no error was recorded, as when the process is killed or the"
    " connection is lost"
)


def _in_part(script: Script | None) -> str:
    if script is None:
        return (
            "make the statement idempotent, or revert that part, and record that it was"
            " not applied: it runs again"
        )
    return (
        f"make {script.call.text} safe to call again and set REPEATABLE = True in the"
        " file: it is called again, and nothing has to be recorded"
    )


def mismatch_error(
    intent: Intent, progress: FileProgress, why: str
) -> PartiallyAppliedError:
    """Return the error that the file contradicts its intent row."""
    begun = (
        f"{intent.completed} of its statements are applied since {intent.started_at}"
    )
    return PartiallyAppliedError(
        progress.place,
        reason=f"{begun}, by {intent.run_by}, and {why}",
        remedy="restore the file, or complete it manually and record the version;"
        " to start over:"
        f" DELETE FROM {progress.history_table} WHERE id = {intent.id}",
    )


CHANGED = "the part that is already applied was edited"
SESSION_OBJECT = "one of them created something that ended with its session"


def not_recorded_error(
    error: MigratorError, progress: FileProgress
) -> PartiallyAppliedError:
    """Return the error of a step whose statements are applied, but not its version."""
    return PartiallyAppliedError(
        getattr(error, "place", None) or progress.place,
        reason=f"{error_reason(error)}; {progress}",
        remedy=getattr(error, "remedy", "fix what the server names, then re-run"),
        server=getattr(error, "server", None),
    )


def applied_unrecorded_error(
    error: MigratorError, place: Place, step: Step, table: str
) -> PartiallyAppliedError:
    """Return the error of a *step* that is applied, but not in the tracking table."""
    record_sql = {
        Direction.UP: f"INSERT INTO {table} (version_id, is_applied)"
        f" VALUES ({place.version}, true)",
        Direction.DOWN: f"DELETE FROM {table} WHERE version_id = {place.version}",
    }
    return PartiallyAppliedError(
        place,
        reason="all of this NO TRANSACTION migration is applied, but its version"
        f" could not be recorded: {error_reason(error)}",
        remedy="do not re-run it; record the version manually:"
        f" {record_sql[step.direction]}",
        server=getattr(error, "server", None),
    )


NOTHING = Statement("", 1)
"""The statement of a message that is not from the file."""


def located_statements(step: Step) -> Iterator[tuple[Place, Statement]]:
    """
    Yield the statements of *step* with their places.

    Raises:
        FileChangedError: The file is a large one, and not what it was.
    """
    for number, statement in enumerate(step.statements, 1):
        yield step.migration.place(statement, number), statement


def file_place(step: Step, phase: str = "") -> Place:
    """Return the place of what we send ourselves in *phase*, or of the whole file."""
    return step.migration.place(NOTHING, 0)._replace(phase=phase)

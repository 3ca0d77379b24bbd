"""Events of one migration."""

from typing import Any, ClassVar, Self

from migrator.domain.facts import Word
from migrator.domain.model import Direction, Step
from migrator.errors import MigratorError
from migrator.events.base import Event


def _step_fields(step: Step) -> dict[str, Any]:
    return {
        "version": step.migration.version,
        "path": step.migration.path,
        "direction": step.direction.value,
    }


class MigrationStarted(Event):
    """A migration started."""

    name: ClassVar[str] = "migration.started"

    version: int
    path: str
    direction: Word
    statements: int
    transaction: bool

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the event of *step*."""
        return cls(
            **_step_fields(step),
            statements=len(step.listed_statements),
            transaction=step.migration.transaction,
        )


class StatementFinished(Event):
    """A statement finished; at level info when it took a second or more."""

    name: ClassVar[str] = "statement.finished"
    level: ClassVar[str] = "debug"

    version: int
    path: str
    line: int
    statement: int
    command: Word
    """PostgreSQL's command tag, with its number of rows; or a script's call."""

    duration_s: float

    @property
    def severity(self) -> str:
        """Return the log level: slow statements are worth a line."""
        return "info" if self.duration_s >= 1 else "debug"


class ScriptPrinted(Event):
    """A Python migration printed a line."""

    name: ClassVar[str] = "script.printed"

    version: int
    path: str
    message: str


class MigrationRetried(Event):
    """A migration was rolled back because of contention; it is retried."""

    name: ClassVar[str] = "migration.retried"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    line: int
    attempt: int
    next_attempt_s: float
    sqlstate: Word | None
    reason: str
    blocker: str | None
    """Who was last seen to block it; null when nobody was seen."""


class MigrationResumed(Event):
    """A NO TRANSACTION migration resumes after the statements already applied."""

    name: ClassVar[str] = "migration.resumed"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word
    through: int
    """How many of its statements are applied, and do not run again."""

    statements: int
    begun_by: str
    begun_at: Word


class IndexDropped(Event):
    """An INVALID index that a concurrent build left behind was dropped."""

    name: ClassVar[str] = "index.dropped"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    index: str
    table: str


class MigrationApplied(Event):
    """A migration was applied and recorded."""

    name: ClassVar[str] = "migration.applied"

    version: int
    path: str
    statements: int
    current: int
    """The version of the database now."""

    duration_s: float


class MigrationRecorded(Event):
    """`baseline` recorded a file as applied, without running it."""

    name: ClassVar[str] = "migration.recorded"

    version: int
    path: str


class MigrationReverted(Event):
    """A migration was rolled back, and its version's rows were deleted."""

    name: ClassVar[str] = "migration.reverted"

    version: int
    path: str
    statements: int
    current: int
    """The version of the database now."""

    duration_s: float


class MigrationSkipped(Event):
    """Another run has recorded the step first; in a transaction ours is rolled back."""

    name: ClassVar[str] = "migration.skipped"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    transaction: bool
    """False when ours ran without one: its statements ran twice."""

    current: int
    """The version of the database now."""

    @classmethod
    def of(cls, step: Step, current: int, *, ran: bool = True) -> Self:
        """Return the event of *step*, which *ran* in this run too."""
        return cls(
            version=step.migration.version,
            path=step.migration.path,
            transaction=step.migration.transaction or not ran,
            current=current,
        )


class CommitConfirmed(Event):
    """The connection dropped during COMMIT; the table shows that it committed."""

    name: ClassVar[str] = "commit.confirmed"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the event of *step*."""
        return cls(**_step_fields(step))


class CommitLost(Event):
    """
    A migration whose COMMIT was confirmed is not recorded any more; it runs again.

    A failover loses what the standby had not received.
    """

    name: ClassVar[str] = "commit.lost"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word

    @classmethod
    def of(cls, step: Step) -> Self:
        """Return the event of *step*."""
        return cls(**_step_fields(step))


class MigrationFailed(Event):
    """A migration failed; `run.finished` has the details."""

    name: ClassVar[str] = "migration.failed"
    level: ClassVar[str] = "error"

    version: int
    path: str
    direction: Word
    duration_s: float
    error: str

    @classmethod
    def of(cls, step: Step, error: MigratorError, duration_s: float) -> Self:
        """Return the event of *step*, which *error* ended."""
        return cls(
            **_step_fields(step),
            duration_s=round(duration_s, 3),
            error=str(error),
        )


def finished_event(
    step: Step, current: int, duration_s: float
) -> MigrationApplied | MigrationReverted:
    """Return the event of *step*, whose commit leads to the version *current*."""
    up = step.direction is Direction.UP
    return (MigrationApplied if up else MigrationReverted)(
        version=step.migration.version,
        path=step.migration.path,
        statements=len(step.listed_statements),
        current=current,
        duration_s=round(duration_s, 3),
    )

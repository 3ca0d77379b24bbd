"""What happens to one migration."""

from typing import ClassVar

from migrator.domain.facts import Word
from migrator.events.base import Event


class MigrationStarted(Event):
    """One step begins."""

    name: ClassVar[str] = "migration.started"

    version: int
    path: str
    direction: Word
    statements: int
    transaction: bool


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
    """A migration in Python has printed a line."""

    name: ClassVar[str] = "script.printed"

    version: int
    path: str
    message: str


class MigrationRetried(Event):
    """A migration met other sessions' locks, was rolled back and runs again."""

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
    """A migration without a transaction goes on where an earlier run has ended."""

    name: ClassVar[str] = "migration.resumed"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word
    through: int
    """How many of its statements are in effect, and are not run again."""

    statements: int
    begun_by: str
    begun_at: Word


class IndexDropped(Event):
    """An INVALID index, left behind by a concurrent build, is gone."""

    name: ClassVar[str] = "index.dropped"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    index: str
    table: str


class MigrationApplied(Event):
    """One step up is committed and recorded."""

    name: ClassVar[str] = "migration.applied"

    version: int
    path: str
    statements: int
    current: int
    """What the database is at now."""

    duration_s: float


class MigrationRecorded(Event):
    """`baseline` has recorded one file as applied, without running it."""

    name: ClassVar[str] = "migration.recorded"

    version: int
    path: str


class MigrationReverted(Event):
    """One step down is committed, and the version's rows are gone."""

    name: ClassVar[str] = "migration.reverted"

    version: int
    path: str
    statements: int
    current: int
    """What the database is at now."""

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
    """What the database is at now."""


class CommitConfirmed(Event):
    """The connection dropped during COMMIT; the table shows that it committed."""

    name: ClassVar[str] = "commit.confirmed"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word


class CommitLost(Event):
    """
    A step that was committed is in the table no more, so it runs again.

    A failover can lose what the standby had not got yet.
    """

    name: ClassVar[str] = "commit.lost"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    direction: Word


class MigrationFailed(Event):
    """A migration failed; the error's fields follow in `run.finished`."""

    name: ClassVar[str] = "migration.failed"
    level: ClassVar[str] = "error"

    version: int
    path: str
    direction: Word
    duration_s: float
    error: str

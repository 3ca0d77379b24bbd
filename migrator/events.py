"""What can happen, in the past tense; the core speaks in these and never logs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened; `name` is a constant, everything variable is a field."""

    name: ClassVar[str]
    level: ClassVar[str] = "info"

    @property
    def severity(self) -> str:
        """Return the log level of this one."""
        return self.level


Observer = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    """The job has read its settings and begins."""

    name: ClassVar[str] = "run.started"

    command: str
    migrator_version: str
    database: str | None
    """Where, without credentials; null for commands that need no database."""

    migrations_dir: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingIgnored(Event):
    """A variable looks like ours and is not, for example a Kubernetes service link."""

    name: ClassVar[str] = "setting.ignored"
    level: ClassVar[str] = "warning"

    variable: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultFound(Event):
    """A migration file has a fault; an error when it stops the run."""

    name: ClassVar[str] = "fault.found"

    path: str
    line: int
    column: int
    slug: str
    message: str
    fatal: bool

    @property
    def severity(self) -> str:
        """Return the log level: a fault that stops nothing is a warning."""
        return "error" if self.fatal else "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseWaited(Event):
    """The server did not take a connection yet; the next attempt follows."""

    name: ClassVar[str] = "database.waited"
    level: ClassVar[str] = "warning"

    attempt: int
    waited_s: float
    next_attempt_s: float
    reason: str
    sqlstate: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseConnected(Event):
    """The first connection stands."""

    name: ClassVar[str] = "database.connected"

    host: str
    port: int
    dbname: str
    user: str
    server_version: str
    backend_pid: int
    attempts: int
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LockContended(Event):
    """Another migrator holds the lock; we look again soon."""

    name: ClassVar[str] = "lock.contended"

    waited_s: float
    holder: str | None
    """Its pid, application, client, state and age, where they can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockAcquired(Event):
    """We are the one migrator of this database now."""

    name: ClassVar[str] = "lock.acquired"

    kind: str
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadFound(Event):
    """The database has versions that are newer than every file."""

    name: ClassVar[str] = "ahead.found"
    level: ClassVar[str] = "warning"

    versions: tuple[int, ...]
    newest_file: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade(Event):
    """What this run is going to do, decided under the lock, or nothing to do."""

    name: ClassVar[str] = "plan.made"

    version: int
    """What the database is at."""

    target: int
    """What it will be at."""

    pending: tuple[str, ...]
    """Files to run, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStarted(Event):
    """One step begins."""

    name: ClassVar[str] = "migration.started"

    version: int
    path: str
    direction: str
    statements: int
    transaction: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFinished(Event):
    """One statement is through; told at info when it took a second or more."""

    name: ClassVar[str] = "statement.finished"
    level: ClassVar[str] = "debug"

    version: int
    path: str
    line: int
    statement: int
    command: str
    """PostgreSQL's command tag, with the number of rows where it has one."""

    duration_s: float

    @property
    def severity(self) -> str:
        """Return the log level: slow statements are worth a line."""
        return "info" if self.duration_s >= 1 else "debug"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerNoticed(Event):
    """PostgreSQL sent a NOTICE, WARNING or the like."""

    name: ClassVar[str] = "server.noticed"

    version: int | None
    path: str | None
    line: int | None
    notice: str
    """The severity's word, never translated."""

    sqlstate: str | None
    message: str
    detail: str | None
    hint: str | None

    @property
    def severity(self) -> str:
        """Return the log level: the server's warnings are ours."""
        return "warning" if self.notice == "WARNING" else "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRetried(Event):
    """A migration met other sessions' locks, was rolled back and runs again."""

    name: ClassVar[str] = "migration.retried"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    line: int
    attempt: int
    next_attempt_s: float
    sqlstate: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationApplied(Event):
    """One step is committed and recorded."""

    name: ClassVar[str] = "migration.applied"

    version: int
    path: str
    direction: str
    statements: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationFailed(Event):
    """One step did not come through; the error's fields follow in `run.finished`."""

    name: ClassVar[str] = "migration.failed"
    level: ClassVar[str] = "error"

    version: int
    path: str
    direction: str
    duration_s: float
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationListed(Event):
    """One line of `status`."""

    name: ClassVar[str] = "migration.listed"

    version: int
    path: str | None
    """Null for a version that the table has and the files have not."""

    state: str
    """`applied`, `pending`, `missing` (older than the newest applied), `unknown`."""

    applied_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRead(Event):
    """What `version` answers."""

    name: ClassVar[str] = "version.read"

    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesValidated(Event):
    """What `validate` answers when nothing is wrong."""

    name: ClassVar[str] = "files.validated"

    files: int
    statements: int
    newest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInterrupted(Event):
    """A signal or the deadline came; we cancel, roll back and unlock."""

    name: ClassVar[str] = "run.interrupted"
    level: ClassVar[str] = "warning"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCrashed(Event):
    """A bug of ours came to light; the traceback is for its report."""

    name: ClassVar[str] = "run.crashed"
    level: ClassVar[str] = "error"

    traceback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    """The verdict with all totals: the last line of every run."""

    name: ClassVar[str] = "run.finished"

    command: str
    outcome: str
    """The exit code's name."""

    exit_code: int
    retryable: bool
    """Whether the same run may succeed later without anybody's doing."""

    error: str | None
    hint: str | None
    failed: Mapping[str, Any] | None
    """Version, path, line, column, statement, SQLSTATE, detail of what failed."""

    version_before: int | None
    version_after: int | None
    applied: tuple[int, ...]
    pending: int | None
    """How many of the planned steps were not done; null before there was a plan."""

    duration_s: float

    @property
    def severity(self) -> str:
        """Return the log level."""
        return "error" if self.exit_code else "info"


def catalogue() -> tuple[type[Event], ...]:
    """Return every event there is, in the order of this module."""
    # dataclass(slots=True) makes each class anew, and the first one may linger
    return tuple({event.name: event for event in Event.__subclasses__()}.values())

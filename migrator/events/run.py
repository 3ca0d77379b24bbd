"""What every run tells that comes through."""

from collections.abc import Mapping
from typing import Any, ClassVar

from migrator.events.base import Event
from migrator.facts import Word


class RunStarted(Event):
    """The job has read its settings and begins."""

    name: ClassVar[str] = "run.started"

    command: Word
    migrator_version: Word
    database: str | None
    """Where, without credentials; null for commands that need no database."""

    migrations_dir: str


class DatabaseConnected(Event):
    """A connection to work on stands: the first, or one in place of a lost one."""

    name: ClassVar[str] = "database.connected"

    host: str
    port: int
    dbname: str
    user: str
    server_version: str
    backend_pid: int
    pooler: bool
    """Whether a pooler such as PgBouncer stands between; then the pid is its own."""

    attempts: int
    waited_s: float


class PlanMade(Event):
    """What this run is going to do, decided under the lock, or nothing to do."""

    name: ClassVar[str] = "plan.made"

    version: int
    """What the database is at."""

    target: int
    """What it will be at."""

    pending: tuple[str, ...]
    """Files to run, in order."""

    apart: Mapping[str, str]
    """
    Files whose statements wait for answers, and why, or `*` for all files; the others
    go in one stream.
    """


class RunFinished(Event):
    """The verdict with all totals: the last line of every run."""

    name: ClassVar[str] = "run.finished"

    command: Word
    outcome: Word
    """The exit code's name."""

    exit_code: int
    retryable: bool
    """Whether the same run may succeed later without anybody's doing."""

    error: str | None
    hint: str | None
    failed: Mapping[str, Any] | None
    """Version, path, line, column, statement, SQLSTATE, detail of what failed; `phase`
    in place of line, column and statement when it was a message of ours, as COMMIT."""

    version_before: int | None
    version_after: int | None
    applied: tuple[int, ...]
    reverted: tuple[int, ...]
    pending: int | None
    """How many of the planned steps were not done; null before there was a plan."""

    duration_s: float

    @property
    def severity(self) -> str:
        """Return the log level."""
        return "error" if self.exit_code else "info"

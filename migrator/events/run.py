"""Events of every run, and rare ones about the process."""

from collections.abc import Mapping
from typing import Any, ClassVar

from migrator.domain.facts import Word
from migrator.events.base import Event


class RunStarted(Event):
    """The run started; its settings are valid."""

    name: ClassVar[str] = "run.started"

    command: Word
    migrator_version: Word
    database: str | None
    """Where, without credentials; null for commands that need no database."""

    migrations_dir: str


class ConnectionOpened(Event):
    """A database connection was opened: the first, or one after a lost one."""

    name: ClassVar[str] = "connection.opened"

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
    """The run decided what to do; `pending` is empty if there is nothing to do."""

    name: ClassVar[str] = "plan.made"

    version: int
    """The version of the database."""

    target: int
    """Its version after the run."""

    pending: tuple[str, ...]
    """Files to run, in order."""

    not_pipelined: Mapping[str, str]
    """Files that are not pipelined, and why; `*` stands for all of them."""


class RunFinished(Event):
    """The run ended: result and totals, always in the last line."""

    name: ClassVar[str] = "run.finished"

    command: Word
    outcome: Word
    """The exit code's name."""

    exit_code: int
    retryable: bool
    """Whether the same run may succeed later, without any change."""

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
    """How many planned steps were not done; null without a plan."""

    duration_s: float

    @property
    def severity(self) -> str:
        """Return the log level."""
        return "error" if self.exit_code else "info"


class FileCreated(Event):
    """`create` made a migration file."""

    name: ClassVar[str] = "file.created"

    path: str


class FileRenamed(Event):
    """`fix` gave a file another version."""

    name: ClassVar[str] = "file.renamed"

    path: str
    """Its new name."""

    before: str
    """Its old name."""


class SidecarStopped(Event):
    """A sidecar accepted the request to stop."""

    name: ClassVar[str] = "sidecar.stopped"

    url: str
    """Its query, which may hold a token, is masked."""

    status: int
    """Of its HTTP answer."""


class SidecarFailed(Event):
    """A sidecar did not accept the request to stop; the exit code stays the same."""

    name: ClassVar[str] = "sidecar.failed"
    level: ClassVar[str] = "warning"

    url: str
    """Its query, which may hold a token, is masked."""

    reason: str


class SettingIgnored(Event):
    """A variable has no effect, such as a Kubernetes service link."""

    name: ClassVar[str] = "setting.ignored"
    level: ClassVar[str] = "warning"

    variable: str
    reason: str


class TlsUnverified(Event):
    """The password is sent to a server whose certificate is not verified."""

    name: ClassVar[str] = "tls.unverified"
    level: ClassVar[str] = "warning"

    sslmode: str
    """As libpq uses it; `prefer` is its default."""

    hint: str


class RunInterrupted(Event):
    """A signal or the deadline stopped the run."""

    name: ClassVar[str] = "run.interrupted"
    level: ClassVar[str] = "warning"

    reason: str


class RunCrashed(Event):
    """An internal error; the traceback belongs into its report."""

    name: ClassVar[str] = "run.crashed"
    level: ClassVar[str] = "error"

    traceback: str

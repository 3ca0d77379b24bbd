"""Events of the connection, the lock and the server."""

from typing import ClassVar

from migrator.domain.facts import Word
from migrator.events.base import Event


class ConnectionRetried(Event):
    """The server does not accept connections yet; another attempt follows."""

    name: ClassVar[str] = "connection.retried"
    level: ClassVar[str] = "warning"

    attempt: int
    waited_s: float
    next_attempt_s: float
    reason: str
    sqlstate: Word | None


class ConnectionLost(Event):
    """The connection was lost; the run reconnects and resumes its plan."""

    name: ClassVar[str] = "connection.lost"
    level: ClassVar[str] = "warning"

    reason: str
    sqlstate: Word | None
    version: int | None
    """The migration that was running or next; null before there is a plan."""

    path: str | None
    attempt: int
    """How often it was lost at this migration; the third time ends the run."""

    next_attempt_s: float


class LockContended(Event):
    """Another migrator holds the migration lock; the run waits for it."""

    name: ClassVar[str] = "lock.contended"

    waited_s: float
    holder: str | None
    """Its session, or its name in the lease table; null if neither is visible."""


class LockAcquired(Event):
    """The run acquired the migration lock."""

    name: ClassVar[str] = "lock.acquired"

    kind: Word
    """`session` (goose's advisory lock) or `table` (goose's lease)."""

    waited_s: float


class SessionSettingsNotApplied(Event):
    """A pooler is in between: settings do not apply to a NO TRANSACTION file."""

    name: ClassVar[str] = "session_settings.not_applied"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    settings: tuple[str, ...]


class ServerNoticed(Event):
    """PostgreSQL sent a NOTICE, WARNING or the like: the first 1000 of a statement."""

    name: ClassVar[str] = "server.noticed"

    version: int | None
    path: str | None
    line: int | None
    notice: Word
    """The severity's word, never translated."""

    sqlstate: Word | None
    message: str
    detail: str | None
    hint: str | None

    @property
    def severity(self) -> str:
        """Return the log level: the server's warnings are ours."""
        return "warning" if self.notice == "WARNING" else "info"

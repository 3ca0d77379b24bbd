"""What happens between us and the server."""

from typing import ClassVar

from migrator.domain.facts import Word
from migrator.events.base import Event


class ConnectionRetried(Event):
    """The server did not take a connection yet; the next attempt follows."""

    name: ClassVar[str] = "connection.retried"
    level: ClassVar[str] = "warning"

    attempt: int
    waited_s: float
    next_attempt_s: float
    reason: str
    sqlstate: Word | None


class ConnectionLost(Event):
    """The session has died; a new one takes up the work where the table says."""

    name: ClassVar[str] = "connection.lost"
    level: ClassVar[str] = "warning"

    reason: str
    sqlstate: Word | None
    version: int | None
    """The migration that runs or would run next; null before there is a plan."""

    path: str | None
    attempt: int
    """How often a session has died at this migration; with the third one it ends."""

    next_attempt_s: float


class LockContended(Event):
    """Another migrator holds the lock; we look again soon."""

    name: ClassVar[str] = "lock.contended"

    waited_s: float
    holder: str | None
    """Who it is: its session, or what stands in the lease table."""


class LockAcquired(Event):
    """We are the one migrator of this database now."""

    name: ClassVar[str] = "lock.acquired"

    kind: Word
    """`session` (goose's advisory lock) or `table` (goose's lease)."""

    waited_s: float


class SessionSettingsNotApplied(Event):
    """Our settings do not hold for a NO TRANSACTION file: a pooler is in between."""

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

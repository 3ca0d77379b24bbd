"""What ends a run on its way: the server, other sessions, the file itself."""

from migrator.domain.facts import Fault, Place, ServerMessage
from migrator.errors.base import MigratorError, server_text
from migrator.errors.preflight import FilesInvalidError, HistoryConflictError


ROLLED_BACK = "the migration was rolled back"
NOT_APPLIED = "nothing of this migration was applied"


class NotAppliedError(MigratorError):
    """A migration failed, and nothing of it is in the database."""

    remedy = "fix the file and re-run"
    state = ROLLED_BACK
    """What the message says of the database; NOT_APPLIED where no transaction was."""

    def __init__(
        self, place: Place, server: ServerMessage, *, remedy: str = ""
    ) -> None:
        self.place = place
        self.server = server
        self.remedy = remedy or self.remedy
        super().__init__(server_text(server))

    @property
    def text(self) -> str:
        """The message without its sequel."""
        return f"{self.place}: {server_text(self.server)}; {self.state}; {self.remedy}"


class StatementFailedError(NotAppliedError):
    """A statement, a script or a COMMIT failed, through the file or what it met."""


class OutOfResourcesError(StatementFailedError):
    """
    The server has no room for a statement: disk, memory, locks.

    Trying again on the spot would fill it again, for everybody who uses it.
    """

    def __init__(self, place: Place, server: ServerMessage, *, remedy: str) -> None:
        super().__init__(place, server, remedy=f"{remedy}, then re-run")


class NotRecordedError(HistoryConflictError, NotAppliedError):
    """The tracking table, or the history beside it, does not take a version's row."""


class FileChangedError(FilesInvalidError):
    """A large file was written while it was read; its migration is rolled back."""

    def __init__(self, path: str) -> None:
        super().__init__(
            [Fault(path=path, line=0, column=0, slug=_CHANGED, message=_WHY)]
        )


_CHANGED = "changed"
_WHY = (
    "the file changed while this run was reading it, and is not recorded;"
    " re-run when nothing writes to the file"
)


class PartiallyAppliedError(MigratorError):
    """Part of a migration is in the database without its version row."""

    def __init__(
        self,
        place: Place,
        *,
        reason: str,
        remedy: str,
        server: ServerMessage | None = None,
    ) -> None:
        self.place = place
        self.reason = reason
        self.server = server
        super().__init__(f"{place}: {reason}; {remedy}")


class AccessDeniedError(MigratorError):
    """The server is there and says no."""

    def __init__(
        self, server: ServerMessage, *, remedy: str, place: Place | None = None
    ) -> None:
        self.server = server
        self.place = place
        where = f"{place}: " if place else ""
        super().__init__(f"{where}{server_text(server)}; {remedy}")


class PasswordUnavailableError(MigratorError):
    """Where the password comes from gave none; time may heal that."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        self.server = ServerMessage(sqlstate=None, message=f"no password: {reason}")
        self.silent = silent
        """Whether there was no answer, rather than a no."""

        super().__init__(self.server.message)


class UnavailableError(MigratorError):
    """The server did not take a connection in time."""

    def __init__(self, server: ServerMessage, *, waited_s: float) -> None:
        self.server = server
        self.waited_s = waited_s
        super().__init__(
            f"no connection within {waited_s:.0f} s: {server_text(server)};"
            f" {_WAYS_IN.get(server.sqlstate or '', _WAY_IN)},"
            " or raise MIGRATOR_CONNECT_WAIT"
        )


_WAY_IN = "check host, port and network"
_WAYS_IN = {
    "0A000": "connect to the primary, where this is a standby, or to the server itself,"
    " where it is a proxy",
    "53300": "a run needs two connections: close others, or raise max_connections or"
    " the CONNECTION LIMIT of the role or the database",
    "55000": "allow connections again (ALTER DATABASE … ALLOW_CONNECTIONS true),"
    " unless they were disabled on purpose",
}


class ReadOnlyServerError(UnavailableError):
    """The server takes connections but no writes: a standby, or a failover."""

    def __init__(self, server: ServerMessage) -> None:
        self.server = server
        self.waited_s = 0.0
        MigratorError.__init__(
            self,
            f"the server is read-only: {server_text(server)};"
            " connect to the primary, or re-run after the failover",
        )


class BrokenAnswerError(UnavailableError):
    """What the server sent is no answer to what it was asked."""

    def __init__(self) -> None:
        reason = "the server sent an unexpected response"
        self.server = ServerMessage(sqlstate=None, message=reason)
        self.waited_s = 0.0
        MigratorError.__init__(self, f"{reason}; is it PostgreSQL? check host and port")


class LockWaitTimeoutError(MigratorError):
    """Another migrator held the lock for as long as we were willing to wait."""

    def __init__(self, *, waited_s: float, holder: str | None) -> None:
        self.waited_s = waited_s
        self.holder = holder
        super().__init__(
            f"timed out after {waited_s:.0f} s waiting for the migration lock, held by"
            f" another migrator ({holder or 'holder not visible'}); wait until it has"
            " finished, or raise MIGRATOR_LOCK_WAIT"
        )


class ContentionError(MigratorError):
    """Locks of other sessions stood in the way, also of our own retries."""

    def __init__(
        self,
        place: Place,
        server: ServerMessage,
        *,
        attempts: int,
        blocker: str | None = None,
    ) -> None:
        self.place = place
        self.server = server
        self.attempts = attempts
        self.blocker = blocker
        tries = "attempt" if attempts == 1 else "attempts"
        blocked = f", blocked by {blocker}" if blocker else ""
        super().__init__(
            f"{place}: {server_text(server)} after {attempts} {tries}"
            f"{blocked};"
            " re-run when traffic is lower, or raise MIGRATOR_LOCK_RETRY"
        )


class ConnectionLostError(MigratorError):
    """The session died; what was in flight is rolled back or can be looked up."""

    def __init__(
        self,
        server: ServerMessage,
        *,
        doing: str,
        place: Place | None = None,
        after: str = "",
    ) -> None:
        self.server = server
        self.doing = doing
        self.place = place
        super().__init__(
            f"the connection was lost while {doing}: {server.message}{after};"
            " what was not committed is rolled back; re-run"
        )

    @property
    def is_recoverable(self) -> bool:
        """Tell whether a new session can take up the work."""
        return True

    def with_consequence(self, after: str) -> "ConnectionLostError":
        """Return the same error, which also says what has come *after* it."""
        ended = ConnectionLostError(
            self.server, doing=self.doing, place=self.place, after=after
        )
        ended.advice = self.advice
        return ended


class LockLostError(ConnectionLostError):
    """The migration lock went to somebody else, or could not be kept, while we ran."""

    def __init__(self, reason: str, *, died: bool = False, after: str = "") -> None:
        self.server = ServerMessage(sqlstate=None, message=reason)
        self.doing = "holding the migration lock"
        self.place = None
        self.died = died
        """Whether only the session that held it has died: nobody else was let in."""

        MigratorError.__init__(
            self,
            f"the migration lock was lost: {reason}{after};"
            " what was not committed is rolled back; re-run",
        )

    @property
    def is_recoverable(self) -> bool:
        """Tell whether a new session can take up the work."""
        return self.died

    def with_consequence(self, after: str) -> "LockLostError":
        """Return the same error, which also says what has come *after* it."""
        ended = LockLostError(self.server.message, died=self.died, after=after)
        ended.advice = self.advice
        return ended


class StatementTimeoutError(MigratorError):
    """A statement took longer than MIGRATOR_STATEMENT_TIMEOUT; it is rolled back."""

    def __init__(self, place: Place, server: ServerMessage) -> None:
        self.place = place
        self.server = server
        super().__init__(
            f"{place}: {server_text(server)};"
            " it was rolled back: raise MIGRATOR_STATEMENT_TIMEOUT,"
            " or make the statement smaller"
        )


class TrackingTableLockedError(MigratorError):
    """Another session's lock stood before our own tables."""

    def __init__(self, server: ServerMessage, *, doing: str) -> None:
        self.server = server
        super().__init__(
            f"{server_text(server)} while {doing};"
            " re-run when that table's lock is released"
        )


class TrackingTableError(MigratorError):
    """The server refused what we asked of our own tables."""

    def __init__(self, server: ServerMessage, *, doing: str) -> None:
        self.server = server
        super().__init__(
            f"{server_text(server)} while {doing}; fix what the server names and re-run"
        )

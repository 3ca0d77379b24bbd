"""Errors that are raised while migrations are running."""

from migrator.domain.facts import Fault, Place, ServerMessage
from migrator.errors.base import MigratorError, server_text
from migrator.errors.preflight import FilesInvalidError, HistoryConflictError


ROLLED_BACK = "the migration was rolled back"
NOT_APPLIED = "nothing of this migration was applied"


class NotAppliedError(MigratorError):
    """A migration failed and nothing of it is applied."""

    remedy = "fix the file and re-run"
    state = ROLLED_BACK
    """The state of the database; NOT_APPLIED if there was no transaction."""

    def __init__(
        self, place: Place, server: ServerMessage, *, remedy: str = ""
    ) -> None:
        self.place = place
        self.server = server
        self.remedy = remedy or self.remedy
        super().__init__(server_text(server))

    @property
    def text(self) -> str:
        """The message without `advice`."""
        return f"{self.place}: {server_text(self.server)}; {self.state}; {self.remedy}"


class StatementFailedError(NotAppliedError):
    """A statement, a Python function or a COMMIT failed."""


class OutOfResourcesError(StatementFailedError):
    """
    The server is out of disk space, memory or locks (SQLSTATE class 53, 58).

    It is not retried: a retry would exhaust the resource again for every client.
    """

    def __init__(self, place: Place, server: ServerMessage, *, remedy: str) -> None:
        super().__init__(place, server, remedy=f"{remedy}, then re-run")


class NotRecordedError(HistoryConflictError, NotAppliedError):
    """The tracking or history table rejected the row of a version."""


class FileChangedError(FilesInvalidError):
    """A large file was modified while it was being read."""

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
    """Part of a migration is applied, but its version is not recorded."""

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
    """The server refused access: credentials, TLS, or a missing privilege."""

    def __init__(
        self, server: ServerMessage, *, remedy: str, place: Place | None = None
    ) -> None:
        self.server = server
        self.place = place
        where = f"{place}: " if place else ""
        super().__init__(f"{where}{server_text(server)}; {remedy}")


class PasswordUnavailableError(MigratorError):
    """The password source returned no password; a later attempt may succeed."""

    def __init__(self, reason: str, *, silent: bool = False) -> None:
        self.server = ServerMessage(sqlstate=None, message=f"no password: {reason}")
        self.silent = silent
        """Whether the source did not answer, as opposed to refusing."""

        super().__init__(self.server.message)


class UnavailableError(MigratorError):
    """No connection could be opened within MIGRATOR_CONNECT_WAIT."""

    def __init__(
        self, server: ServerMessage, *, waited_s: float, remedy: str = ""
    ) -> None:
        self.server = server
        self.waited_s = waited_s
        remedy = remedy or _WAYS_IN.get(server.sqlstate or "", _WAY_IN)
        super().__init__(
            f"no connection within {waited_s:.0f} s: {server_text(server)}; {remedy},"
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
    """The server is read-only: a standby, or a failover is in progress."""

    def __init__(self, server: ServerMessage) -> None:
        self.server = server
        self.waited_s = 0.0
        MigratorError.__init__(
            self,
            f"the server is read-only: {server_text(server)};"
            " connect to the primary, or re-run after the failover",
        )


class BrokenAnswerError(UnavailableError):
    """The server's response does not match the query."""

    def __init__(self) -> None:
        reason = "the server sent an unexpected response"
        self.server = ServerMessage(sqlstate=None, message=reason)
        self.waited_s = 0.0
        MigratorError.__init__(self, f"{reason}; is it PostgreSQL? check host and port")


class LockWaitTimeoutError(MigratorError):
    """Waiting for the migration lock exceeded MIGRATOR_LOCK_WAIT."""

    def __init__(self, *, waited_s: float, holder: str | None) -> None:
        self.waited_s = waited_s
        self.holder = holder
        super().__init__(
            f"timed out after {waited_s:.0f} s waiting for the migration lock, held by"
            f" another migrator ({holder or 'holder not visible'}); wait until it has"
            " finished, or raise MIGRATOR_LOCK_WAIT"
        )


class ContentionError(MigratorError):
    """Lock timeout, deadlock or serialization failure, after all retries."""

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
    """The connection to the server was lost."""

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
        """Return whether the run can continue on a new connection."""
        return True

    def with_consequence(self, after: str) -> "ConnectionLostError":
        """Return the same error with the consequence *after* in its message."""
        ended = ConnectionLostError(
            self.server, doing=self.doing, place=self.place, after=after
        )
        ended.advice = self.advice
        return ended


class LockLostError(ConnectionLostError):
    """The migration lock was lost during the run."""

    place: Place | None
    """After which statement the lock was gone; None unless it was queried each time."""

    def __init__(self, reason: str, *, died: bool = False, after: str = "") -> None:
        self.server = ServerMessage(sqlstate=None, message=reason)
        self.doing = "holding the migration lock"
        self.place = None
        self.died = died
        """Whether the lock ended with its session, not by another migrator."""

        MigratorError.__init__(
            self,
            f"the migration lock was lost: {reason}{after};"
            " what was not committed is rolled back; re-run",
        )

    @property
    def is_recoverable(self) -> bool:
        """Return whether the run can continue on a new connection."""
        return self.died

    def with_consequence(self, after: str) -> "LockLostError":
        """Return the same error with the consequence *after* in its message."""
        ended = LockLostError(self.server.message, died=self.died, after=after)
        ended.advice = self.advice
        return ended


class StatementTimeoutError(MigratorError):
    """A statement exceeded MIGRATOR_STATEMENT_TIMEOUT and was rolled back."""

    def __init__(self, place: Place, server: ServerMessage) -> None:
        self.place = place
        self.server = server
        super().__init__(
            f"{place}: {server_text(server)};"
            " it was rolled back: raise MIGRATOR_STATEMENT_TIMEOUT,"
            " or make the statement smaller"
        )


class TrackingTableLockedError(MigratorError):
    """Another session holds a lock on one of migrator's own tables."""

    def __init__(self, server: ServerMessage, *, doing: str) -> None:
        self.server = server
        super().__init__(
            f"{server_text(server)} while {doing};"
            " re-run when that table's lock is released"
        )


class TrackingTableError(MigratorError):
    """A query on one of migrator's own tables failed."""

    def __init__(self, server: ServerMessage, *, doing: str) -> None:
        self.server = server
        super().__init__(
            f"{server_text(server)} while {doing}; fix what the server names and re-run"
        )

"""
Everything that can go wrong, by what the operator has to do about it.

* MigratorError
  x UsageError              fix a flag, the environment, a DSN, a secret file
  x PendingError            nothing is wrong: migrations are pending
  x FilesInvalidError       fix the migration files
  x HistoryConflictError    files and table disagree: decide
    - MissingMigrationsError
    - DatabaseAheadError
    - UnknownTargetError
    - HistoryExistsError
    - NoFileError
    - BadTableError
  x DriftError              applied files have changed: restore them, or decide
  x StatementFailedError    fix the SQL; its migration is rolled back
  x PartialError            a human must look at the database
  x AccessDeniedError       fix credentials, TLS, privileges, the database's name
  x UnavailableError        try again: the server did not answer
    - ReadOnlyServerError
  x LockedError             try again: another migrator works
  x ContentionError         try again: the application held the locks
  x ConnectionLostError     try again: the session died
    - LockLostError
  x StatementTimeoutError   try again, with a longer statement timeout
  x DeadlineError           try again: our own deadline came first
  x InterruptedRunError     try again: somebody stopped us

Messages end with the way out. `exits.py` gives each branch its exit code.
"""

from collections.abc import Sequence

from migrator.facts import Drift, Fault, Place, ServerMessage


class MigratorError(Exception):
    """The root: every error that the core raises on purpose."""


class UsageError(MigratorError):
    """The environment, an argument or a secret file cannot be used; all faults."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class PendingError(MigratorError):
    """A check was asked for, and migrations are pending."""

    def __init__(self, pending: Sequence[int]) -> None:
        self.pending = tuple(pending)
        super().__init__(
            f"not applied: {_listed(self.pending)}; run `up` to apply them"
        )


class FilesInvalidError(MigratorError):
    """The migrations directory or its files cannot be used; all faults at once."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        first, more = self.faults[0], len(self.faults) - 1
        rest = f" (and {more} more; `validate` lists them all)" if more else ""
        super().__init__(f"{first}{rest}")


class HistoryConflictError(MigratorError):
    """What the files say and what the tracking table says do not go together."""


class MissingMigrationsError(HistoryConflictError):
    """Files are older than the newest applied version, and were never applied."""

    def __init__(self, paths: Sequence[str], *, newest: int) -> None:
        self.paths = tuple(paths)
        self.newest = newest
        super().__init__(
            f"not applied, but older than the database's version {newest}:"
            f" {_listed(self.paths)}; give them newer versions,"
            " or set MIGRATOR_ALLOW_MISSING=true to apply them now"
        )


class DatabaseAheadError(HistoryConflictError):
    """The table has versions newer than every file."""

    def __init__(self, versions: Sequence[int], *, newest_file: int) -> None:
        self.versions = tuple(versions)
        self.newest_file = newest_file
        super().__init__(
            f"the database is ahead of the files: it has {_listed(self.versions)},"
            f" the newest file is {newest_file}; deploy the newer files,"
            " or set MIGRATOR_ON_DB_AHEAD=warn when this is a rollback"
        )


class UnknownTargetError(HistoryConflictError):
    """The version asked for has no file."""

    def __init__(self, target: int, *, versions: Sequence[int]) -> None:
        self.target = target
        near = sorted(versions, key=lambda version: abs(version - target))[:3]
        super().__init__(
            f"no file has version {target}; the nearest are {_listed(sorted(near))}"
        )


class HistoryExistsError(HistoryConflictError):
    """A baseline was asked for, and the table has versions already."""

    def __init__(self, versions: Sequence[int]) -> None:
        self.versions = tuple(versions)
        super().__init__(
            f"the tracking table has versions already: {_listed(self.versions)};"
            " a baseline is for a database without any: run `status` and `up`"
        )


class NoFileError(HistoryConflictError):
    """A version is to be taken back, and no file says how."""

    def __init__(self, version: int, *, newest_file: int) -> None:
        self.version = version
        super().__init__(
            f"version {version} is applied, but has no file (the newest is"
            f" {newest_file}); take it back with the files that it came from"
        )


class BadTableError(HistoryConflictError):
    """The tracking table is not one that goose made."""

    def __init__(self, table: str, *, reason: str) -> None:
        self.table = table
        super().__init__(
            f"{table} is not a goose tracking table: {reason};"
            " point MIGRATOR_TABLE at the right one"
        )


class DriftError(MigratorError):
    """Applied files have changed, and the settings say that they must not."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self.drifts = tuple(drifts)
        listed = _listed([drift.path for drift in self.drifts])
        super().__init__(
            f"applied, and changed since: {listed}; restore the files and put the"
            " change into a new one, or set MIGRATOR_ON_DRIFT=warn"
        )


class StatementFailedError(MigratorError):
    """A statement or a script failed; its migration's transaction is rolled back."""

    def __init__(self, place: Place, server: ServerMessage) -> None:
        self.place = place
        self.server = server
        super().__init__(
            f"{place}: {server.message}{_sqlstate(server)};"
            " this migration was rolled back; mend the file and run again"
        )


class PartialError(MigratorError):
    """Part of a migration is in the database without its version row."""

    def __init__(
        self,
        place: Place,
        *,
        reason: str,
        mend: str,
        server: ServerMessage | None = None,
    ) -> None:
        self.place = place
        self.reason = reason
        self.server = server
        super().__init__(f"{place}: {reason}; {mend}")


class AccessDeniedError(MigratorError):
    """The server is there and says no."""

    def __init__(
        self, server: ServerMessage, *, mend: str, place: Place | None = None
    ) -> None:
        self.server = server
        self.place = place
        where = f"{place}: " if place else ""
        super().__init__(f"{where}{server.message}{_sqlstate(server)}; {mend}")


class UnavailableError(MigratorError):
    """The server did not take a connection in time."""

    def __init__(self, server: ServerMessage, *, waited_s: float) -> None:
        self.server = server
        self.waited_s = waited_s
        super().__init__(
            f"no connection within {waited_s:.0f} s: {server.message}"
            f"{_sqlstate(server)}; check host, port and network,"
            " or raise MIGRATOR_CONNECT_WAIT"
        )


class ReadOnlyServerError(UnavailableError):
    """The server takes connections but no writes: a standby, or a failover."""

    def __init__(self, server: ServerMessage) -> None:
        self.server = server
        self.waited_s = 0.0
        MigratorError.__init__(
            self,
            f"the server is read-only: {server.message}{_sqlstate(server)};"
            " connect to the primary, or run again when the failover is over",
        )


class LockedError(MigratorError):
    """Another migrator held the lock for as long as we were willing to wait."""

    def __init__(self, *, waited_s: float, holder: str | None) -> None:
        self.waited_s = waited_s
        self.holder = holder
        super().__init__(
            f"another migrator held the lock for {waited_s:.0f} s"
            f" ({holder or 'its session cannot be seen'}); wait for it,"
            " or raise MIGRATOR_LOCK_WAIT"
        )


class ContentionError(MigratorError):
    """Locks of other sessions stood in the way, also of our own retries."""

    def __init__(self, place: Place, server: ServerMessage, *, attempts: int) -> None:
        self.place = place
        self.server = server
        self.attempts = attempts
        super().__init__(
            f"{place}: {server.message}{_sqlstate(server)} in {attempts} attempts;"
            " run again when the table is less busy, or raise MIGRATOR_LOCK_RETRY"
        )


class ConnectionLostError(MigratorError):
    """The session died; what was in flight is rolled back or can be looked up."""

    def __init__(
        self, server: ServerMessage, *, doing: str, place: Place | None = None
    ) -> None:
        self.server = server
        self.doing = doing
        self.place = place
        super().__init__(
            f"the connection was lost while {doing}: {server.message};"
            " run again: what was not committed is rolled back"
        )


class LockLostError(ConnectionLostError):
    """The migration lock went to somebody else, or could not be kept, while we ran."""

    def __init__(self, reason: str) -> None:
        self.server = ServerMessage(sqlstate=None, message=reason)
        self.doing = "holding the migration lock"
        self.place = None
        MigratorError.__init__(
            self,
            f"the migration lock was lost: {reason};"
            " run again: what was not committed is rolled back",
        )


class StatementTimeoutError(MigratorError):
    """A statement took longer than MIGRATOR_STATEMENT_TIMEOUT; it is rolled back."""

    def __init__(self, place: Place, server: ServerMessage) -> None:
        self.place = place
        self.server = server
        super().__init__(
            f"{place}: {server.message}{_sqlstate(server)};"
            " this migration was rolled back: raise MIGRATOR_STATEMENT_TIMEOUT,"
            " or make the statement smaller"
        )


class DeadlineError(MigratorError):
    """The run's own deadline passed; it was cancelled and rolled back."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        super().__init__(
            f"the run's deadline of {deadline_s:g} s passed and it was rolled back;"
            " run again, or raise MIGRATOR_DEADLINE"
        )


class InterruptedRunError(MigratorError):
    """SIGINT or SIGTERM: cancelled, rolled back, unlocked."""

    def __init__(self, signum: int, *, name: str) -> None:
        self.signum = signum
        super().__init__(f"stopped by {name}: rolled back and unlocked; run again")


_SHOWN = 5


def _sqlstate(server: ServerMessage) -> str:
    return f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""


def _listed(values: Sequence[object]) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

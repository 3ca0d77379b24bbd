"""Errors that are raised before a run has changed anything."""

from collections.abc import Sequence

from migrator.domain.facts import Drift, Fault
from migrator.errors.base import MigratorError, list_values


class UsageError(MigratorError):
    """The environment, an argument or a secret file is invalid; lists all faults."""

    def __init__(self, *faults: str) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))


class UnsupportedServerError(UsageError):
    """The server is too old, or another database that speaks PostgreSQL's protocol."""

    def __init__(self, engine: str, *, reason: str, version: str = "") -> None:
        self.engine = engine
        self.version = version
        self.reason = reason
        shown = f" ({version})" if version else ""
        super().__init__(
            f"the server is {engine}{shown}: {reason}; nothing was changed;"
            " connect to a PostgreSQL server, version 14 or newer"
        )


class PendingError(MigratorError):
    """A check found pending migrations."""

    def __init__(self, pending: Sequence[int]) -> None:
        self.pending = tuple(pending)
        super().__init__(
            f"not applied: {list_values(self.pending)}; run `up` to apply them"
        )


class WaitTimeoutError(PendingError):
    """`wait` timed out before all migrations were applied."""

    def __init__(self, pending: Sequence[int], *, waited_s: float) -> None:
        self.pending = tuple(pending)
        self.waited_s = waited_s
        MigratorError.__init__(
            self,
            f"not applied within {waited_s:.0f} s: {list_values(self.pending)};"
            " check the run that applies them; wait again, or raise MIGRATOR_WAIT",
        )


class NotReadyError(MigratorError):
    """`healthcheck` found no completed run in this container."""

    def __init__(self) -> None:
        super().__init__(
            "no completed run in this container: it has not finished yet,"
            " or MIGRATOR_LINGER=true is not set"
        )


class FilesInvalidError(MigratorError):
    """The migrations directory or its files cannot be used; lists all faults."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        first, more = self.faults[0], len(self.faults) - 1
        rest = f" (and {more} more; `validate` lists them all)" if more else ""
        super().__init__(f"{first}{rest}")


class HistoryConflictError(MigratorError):
    """The migration files and the tracking table contradict each other."""


class OutOfOrderError(HistoryConflictError):
    """Files are older than the newest applied version, and were never applied."""

    def __init__(self, paths: Sequence[str], *, newest: int) -> None:
        self.paths = tuple(paths)
        self.newest = newest
        super().__init__(
            f"not applied, but older than the database's version {newest}:"
            f" {list_values(self.paths)}; give them newer versions,"
            " or set MIGRATOR_ALLOW_MISSING=true to apply them now"
        )


class DatabaseAheadError(HistoryConflictError):
    """The table has versions newer than every file."""

    def __init__(self, versions: Sequence[int], *, newest_file: int) -> None:
        self.versions = tuple(versions)
        self.newest_file = newest_file
        super().__init__(
            f"the database is ahead of the files: it has {list_values(self.versions)},"
            f" the newest file is {newest_file}; deploy the newer files,"
            " or set MIGRATOR_ON_DB_AHEAD=warn when this is a rollback"
        )


class UnknownTargetError(HistoryConflictError):
    """The version asked for has no file."""

    def __init__(self, target: int, *, versions: Sequence[int]) -> None:
        self.target = target
        near = sorted(versions, key=lambda version: abs(version - target))[:3]
        super().__init__(
            f"no file has version {target}; the nearest are {list_values(sorted(near))}"
        )


class HistoryExistsError(HistoryConflictError):
    """`baseline` was run on a table that already has versions."""

    def __init__(self, versions: Sequence[int]) -> None:
        self.versions = tuple(versions)
        super().__init__(
            f"the tracking table has versions already: {list_values(self.versions)};"
            " a baseline is for a database without any: run `status` and `up`"
        )


class MigrationFileMissingError(HistoryConflictError):
    """A version is to be rolled back, but its file is missing."""

    def __init__(self, version: int, *, newest_file: int) -> None:
        self.version = version
        super().__init__(
            f"version {version} is applied, but has no file (the newest is"
            f" {newest_file}); roll it back with the release that contains it"
        )


class InvalidTrackingTableError(HistoryConflictError):
    """The tracking table is not one that goose made."""

    def __init__(self, table: str, *, reason: str, remedy: str = "") -> None:
        self.table = table
        remedy = remedy or "point MIGRATOR_TABLE at the right one"
        super().__init__(f"{table} is not a goose tracking table: {reason}; {remedy}")


class MissingSchemaError(HistoryConflictError):
    """The schema in which a table is to be created does not exist."""

    def __init__(self, table: str, *, reason: str, setting: str) -> None:
        self.table = table
        super().__init__(
            f"{table} cannot be created: {reason}; create the schema, or correct"
            f" {setting}"
        )

    @classmethod
    def of_path(cls, table: str) -> "MissingSchemaError":
        """Return the error where the session's search path names no schema."""
        reason = "no schema of the search path exists"
        return cls(table, reason=reason, setting="MIGRATOR_SEARCH_PATH")


class ForeignObjectError(HistoryConflictError):
    """A table of migrator is owned by an untrusted role, or is not a table."""

    def __init__(self, table: str, *, owner: str, reason: str) -> None:
        self.table = table
        self.owner = owner
        self.reason = reason
        super().__init__(
            f"{table} is not used: {reason}; drop what does not belong there, or give"
            " it to this role (ALTER … OWNER TO)"
        )


class RowNotWrittenError(HistoryConflictError):
    """The server accepted a write to the tracking table but changed no row."""

    def __init__(self, table: str, *, version: int, path: str) -> None:
        self.table = table
        self.version = version
        super().__init__(
            f"{path}: version {version} could not be recorded: the server accepted the"
            f" write to {table} and changed no row; remove the trigger, rule or policy"
            " of that table which drops or redirects writes, then re-run"
        )


class DriftError(MigratorError):
    """Files were edited after they were applied, and MIGRATOR_ON_DRIFT is `fail`."""

    def __init__(self, drifts: Sequence[Drift]) -> None:
        self.drifts = tuple(drifts)
        paths = list_values([drift.path for drift in self.drifts])
        super().__init__(
            f"applied, and changed since: {paths}; restore the files and put the"
            " change into a new one, or set MIGRATOR_ON_DRIFT=warn"
        )

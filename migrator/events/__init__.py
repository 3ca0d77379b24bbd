"""What can happen, in the past tense; the core speaks in these and never logs."""

from migrator.events.base import Event, Observer, nobody
from migrator.events.database import (
    DatabaseConnected,
    DatabaseWaited,
    LockAcquired,
    LockContended,
    ServerNoticed,
    SettingsSkipped,
)
from migrator.events.file import FileCreated, FileRenamed
from migrator.events.finding import (
    AheadFound,
    DriftFound,
    FaultFound,
    FilesValidated,
    MigrationListed,
    StatementPlanned,
    VersionAwaited,
    VersionRead,
)
from migrator.events.migration import (
    MigrationApplied,
    MigrationFailed,
    MigrationRecorded,
    MigrationRetried,
    MigrationReverted,
    MigrationSkipped,
    MigrationStarted,
    ScriptPrinted,
    StatementFinished,
)
from migrator.events.run import (
    PlanMade,
    RunCrashed,
    RunFinished,
    RunInterrupted,
    RunStarted,
    SettingIgnored,
)


__all__ = [
    "AheadFound",
    "DatabaseConnected",
    "DatabaseWaited",
    "DriftFound",
    "Event",
    "FaultFound",
    "FileCreated",
    "FileRenamed",
    "FilesValidated",
    "LockAcquired",
    "LockContended",
    "MigrationApplied",
    "MigrationFailed",
    "MigrationListed",
    "MigrationRecorded",
    "MigrationRetried",
    "MigrationReverted",
    "MigrationSkipped",
    "MigrationStarted",
    "Observer",
    "PlanMade",
    "RunCrashed",
    "RunFinished",
    "RunInterrupted",
    "RunStarted",
    "ScriptPrinted",
    "ServerNoticed",
    "SettingIgnored",
    "SettingsSkipped",
    "StatementFinished",
    "StatementPlanned",
    "VersionAwaited",
    "VersionRead",
    "catalogue",
    "nobody",
]


def catalogue() -> tuple[type[Event], ...]:
    """Return every event there is, by name."""
    # dataclass(slots=True) makes each class anew, and the first one may linger
    found = {event.name: event for event in Event.__subclasses__()}
    return tuple(found[name] for name in sorted(found))

"""
What happens to files and steps, as the events that tell it.

None of it happens in a run that finds nothing to do: each event's class is imported
when it is first reported.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from migrator.domain.facts import Drift, Fault
from migrator.domain.model import Direction, Migration, Step
from migrator.errors import MigratorError


if TYPE_CHECKING:
    from migrator.events.finding import (
        DatabaseAheadDetected,
        DriftFound,
        FileRejected,
        FileWarned,
        HistoryFoundElsewhere,
    )
    from migrator.events.migration import (
        CommitConfirmed,
        CommitLost,
        MigrationApplied,
        MigrationFailed,
        MigrationRecorded,
        MigrationReverted,
        MigrationSkipped,
        MigrationStarted,
    )
    from migrator.events.run import SettingIgnored


def file_rejected(fault: Fault) -> "FileRejected":
    """Return the event that *fault* stops the run."""
    from migrator.events.finding import FileRejected

    return FileRejected(**fault._asdict())


def file_warned(fault: Fault) -> "FileWarned":
    """Return the event that there is *fault*, which does not stop the run."""
    from migrator.events.finding import FileWarned

    return FileWarned(**fault._asdict())


def drift_found(drift: Drift) -> "DriftFound":
    """Return the event that tells *drift*."""
    from migrator.events.finding import DriftFound

    return DriftFound(**drift._asdict())


def database_ahead_detected(
    versions: Sequence[int], *, newest_file: int
) -> "DatabaseAheadDetected":
    """Return the event that the table has *versions*, and the files have not."""
    from migrator.events.finding import DatabaseAheadDetected

    return DatabaseAheadDetected(versions=tuple(versions), newest_file=newest_file)


def history_found_elsewhere(
    table: str, schema: str | None, others: Sequence[str]
) -> "HistoryFoundElsewhere":
    """Return the event that *others* have a tracking table where *schema* has none."""
    from migrator.events.finding import HistoryFoundElsewhere

    hint = (
        "the files run again from the first one in this schema; if that is not meant,"
        " set MIGRATOR_SEARCH_PATH or MIGRATOR_TABLE (schema.table) to the right schema"
    )
    return HistoryFoundElsewhere(
        table=table, schema=schema, schemas=tuple(others), hint=hint
    )


def setting_ignored(variable: str, *, reason: str) -> "SettingIgnored":
    """Return the event that *variable* has no effect."""
    from migrator.events.run import SettingIgnored

    return SettingIgnored(variable=variable, reason=reason)


def step_started(step: Step) -> "MigrationStarted":
    """Return the event that *step* begins."""
    from migrator.events.migration import MigrationStarted

    return MigrationStarted(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        statements=len(step.listed_statements),
        transaction=step.migration.transaction,
    )


def step_finished(
    step: Step, current: int, duration_s: float
) -> "MigrationApplied | MigrationReverted":
    """Return the event that *step* is committed, which leads to *current*."""
    from migrator.events.migration import MigrationApplied, MigrationReverted

    up = step.direction is Direction.UP
    return (MigrationApplied if up else MigrationReverted)(
        version=step.migration.version,
        path=step.migration.path,
        statements=len(step.listed_statements),
        current=current,
        duration_s=round(duration_s, 3),
    )


def step_failed(
    step: Step, error: MigratorError, duration_s: float
) -> "MigrationFailed":
    """Return the event that *step* failed."""
    from migrator.events.migration import MigrationFailed

    return MigrationFailed(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        duration_s=round(duration_s, 3),
        error=str(error),
    )


def step_skipped(step: Step, current: int, *, ran: bool = True) -> "MigrationSkipped":
    """Return the event that another run has recorded *step*, which we *ran* too."""
    from migrator.events.migration import MigrationSkipped

    return MigrationSkipped(
        version=step.migration.version,
        path=step.migration.path,
        transaction=step.migration.transaction or not ran,
        current=current,
    )


def commit_confirmed(step: Step) -> "CommitConfirmed":
    """Return the event that *step* is committed, although no answer arrived."""
    from migrator.events.migration import CommitConfirmed

    return CommitConfirmed(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
    )


def commit_lost(step: Step) -> "CommitLost":
    """Return the event that *step* was committed, and is not any more."""
    from migrator.events.migration import CommitLost

    return CommitLost(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
    )


def migration_recorded(migration: Migration) -> "MigrationRecorded":
    """Return the event that *migration* is applied in the table's eyes."""
    from migrator.events.migration import MigrationRecorded

    return MigrationRecorded(version=migration.version, path=migration.path)

"""Steps, faults and drifts as the events that tell them."""

from migrator.errors import MigratorError
from migrator.events import (
    FaultFound,
    MigrationApplied,
    MigrationFailed,
    MigrationReverted,
    MigrationSkipped,
    MigrationStarted,
)
from migrator.facts import Fault
from migrator.model import Direction, Step


def fault_found(fault: Fault, *, fatal: bool) -> FaultFound:
    """Return the event that tells *fault*."""
    return FaultFound(
        path=fault.path,
        line=fault.line,
        column=fault.column,
        slug=fault.slug,
        message=fault.message,
        fatal=fatal,
    )


def step_started(step: Step) -> MigrationStarted:
    """Return the event that *step* begins."""
    return MigrationStarted(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        statements=len(step.told),
        transaction=step.migration.transaction,
    )


def step_taken(
    step: Step, current: int, duration_s: float
) -> MigrationApplied | MigrationReverted:
    """Return the event that *step* is committed, which leads to *current*."""
    up = step.direction is Direction.UP
    return (MigrationApplied if up else MigrationReverted)(
        version=step.migration.version,
        path=step.migration.path,
        statements=len(step.told),
        current=current,
        duration_s=round(duration_s, 3),
    )


def step_failed(step: Step, error: MigratorError, duration_s: float) -> MigrationFailed:
    """Return the event that *step* did not come through."""
    return MigrationFailed(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        duration_s=round(duration_s, 3),
        error=str(error),
    )


def step_skipped(step: Step, current: int) -> MigrationSkipped:
    """Return the event that another run has recorded *step* before us."""
    return MigrationSkipped(
        version=step.migration.version,
        path=step.migration.path,
        transaction=step.migration.transaction,
        current=current,
    )

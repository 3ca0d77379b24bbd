"""Decide which steps run; knows files, versions and a goal, no database."""

from migrator.errors import (
    DatabaseAheadError,
    FilesInvalidError,
    MissingMigrationsError,
)
from migrator.model import Direction, Files, Goal, History, Migration, Step, WhenAhead


def make_plan(
    files: Files,
    history: History,
    goal: Goal,
    *,
    allow_missing: bool = False,
    when_ahead: WhenAhead = WhenAhead.WARN,
) -> tuple[Step, ...]:
    """
    Return the steps that lead from *history* to *goal*, in running order.

    A version counts as applied when the table has any row for it (goose's
    `UpVersions`). Files older than the newest applied version run first, when they
    are allowed; *goal* bounds both kinds. Versions 9, 10, 12 with `Up(to=11)` give
    9 and 10: the target need not exist, as with goose. Only faults in what would run
    stop the plan.

    Raises:
        FilesInvalidError: A file that would have to run has faults, or the
            directory has.
        MissingMigrationsError: A file is older than the newest applied version.
        DatabaseAheadError: *when_ahead* is FAIL and the table has newer versions.
    """
    surplus = ahead(files, history)
    if surplus and when_ahead is WhenAhead.FAIL:
        raise DatabaseAheadError(surplus, newest_file=files.newest)
    pending = _pending(files, history, goal)
    missing = tuple(m for m in pending if m.version < history.newest)
    if missing and not allow_missing:
        raise MissingMigrationsError(
            tuple(m.path for m in missing), newest=history.newest
        )
    _check_faults(files, pending)
    return tuple(Step(migration, Direction.UP) for migration in pending)


def ahead(files: Files, history: History) -> tuple[int, ...]:
    """Return the applied versions that are newer than every file, ascending."""
    return tuple(sorted(v for v in history.versions if v > files.newest))


def _pending(files: Files, history: History, goal: Goal) -> tuple[Migration, ...]:
    limit = files.newest if goal.to is None else goal.to
    return tuple(
        migration
        for migration in files.migrations
        if migration.version not in history.versions and migration.version <= limit
    )


def _check_faults(files: Files, pending: tuple[Migration, ...]) -> None:
    found = (*files.faults, *(f for m in pending for f in m.up.faults))
    if found:
        raise FilesInvalidError(tuple(dict.fromkeys(found)))

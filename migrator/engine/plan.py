"""Decide which steps run; knows files, versions and a goal, no database."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import assert_never

from migrator.domain.facts import Drift, OpenIntent
from migrator.domain.history import History, VersionRow
from migrator.domain.model import (
    Direction,
    Down,
    Files,
    Goal,
    Migration,
    OnProblem,
    Redo,
    Reset,
    Statement,
    Step,
    Up,
)
from migrator.errors import (
    DatabaseAheadError,
    FilesInvalidError,
    MigrationFileMissingError,
    OutOfOrderError,
    PartiallyAppliedError,
)
from migrator.sql.riding import not_pipelined_reason


def make_plan(
    files: Files,
    history: History,
    goal: Goal,
    *,
    allow_missing: bool = False,
    when_ahead: OnProblem = OnProblem.WARN,
) -> tuple[Step, ...]:
    """
    Return the steps that lead from *history* to *goal*, in running order.

    Up: a version counts as applied when the table has any row for it (goose's
    `UpVersions`). Files older than the newest applied version run first, when they
    are allowed; *goal* bounds both kinds. Versions 9, 10, 12 with `Up(to=11)` give
    9 and 10: the target need not exist, as with goose.

    Down: by the order in which versions were applied. `Down(to=9)` ends before the
    first one that is not greater than 9 (goose's `DownTo`).

    Only faults in what would run stop the plan.

    Raises:
        FilesInvalidError: A file that would have to run has faults, or the
            directory has.
        OutOfOrderError: A file is older than the newest applied version.
        DatabaseAheadError: *when_ahead* is FAIL and the table has newer versions.
        MigrationFileMissingError: What is to be rolled back has no file.
    """
    match goal:
        case Up():
            _check_ahead(files, history, when_ahead)
            steps = _up(files, history, goal, allow_missing=allow_missing)
        case Down():
            steps = _down(files, _steps_to_revert(history, goal))
        case Redo():
            down = _down(files, _steps_to_revert(history, Down()))
            steps = (*down, *(Step(s.migration, Direction.UP) for s in down))
        case Reset():
            on_disk = {m.version for m in files.migrations} & set(history.latest)
            steps = _down(files, sorted(on_disk, reverse=True))
        case _:
            assert_never(goal)
    _check_faults(files, steps)
    return steps


def assumed_history(files: Files, goal: Goal) -> History:
    """
    Return what *goal* goes by when nobody asks the tracking table.

    Up finds nothing applied; all else finds every file applied, in version order
    (goose's `upToNoVersioning` and `downToNoVersioning`).
    """
    if isinstance(goal, Up):
        return History()
    return History(tuple(VersionRow(m.version, True, None) for m in files.migrations))


def is_pipelineable(step: Step) -> bool:
    """Return whether *step* may be sent in one stream with the steps beside it."""
    return step.migration.transaction and step.script is None


def not_pipelined(steps: Iterable[Step], *, why_all: str = "") -> Mapping[str, str]:
    """
    Return the files that wait for answers, and why; the others go in one stream.

    A reason for all of them, *why_all*, stands under `*`. Of a file that goes in the
    stream but for some of its statements the first such statement is named; not of a
    large one, of which the statements are not here.
    """
    if why_all:
        return {"*": why_all}
    found = ((s.migration.path, _not_pipelined_reason(s)) for s in steps)
    return {path: reason for path, reason in found if reason}


def _not_pipelined_reason(step: Step) -> str:
    if step.script is not None:
        return "it is written in Python"
    if not step.migration.transaction:
        return "it runs without a transaction"
    if step.migration.is_large:
        return ""  # the file would be read once more
    reasons = ((n, not_pipelined_reason(s)) for n, s in enumerate(step.statements, 1))
    return next((f"statement {n}: {why}" for n, why in reasons if why), "")


def versions_ahead(files: Files, history: History) -> tuple[int, ...]:
    """Return the applied versions that are newer than every file, ascending."""
    return tuple(sorted(v for v in history.versions if v > files.newest))


def session_left(steps: Iterable[Step]) -> tuple[str, ...]:
    """
    Return where *steps*, in running order, leave something in their session.

    A place is `file:line`, or the file of a migration in Python, which may leave
    anything. The last one comes first.
    """
    found: list[str] = []
    for step in steps:
        if step.script is not None:
            found.append(step.migration.path)
        found += [f"{w.path}:{w.line}" for w in step.warnings if w.slug == _LEFT]
    return tuple(reversed(found))


_LEFT = "session_left"


def before(files: Files, step: Step) -> tuple[Step, ...]:
    """Return the files of a whole run that come before *step*, in running order."""
    version, side = step.migration.version, step.direction
    if side is Direction.UP:
        found = [m for m in files.migrations if m.version < version]
    else:
        found = [m for m in reversed(files.migrations) if m.version > version]
    return tuple(Step(m, side) for m in found if m.section(side).script is None)


def outdated_intents(history: History) -> tuple[OpenIntent, ...]:
    """Return what was stopped half way once, and has been done since by others."""
    versions = history.versions
    return tuple(
        begun
        for begun in history.open_intents
        if (begun.version in versions) is (begun.direction == Direction.UP.value)
    )


def check_intents(steps: Iterable[Step], history: History) -> None:
    """
    Check that nothing starts over of which a part is applied.

    Raises:
        PartiallyAppliedError: A migration was stopped half way when it had no
            transaction, and now it wants one.
    """
    begun = {
        (each.version, each.direction): each.completed for each in history.open_intents
    }
    for step in steps:
        through = begun.get((step.migration.version, step.direction.value), 0)
        if through and step.migration.transaction:
            raise PartiallyAppliedError(
                step.migration.place(Statement("", 1), 0),
                reason=f"{through} of its statements are in effect, from a run in which"
                " it had no transaction",
                remedy="make it NO TRANSACTION again, and run again: the run goes on"
                " behind them",
            )


def find_drift(files: Files, applied: Mapping[int, str]) -> tuple[Drift, ...]:
    """Return the files whose checksum is not the one they were *applied* with."""
    return tuple(
        Drift(m.version, m.path, applied[m.version], m.checksum)
        for m in files.migrations
        if applied.get(m.version, m.checksum) != m.checksum
    )


def _check_ahead(files: Files, history: History, when_ahead: OnProblem) -> None:
    surplus = versions_ahead(files, history)
    if surplus and when_ahead is OnProblem.FAIL:
        raise DatabaseAheadError(surplus, newest_file=files.newest)


def _up(
    files: Files, history: History, goal: Up, *, allow_missing: bool
) -> tuple[Step, ...]:
    limit = files.newest if goal.to is None else goal.to
    applied, newest = history.versions, history.newest
    pending = [
        migration
        for migration in files.migrations
        if migration.version not in applied and migration.version <= limit
    ]
    missing = tuple(m.path for m in pending if m.version < newest)
    if missing and not allow_missing:
        raise OutOfOrderError(missing, newest=newest)
    return tuple(Step(m, Direction.UP) for m in pending[: goal.most])


def _steps_to_revert(history: History, goal: Down) -> Sequence[int]:
    limit = goal.to or 0
    found = tuple(takewhile(lambda version: version > limit, history.latest))
    return found[:1] if goal.to is None else found


def _down(files: Files, versions: Iterable[int]) -> tuple[Step, ...]:
    known = {migration.version: migration for migration in files.migrations}
    return tuple(Step(_known(known, v), Direction.DOWN) for v in versions)


def _known(known: Mapping[int, Migration], version: int) -> Migration:
    if version not in known:
        raise MigrationFileMissingError(version, newest_file=max(known, default=0))
    return known[version]


def _check_faults(files: Files, steps: tuple[Step, ...]) -> None:
    found = (*files.faults, *(fault for step in steps for fault in step.faults))
    if found:
        raise FilesInvalidError(tuple(dict.fromkeys(found)))

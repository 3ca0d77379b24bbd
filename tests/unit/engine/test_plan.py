"""Which steps run, from numbers alone."""

import pytest

from migrator.domain.facts import Fault, OpenIntent
from migrator.domain.history import History, VersionRow
from migrator.domain.model import (
    Direction,
    Down,
    Files,
    Goal,
    OnProblem,
    Redo,
    Reset,
    Section,
    Step,
    Up,
)
from migrator.engine.plan import (
    assumed_history,
    check_intents,
    make_plan,
    versions_ahead,
)
from migrator.errors import (
    DatabaseAheadError,
    FilesInvalidError,
    MigrationFileMissingError,
    OutOfOrderError,
    PartiallyAppliedError,
)
from tests.helpers.support import files, migration


def history(*versions: int) -> History:
    """A table with goose's row 0 and the given versions, in that order."""
    return History(
        tuple(VersionRow(v, True, None) for v in (0, *versions)), exists=True
    )


def on_disk(*versions: int) -> Files:
    """Files of the given versions."""
    return files(*(migration(version) for version in versions))


def planned(found: Files, table: History, goal: Up, **options: bool) -> list[int]:
    """The versions that would run."""
    return [s.migration.version for s in make_plan(found, table, goal, **options)]  # type: ignore[arg-type]


FAULT = Fault(path="x", line=1, column=1, slug="test", message="broken.")


@pytest.mark.parametrize(
    ("disk", "table", "to", "expected"),
    [
        pytest.param([1, 2, 3], [], None, [1, 2, 3], id="all"),
        pytest.param([1, 2, 3], [1], None, [2, 3], id="the-rest"),
        pytest.param([1, 2, 3], [1, 2, 3], None, [], id="nothing"),
        pytest.param([9, 10, 11], [], 10, [9, 10], id="up-to-includes-its-target"),
        pytest.param([9, 10, 12], [], 11, [9, 10], id="the-target-need-not-exist"),
        pytest.param([1, 2], [1], 0, [], id="up-to-0"),
        pytest.param([1, 2], [1, 2, 7], None, [], id="rows-without-files"),
        pytest.param([3, 20260101000000], [3], None, [20260101000000], id="mixed"),
    ],
)
def test_pending_files_run_in_version_order(
    disk: list[int], table: list[int], to: int | None, expected: list[int]
) -> None:
    """What has no row and is not above the target runs, ascending."""
    assert planned(on_disk(*disk), history(*table), Up(to)) == expected


def test_a_late_file_stops_the_plan() -> None:
    """
    A file below the newest applied version is refused by default.

    goose: `internal/gooseutil/resolve.go`, UpVersions.
    """
    with pytest.raises(OutOfOrderError) as caught:
        make_plan(on_disk(1, 2, 3), history(1, 3), Up())

    assert (caught.value.paths, caught.value.newest) == (("00002_test.sql",), 3)


def test_a_late_file_above_the_target_stops_nothing() -> None:
    """With up-to, only files up to the target count, as with goose's command."""
    assert planned(on_disk(1, 2, 3), history(1, 3), Up(to=1)) == []


def test_late_files_run_first_when_they_are_allowed() -> None:
    """Missing ones ascending, then new ones."""
    found = planned(on_disk(1, 2, 3, 4), history(1, 3), Up(), allow_missing=True)

    assert found == [2, 4]


def test_a_row_that_says_not_applied_counts_as_applied() -> None:
    """goose's `up` looks for any row of the version."""
    table = History(
        (VersionRow(0, True, None), VersionRow(1, False, None)), exists=True
    )

    assert planned(on_disk(1, 2), table, Up()) == [2]


@pytest.mark.parametrize("when", [OnProblem.WARN, OnProblem.IGNORE])
def test_a_database_ahead_is_no_error_by_default(when: OnProblem) -> None:
    """A rolled-back deployment must start."""
    found = make_plan(on_disk(1), history(1, 2), Up(), when_ahead=when)

    assert found == ()


def test_a_database_ahead_can_be_an_error() -> None:
    """`fail` names the versions that no file has."""
    with pytest.raises(DatabaseAheadError) as caught:
        make_plan(on_disk(1), history(1, 2, 3), Up(), when_ahead=OnProblem.FAIL)

    assert (caught.value.versions, caught.value.newest_file) == ((2, 3), 1)


def test_only_newer_versions_are_ahead() -> None:
    """A row between the files is unknown, not ahead."""
    assert versions_ahead(on_disk(1, 5), history(1, 3, 5, 9, 7)) == (7, 9)


def test_faults_of_what_would_run_stop_the_plan() -> None:
    """All of them are reported together."""
    broken = [migration(n)._replace(up=Section(faults=(FAULT,))) for n in (1, 2)]
    other = FAULT._replace(path="y")

    with pytest.raises(FilesInvalidError) as caught:
        make_plan(Files(tuple(broken), faults=(other,)), history(), Up())

    assert caught.value.faults == (other, FAULT)


def test_faults_of_what_would_not_run_stop_nothing() -> None:
    """An applied file, and an unused Down, may be broken."""
    old = migration(1)._replace(up=Section(faults=(FAULT,)))
    new = migration(2)._replace(down=Section(faults=(FAULT,)))

    assert planned(files(old, new), history(1), Up()) == [2]


@pytest.mark.parametrize(
    ("applied", "goal", "expected"),
    [
        pytest.param([1, 2, 3], Down(), ["down 3"], id="down"),
        pytest.param([], Down(), [], id="down-at-0"),
        pytest.param([1, 3, 2], Down(), ["down 2"], id="what-was-applied-last"),
        pytest.param([1, 2, 3], Down(to=1), ["down 3", "down 2"], id="down-to"),
        pytest.param([1, 2, 3], Down(to=0), ["down 3", "down 2", "down 1"], id="to-0"),
        pytest.param([1, 2, 3], Down(to=9), [], id="down-to-above"),
        pytest.param([1, 3, 2], Down(to=2), [], id="down-to-ends-by-row-order"),
        pytest.param([1, 3, 2], Down(to=1), ["down 2", "down 3"], id="by-row-order"),
        pytest.param([1, 2], Redo(), ["down 2", "up 2"], id="redo"),
        pytest.param([], Redo(), [], id="redo-at-0"),
        pytest.param([1, 3, 2], Reset(), ["down 3", "down 2", "down 1"], id="reset"),
        pytest.param([2, 9], Reset(), ["down 2"], id="reset-knows-files-only"),
        pytest.param([1], Up(most=1), ["up 2"], id="up-by-one"),
        pytest.param([1, 2, 3], Up(most=1), [], id="up-by-one-at-the-end"),
    ],
)
def test_other_goals(applied: list[int], goal: Goal, expected: list[str]) -> None:
    """
    Down goes by the order in which versions were applied.

    goose: `down.go` DownTo, `redo.go`, `reset.go`; nothing to do is no error.
    """
    steps = make_plan(on_disk(1, 2, 3), history(*applied), goal)

    found = [f"{step.direction.value} {step.migration.version}" for step in steps]
    assert found == expected


@pytest.mark.parametrize("goal", [Down(), Down(to=0), Redo()])
def test_what_has_no_file_cannot_be_rolled_back(goal: Goal) -> None:
    """The error names the version."""
    with pytest.raises(MigrationFileMissingError) as caught:
        make_plan(on_disk(1, 2), history(1, 9), goal)

    assert caught.value.version == 9


@pytest.mark.parametrize("goal", [Down(), Down(to=1), Redo()])
def test_nothing_is_rolled_back_before_row_0(goal: Goal) -> None:
    """
    A row 0 that came later than others hides them, as in goose; Reset finds them.

    goose: `migrate.go`, EnsureDBVersionContext; `reset.go`, dbMigrationsStatus.
    """
    table = History(tuple(VersionRow(v, True, None) for v in (1, 2, 0)), exists=True)

    assert table.current == 0
    assert make_plan(on_disk(1, 2), table, goal) == ()
    assert len(make_plan(on_disk(1, 2), table, Reset())) == 2


def test_without_versions_up_runs_all_and_down_finds_all() -> None:
    """What is assumed instead of a tracking table depends on the goal."""
    found = on_disk(1, 2)

    assert assumed_history(found, Up()) == History()
    assert assumed_history(found, Down()).latest == (2, 1)


def test_faults_of_a_down_stop_a_down() -> None:
    """And those of its Up do not."""
    broken_down = migration(2)._replace(down=Section(faults=(FAULT,)))
    broken_up = migration(2)._replace(up=Section(faults=(FAULT,)))

    with pytest.raises(FilesInvalidError):
        make_plan(files(broken_down), history(2), Down())

    assert len(make_plan(files(broken_up), history(2), Down())) == 1


def test_a_step_changes_the_history() -> None:
    """Up adds a row, down takes every row of the version away."""
    before = history(1, 2, 2)
    up, down = Step(migration(3), Direction.UP), Step(migration(2), Direction.DOWN)

    assert before.after(up).latest == (3, 2, 1, 0)
    assert before.after(down) == history(1)


@pytest.mark.parametrize(
    ("rows", "current"),
    [
        pytest.param([], 0, id="empty"),
        pytest.param([(0, True)], 0, id="fresh"),
        pytest.param([(0, True), (1, True), (2, True)], 2, id="plain"),
        pytest.param([(0, True), (2, True), (1, True)], 1, id="applied-last-wins"),
        pytest.param([(0, True), (1, True), (1, False)], 0, id="old-goose-rolled-back"),
        pytest.param([(0, True), (1, False), (1, True)], 1, id="and-applied-again"),
    ],
)
def test_the_current_version_is_gooses(
    rows: list[tuple[int, bool]], current: int
) -> None:
    """goose's GetDBVersion: by row, not by number."""
    table = History(
        tuple(VersionRow(v, applied, None) for v, applied in rows), exists=True
    )

    assert table.current == current


@pytest.mark.parametrize(
    ("through", "direction", "transaction", "refused"),
    [
        (2, "up", True, True),
        (2, "up", False, False),
        (0, "up", True, False),
        (2, "down", True, False),
    ],
)
def test_what_has_begun_without_a_transaction_does_not_start_over(
    through: int, direction: str, *, transaction: bool, refused: bool
) -> None:
    """A file of which a part is in effect may not want a transaction by now."""
    step = Step(migration(1, "SELECT 1", transaction=transaction), Direction.UP)
    begun = History(open_intents=(OpenIntent(1, direction, through),))

    said = ""
    try:
        check_intents([step], begun)
    except PartiallyAppliedError as error:
        said = str(error)

    words = "00001_test.sql:1:1: 2 of its statements are in effect, from a run in which"
    assert said.startswith(words) is refused
    assert bool(said) is refused

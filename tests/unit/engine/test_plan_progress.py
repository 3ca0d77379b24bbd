"""How far a plan has come, by what the table says after a session has died."""

import pytest

from migrator.domain.history import History, VersionRow
from migrator.domain.model import Direction, Step
from migrator.engine.plan_progress import PlanDiff, PlanProgress
from tests.helpers.support import migration


def step(version: int, direction: Direction = Direction.UP) -> Step:
    """One step."""
    return Step(migration(version), direction)


def history(*rows: tuple[int, str]) -> History:
    """Versions with the times at which they were applied."""
    return History(
        tuple(VersionRow(version, True, at) for version, at in rows), exists=True
    )


UP = (step(1), step(2), step(3))
REDO = (step(5, Direction.DOWN), step(5))
BEFORE = history((4, "monday"), (5, "tuesday"))


def test_rows_of_steps_that_were_sent_are_ours_and_others_another_runs() -> None:
    """Of steps that are through only those that we have sent can be our own."""
    progress = PlanProgress(UP, History())
    progress.mark_sent([UP[0]])
    progress.mark_done(UP[0], ours=True)
    progress.mark_sent([UP[1]])

    news = progress.diff(history((1, "a"), (2, "b"), (3, "c")))
    progress.apply(news)

    assert news == PlanDiff((), (UP[1],), (UP[2],))
    assert (progress.remaining, progress.applied) == ((), (UP[0], UP[1]))


def test_a_step_whose_row_is_gone_is_pending_again() -> None:
    """A step that a failover has lost comes again, in its place."""
    progress = PlanProgress(UP, History())
    for each in UP[:2]:
        progress.mark_done(each, ours=True)

    news = progress.diff(history((2, "b")))
    progress.apply(news)

    assert news == PlanDiff((UP[0],), (), ())
    assert progress.remaining == (UP[0], UP[2])


@pytest.mark.parametrize(
    ("now", "found"),
    [
        pytest.param(BEFORE, (), id="neither"),
        pytest.param(history((4, "monday")), REDO[:1], id="taken-back"),
        pytest.param(history((4, "monday"), (5, "friday")), REDO, id="both"),
    ],
)
def test_redo_is_detected_by_its_row(now: History, found: tuple[Step, ...]) -> None:
    """The version has a row before and after it, but not the same one."""
    progress = PlanProgress(REDO, BEFORE)
    for each in REDO:
        progress.mark_sent([each])

    assert progress.diff(now) == PlanDiff((), found, ())
    assert progress.is_complete(now) == (found == REDO)


def test_a_row_that_reads_otherwise_is_not_rolled_back() -> None:
    """A session may print times in another style: `down` goes by the version alone."""
    progress = PlanProgress((step(5, Direction.DOWN),), BEFORE)

    assert not progress.is_complete(history((4, "Mo"), (5, "Di")))
    assert progress.is_complete(history((4, "Mo")))

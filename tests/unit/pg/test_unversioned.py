"""What is known where no tracking table is read."""

import pytest

from migrator.errors import BrokenAnswerError
from migrator.pg.connection.session import Answers
from migrator.pg.tracking.snapshot import DatabaseState
from migrator.pg.tracking.store import NoTrackingStore


def test_only_the_schema_is_known() -> None:
    """The lock's table may be in it."""
    assert NoTrackingStore().parse_state((("app",),)) == DatabaseState(schema="app")


@pytest.mark.parametrize("answers", [(), (None,), (("app", 1, 2),)])
def test_an_answer_of_another_kind_is_broken(answers: Answers) -> None:
    """What is not PostgreSQL may send anything."""
    with pytest.raises(BrokenAnswerError):
        NoTrackingStore().parse_state(answers)

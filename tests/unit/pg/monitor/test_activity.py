"""What an answer about another session says."""

import json

import pytest

from migrator.pg.connection.queries import TextRow
from migrator.pg.monitor.activity import SessionActivity, read_activity


FIELDS = ("state", "state_change", "wait_event", "role", "wait", "blockers", "progress")


@pytest.mark.parametrize("answer", [[], [(None,)]])
def test_no_row_is_a_session_that_is_gone(answer: list[TextRow]) -> None:
    """Whether the server says nothing, or NULL."""
    assert read_activity(answer) == SessionActivity(is_gone=True)


def test_a_row_is_a_session_that_is_there() -> None:
    """Also when its state is kept from us: NULL."""
    values = [None, None, None, "me", None, None, None]
    answer = json.dumps(dict(zip(FIELDS, values, strict=True))).encode()

    assert read_activity([(answer,)]) == SessionActivity(role="me")

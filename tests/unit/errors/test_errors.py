"""What messages say of a place, and of the server's words."""

import pytest

from migrator.domain.facts import AT_COMMIT, RECORDING, Place, ServerMessage
from migrator.errors import StatementFailedError
from migrator.errors.base import server_text


PLACE = Place(2, "00002_b.sql", 3, 4, 1)


@pytest.mark.parametrize(
    ("place", "text", "fields"),
    [
        (
            PLACE,
            "00002_b.sql:3:4",
            {
                "version": 2,
                "path": "00002_b.sql",
                "line": 3,
                "column": 4,
                "statement": 1,
            },
        ),
        (
            PLACE._replace(phase=AT_COMMIT),
            "00002_b.sql at COMMIT",
            {"version": 2, "path": "00002_b.sql", "phase": "at COMMIT"},
        ),
        (
            PLACE._replace(phase=RECORDING),
            "00002_b.sql, recording the version",
            {"version": 2, "path": "00002_b.sql", "phase": "recording the version"},
        ),
    ],
)
def test_a_place(place: Place, text: str, fields: dict[str, object]) -> None:
    """What is not in the file has no line."""
    assert (str(place), place.fields) == (text, fields)


@pytest.mark.parametrize(
    ("server", "text"),
    [
        (ServerMessage(None, "no"), "no"),
        (
            ServerMessage("23505", "no", "Key exists."),
            "no: Key exists (SQLSTATE 23505)",
        ),
        (
            ServerMessage(None, "no", "one waits;\ntwo waits."),
            "no: one waits; two waits",
        ),
        (ServerMessage(None, "no", "x" * 501), f"no: {'x' * 500}…"),
    ],
)
def test_the_servers_words(server: ServerMessage, text: str) -> None:
    """Message, DETAIL and SQLSTATE in one line of bounded length."""
    assert server_text(server) == text


def test_advice_comes_last() -> None:
    """Behind what is to be done."""
    error = StatementFailedError(PLACE, ServerMessage(None, "no"))
    error.advice = "more"

    assert str(error) == (
        "00002_b.sql:3:4: no; the migration was rolled back; fix the file and"
        " re-run; more"
    )

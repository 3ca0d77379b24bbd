"""The shape of an event."""

from typing import Any, ClassVar

import pytest

from migrator.events.base import Event


class Rained(Event):
    """It has rained."""

    name: ClassVar[str] = "weather.rained"

    place: str
    amount_mm: float


class Snowed(Event):
    """It has snowed."""

    name: ClassVar[str] = "weather.snowed"

    place: str
    amount_mm: float


HERE = Rained(place="here", amount_mm=2.5)


def test_fields_are_what_is_annotated_and_has_no_value() -> None:
    """In their order; constants such as the name are none."""
    assert Rained.fields == ("place", "amount_mm")
    assert vars(Rained(amount_mm=2.5, place="here")) == {
        "place": "here",
        "amount_mm": 2.5,
    }


def test_an_event_equals_one_of_its_kind_with_the_same_values() -> None:
    """Another kind with the same values is another event."""
    assert Rained(place="here", amount_mm=2.5) == HERE
    assert hash(Rained(place="here", amount_mm=2.5)) == hash(HERE)
    assert Rained(place="there", amount_mm=2.5) != HERE
    assert Snowed(place="here", amount_mm=2.5) != HERE


def test_an_event_shows_its_values() -> None:
    """As what would make it again."""
    assert repr(HERE) == "Rained(place='here', amount_mm=2.5)"


def test_an_event_does_not_change() -> None:
    """Who listens first leaves it as it is for who listens next."""
    with pytest.raises(AttributeError, match="Rained does not change"):
        HERE.place = "there"  # type: ignore[misc]
    with pytest.raises(AttributeError, match="Rained does not change"):
        del HERE.place

    assert HERE.place == "here"


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"place": "here"}, "amount_mm"),
        ({}, "amount_mm, place"),
        ({"place": "here", "amount_mm": 1.0, "colour": "grey"}, "colour"),
    ],
)
def test_an_event_has_exactly_its_fields(values: dict[str, Any], wrong: str) -> None:
    """What is missing, and what there is none of, is named."""
    with pytest.raises(TypeError, match=f"^Rained: missing or unknown: {wrong}$"):
        Rained(**values)

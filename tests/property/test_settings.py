"""What is read directly is what pydantic-settings reads."""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import example, given, settings, strategies as st

from migrator.config.settings import Settings
from migrator.config.types import Addresses, Duration, Paths, parse_value
from migrator.config.validation import validate


DECLARED = fields(Settings)
FIELDS = {field.name: field for field in DECLARED}
DOUBTFUL = (
    *("True", "yes", "no", "on", "off", "1", "0", "t", "None"),
    *("007", "-1", "+1", "1_000", "4.0", "1e3", "\u0663", "\u00b2", "9" * 18, "9" * 99),
    *(" 5 ", "5 m", "nan", "inf", "1_0", "\uff11", "1.", ".5h"),
    *("Up", "WARN", "SESSION", "", " ", "a\nb", "/a/../b/", "\u200b"),
)
"""Forms that look like values, and that only one of the two may take."""


PATTERNS: Mapping[Any, str] = {
    Duration: r"\A([0-9]{1,3}(\.[0-9])?(h|m|s|ms)){0,2}[0-9]?\Z",
    Addresses: r"\A(https?://[a-z0-9.]{1,9}(:[0-9]{1,6})?/?[, ]?){0,2}\Z",
    Paths: r"\A(/?[a-z .]{0,3}:?){0,3}\Z",
}


def likely(kind: Any) -> st.SearchStrategy[str]:
    """Texts that a field of this kind may well be given."""
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from([each.value for each in kind])
    if kind in PATTERNS:
        return st.from_regex(PATTERNS[kind])
    if kind == int | None:
        return st.integers(-9, 10**20).map(str)
    if kind is bool:
        return st.sampled_from(["true", "false"])
    return st.text(max_size=9)


def written(default: object) -> str:
    """A field's default as it is written into the environment, or a version."""
    match default:
        case None:
            return "42"
        case bool():
            return str(default).lower()
        case Enum():
            return str(default.value)
        case (*places,):
            return ":".join(map(str, places)) or "http://127.0.0.1:4191/shutdown"
        case _:
            return str(default)


TEXTS = st.fixed_dictionaries(
    {},
    optional={
        name: likely(field.type) | st.sampled_from(DOUBTFUL) | st.text(max_size=3)
        for name, field in FIELDS.items()
    },
)


def directly(texts: Mapping[str, str]) -> dict[str, object]:
    """What needs no judge."""
    return {name: parse_value(FIELDS[name].type, text) for name, text in texts.items()}


@settings(deadline=None)  # the judge takes its time on a busy machine
@given(TEXTS)
@example({"target": "007", "wait": "1_0", "table": " ", "termination_log": "/a/../b/"})
def test_certain_values_are_those_of_pydantic(texts: Mapping[str, str]) -> None:
    """Whenever there is a direct answer, it is the one that the judge gives."""
    try:
        found = directly(texts)
    except ValueError:
        return

    assert found == validate(DECLARED, texts)


@pytest.mark.parametrize("name", FIELDS)
@settings(deadline=None)
@given(data=st.data())
def test_each_value_by_itself(name: str, data: st.DataObject) -> None:
    """Most of the many values at once hold one that is not certain; here one is all."""
    kind = likely(FIELDS[name].type) | st.sampled_from(DOUBTFUL) | st.text()
    texts = {name: data.draw(kind)}
    try:
        found = directly(texts)
    except ValueError:
        return

    assert found == validate(DECLARED, texts)


@pytest.mark.parametrize("name", FIELDS)
def test_what_people_write_is_certain(name: str) -> None:
    """Each field is read directly in the form in which the README shows its default."""
    texts = {name: written(FIELDS[name].default)}

    assert directly(texts) == validate(DECLARED, texts)

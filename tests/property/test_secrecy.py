"""No secret is in any line, and no secret changes what is no foreign text."""

import io
import json
import re
from typing import Any
from urllib.parse import quote, quote_plus

from hypothesis import given, strategies as st

from migrator.domain.facts import Word
from migrator.events.base import Event
from migrator.report import termination
from migrator.report.log import log_to
from migrator.report.redact import Redactor
from migrator.report.schema import all_events
from migrator.sql.secrets import is_secret


ALPHABET = "abZ019 '\"\\/%@:;&=?#$\t-_äß\u20ac\U0001f418"
LINES = st.text(ALPHABET, min_size=4, max_size=20)
WORDS = st.sampled_from(
    [
        *("migration", "failed", "up", "info", "error", "run.finished", "true", "1"),
        *("event", "level", "timestamp", "outcome", "exit_code", "2026", "applied"),
        *("********", "T", "Z", "reset", "down", "NOTICE", "42601", "session"),
    ]
)
SECRETS = st.lists(
    LINES | WORDS | st.lists(LINES, min_size=2, max_size=3).map("\n".join), max_size=3
)
FORMS = (
    str,
    str.lower,
    repr,
    ascii,
    json.dumps,
    quote,
    quote_plus,
    lambda text: quote(text, safe=""),
    lambda text: json.dumps(text, ensure_ascii=False),
    lambda text: text.replace("'", "''"),
)
EVENTS = {event.name: event for event in all_events()}


def is_word(declared: object) -> bool:
    """Whether a field's type says that it holds a word of ours."""
    return declared in (Word, Word | None)


def filled(kind: type[Event], foreign: str) -> Event:
    """An event whose words are of ours, and all of whose other texts are foreign."""
    values: dict[str, Any] = {}
    for name in kind.fields:
        declared = kind.__annotations__[name]
        if is_word(declared):
            values[name] = "applied"
        elif "tuple[str" in str(declared):
            values[name] = (foreign,)
        elif "tuple[collections.abc.Mapping" in str(declared):
            values[name] = ({"query": foreign, "pid": 7},)
        elif "Mapping" in str(declared):
            values[name] = {f"{foreign}.sql": foreign, "sqlstate": "42601", "line": 7}
        elif "tuple" in str(declared):
            values[name] = (2026,)
        elif "str" in str(declared):
            values[name] = foreign
        else:
            values[name] = True if declared is bool else 2026
    return kind(**values)


def logged(event: Event, redactor: Redactor, *, level: str = "debug") -> dict[str, Any]:
    """The line of an event."""
    stream = io.StringIO()
    log_to(stream, log_format="json", level=level, redactor=redactor, run_id="info")(
        event
    )
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


@given(
    st.sampled_from(sorted(EVENTS)),
    SECRETS,
    st.sampled_from(FORMS),
    st.sampled_from(["{}", "x {} y", "'{}'", "a={}", "\n{}\n"]),
)
def test_no_secret_survives(
    name: str, secrets: list[str], form: Any, place: str
) -> None:
    """In any field, in any form, whole or one line of it."""
    parts = [part for each in secrets for part in (each, *each.splitlines())]
    hidden = [part for part in parts if is_secret(part) and not MASKED.fullmatch(part)]
    foreign = " ".join(place.format(form(part)) for part in hidden)
    event = filled(EVENTS[name], foreign)

    line = logged(event, Redactor(secrets))

    values = [texts(value) for name, value in line.items() if name in event.fields]
    foreign_left = "\n".join(text for each in values for text in each)
    for part in hidden:
        if len(part.strip()) >= 6:
            assert form(part) not in foreign_left


MASKED = re.compile(r"[\s*]*")


def texts(value: Any) -> list[str]:
    """All strings of a value but the names of its fields."""
    match value:
        case str():
            return [] if value in ("applied", "42601") else [value]
        case dict():
            return [t for k, v in value.items() for t in (*texts(k), *texts(v))]
        case list():
            return [text for inner in value for text in texts(inner)]
        case _:
            return []


@given(st.sampled_from(sorted(EVENTS)), SECRETS)
def test_what_is_ours_is_never_masked(name: str, secrets: list[str]) -> None:
    """Names, levels, times, outcomes, commands, run ids, numbers, whatever is secret."""
    event = filled(EVENTS[name], "x")
    with_secrets, without = (logged(event, Redactor(s)) for s in (secrets, []))

    ours = [
        *("level", "event", "run_id"),
        *(n for n in event.fields if is_word(type(event).__annotations__[n])),
        *(
            n
            for n, value in without.items()
            if not isinstance(value, str | list | dict)
        ),
    ]

    assert with_secrets.keys() == without.keys()
    assert {n: with_secrets[n] for n in ours} == {n: without[n] for n in ours}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", with_secrets["timestamp"])


@given(SECRETS)
def test_the_termination_message_keeps_its_fixed_fields(secrets: list[str]) -> None:
    """Outcome, command and the codes in `failed`."""
    event = filled(EVENTS["run.finished"], "x")

    fields = Redactor(secrets).fields(event)
    message = json.loads(termination.message(fields))

    assert (message["outcome"], message["command"]) == ("applied", "applied")
    assert (message["failed"]["sqlstate"], message["failed"]["line"]) == ("42601", 7)

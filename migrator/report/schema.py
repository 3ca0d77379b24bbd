"""The JSON Schema of the log lines, made from the event classes."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from migrator import events
from migrator.events.base import Event


_SIMPLE: Mapping[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    NoneType: "null",
}
_FRONT = {
    "timestamp": {"type": "string", "format": "date-time"},
    "level": {"enum": ["debug", "info", "warning", "error"]},
    "run_id": {"type": "string"},
}


def schema() -> dict[str, Any]:
    """Return a schema that every log line in JSON format fulfils, one case an event."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A log line of migrator",
        "oneOf": [_case(event) for event in all_events()],
    }


def _case(event: type[Event]) -> dict[str, Any]:
    hints = get_type_hints(event)
    own = {name: _typed(hints[name]) for name in event.fields}
    properties = {**_FRONT, "event": {"const": event.name}, **own}
    return {
        "description": (event.__doc__ or "").strip(),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _typed(hint: Any) -> dict[str, Any]:
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return {"anyOf": [_typed(choice) for choice in get_args(hint)]}
    if origin is tuple:
        return {"type": "array", "items": _typed(get_args(hint)[0])}
    if origin is not None:
        return {"type": "object"}
    return {"type": _SIMPLE[hint]}


def all_events() -> tuple[type[Event], ...]:
    """Return every event there is, by name."""
    found = {
        each.name: each
        for module in iter_modules(events.__path__, f"{events.__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    return tuple(found[name] for name in sorted(found))

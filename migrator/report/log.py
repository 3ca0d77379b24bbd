"""Events as log lines on stdout: JSON, or readable on a terminal."""

from collections.abc import MutableMapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, TextIO

import structlog

from migrator.events.base import Event, Observer
from migrator.report.escape import json_text
from migrator.report.redact import Redactor
from migrator.report.stdout import Lines, is_utf8


_FRONT = ("timestamp", "level", "event", "run_id")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Fields = dict[str, Any]
Processor = structlog.typing.Processor


def log_to(
    stream: TextIO, *, console: bool, level: str, redactor: Redactor, run_id: str
) -> Observer:
    """
    Return a listener that writes one line for each event of *level* and above.

    A line that *stream* does not take is lost, and the next one is written all the
    same: a reader that has gone or a full disk is no reason to stop a migration.
    """
    bound = {} if console else {"run_id": run_id}
    least = _LEVELS[level]

    @cache
    def logger() -> structlog.BoundLogger:
        printer, render = _console(stream) if console else _json(stream)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        found: structlog.BoundLogger = structlog.wrap_logger(
            printer,
            processors=[stamp, _in_front, render],
            wrapper_class=structlog.BoundLogger,
        )
        return found

    def tell(event: Event) -> None:
        severity = event.severity
        if _LEVELS[severity] < least and event.name != "run.finished":
            return
        fields = redactor.fields(event)
        logger().info(event.name, level=severity, **bound, **fields)

    return tell


def plain_line(event: Event, fields: Fields, *, run_id: str) -> str:
    """Return the line of *event* in JSON, of little that could fail."""
    now = datetime.now(UTC).isoformat()
    front = dict(zip(_FRONT, (now, event.severity, event.name, run_id), strict=True))
    return f"{json_text({**front, **fields})}\n"


def _json(stream: TextIO) -> tuple[Any, Processor]:
    # in ASCII, JSON has a way to write every character; a stream's own is none of JSON
    plain = not is_utf8(stream)

    def dumps(fields: Fields, **_: Any) -> str:
        return json_text(fields, ensure_ascii=plain)

    return Lines(stream), structlog.processors.JSONRenderer(dumps)


def _console(stream: TextIO) -> tuple[Any, Processor]:
    from migrator.report.console import printer  # noqa: PLC0415 - not in a container

    return printer(stream)


def _in_front(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> Fields:
    front = {name: event_dict[name] for name in _FRONT if name in event_dict}
    return {**front, **event_dict}

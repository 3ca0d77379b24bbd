"""Events as log lines: JSON, or sentences for a person."""

import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any, Literal, Protocol, TextIO

import structlog

from migrator.events.base import Event, Observer
from migrator.report.escape import json_text
from migrator.report.redact import Redactor
from migrator.report.stdout import Lines, is_utf8, lenient


_FRONT = ("timestamp", "level", "event", "run_id")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Fields = dict[str, Any]
LogFormat = Literal["json", "console", "plain"]


def log_to(
    stream: TextIO,
    *,
    log_format: LogFormat,
    level: str,
    redactor: Redactor,
    run_id: str,
) -> Observer:
    """
    Return a listener that writes one line for each event of *level* and above.

    With the format `plain` the answers of a command go to *stream*, the rest to
    `sys.stderr`. A line that a stream does not take is lost, and the next one is
    written all the same: a reader that has gone or a full disk is no reason to stop a
    migration.
    """
    log = cache(partial(_writer, stream, log_format, run_id))
    least = _LEVELS[level]

    def tell(event: Event) -> None:
        if _LEVELS[event.severity] < least and event.name != "run.finished":
            log().skip(event)
        else:
            log().write(event, redactor.fields(event))

    return tell


class _Writer(Protocol):
    def write(self, event: Event, fields: Mapping[str, Any]) -> None: ...
    def skip(self, event: Event) -> None: ...


def _writer(stream: TextIO, log_format: LogFormat, run_id: str) -> _Writer:
    if log_format == "json":
        return _JsonLines(stream, run_id)
    from migrator.report.console import Console  # noqa: PLC0415 - not in a container

    if log_format == "plain":
        return Console(lenient(sys.stderr), answers=stream)
    return Console(stream)


class _JsonLines:
    def __init__(self, stream: TextIO, run_id: str) -> None:
        # in ASCII, JSON can write every character; the stream's own escapes are no JSON
        plain = not is_utf8(stream)

        def dumps(fields: Fields, **_: Any) -> str:
            return json_text(fields, ensure_ascii=plain)

        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._log = structlog.wrap_logger(
            Lines(stream),
            processors=[stamp, _in_front, structlog.processors.JSONRenderer(dumps)],
            wrapper_class=structlog.BoundLogger,
        ).bind(run_id=run_id)

    def write(self, event: Event, fields: Mapping[str, Any]) -> None:
        self._log.info(event.name, level=event.severity, **fields)

    def skip(self, event: Event) -> None:
        """Write nothing."""


def plain_line(event: Event, fields: Fields, *, run_id: str) -> str:
    """Return the line of *event* in JSON, of little that could fail."""
    now = datetime.now(UTC).isoformat()
    front = dict(zip(_FRONT, (now, event.severity, event.name, run_id), strict=True))
    return f"{json_text({**front, **fields})}\n"


def _in_front(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> Fields:
    front = {name: event_dict[name] for name in _FRONT if name in event_dict}
    return {**front, **event_dict}

"""Events as log lines on stdout: JSON, or readable on a terminal."""

import json
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO

import structlog

from migrator.events.base import Event, Observer
from migrator.report.redact import Redactor


_FRONT = ("timestamp", "level", "event", "run_id")
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Fields = dict[str, Any]
Processor = structlog.typing.Processor


def fields_of(event: Event) -> Fields:
    """Return the fields of *event* as they are told."""
    return dict(vars(event))


def log_to(
    stream: TextIO, *, console: bool, level: str, redactor: Redactor, run_id: str
) -> Observer:
    """Return a listener that writes one line for each event of *level* and above."""
    printer, render = _console(stream) if console else _json(stream)
    logger = structlog.wrap_logger(
        printer,
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _masking(redactor),
            _in_front,
            render,
        ],
        wrapper_class=structlog.BoundLogger,
    )
    bound = {} if console else {"run_id": run_id}
    least = _LEVELS[level]

    def tell(event: Event) -> None:
        severity = event.severity
        if _LEVELS[severity] < least and event.name != "run.finished":
            return
        try:
            logger.info(event.name, level=severity, **bound, **fields_of(event))
        except (OSError, ValueError):
            # whoever read us has gone (BrokenPipeError, then "closed file"): no reason
            # to stop a migration half way; closed, it cannot fail again at exit
            with suppress(OSError):
                stream.close()

    return tell


def _json(stream: TextIO) -> tuple[Any, Processor]:
    return structlog.PrintLogger(stream), structlog.processors.JSONRenderer(_dumps)


def _dumps(fields: Fields, **options: Any) -> str:
    """Return JSON that stays valid UTF-8 when a file's name or text is not."""
    text = json.dumps(fields, ensure_ascii=False, default=str)
    return text.encode(errors="backslashreplace").decode()


def _console(stream: TextIO) -> tuple[Any, Processor]:
    from migrator.report.console import printer  # noqa: PLC0415 - not in a container

    return printer(stream)


def _masking(redactor: Redactor) -> Processor:
    def mask(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> Fields:
        return {name: redactor.value(value) for name, value in event_dict.items()}

    return mask


def _in_front(logger: Any, method: str, event_dict: MutableMapping[str, Any]) -> Fields:
    front = {name: event_dict[name] for name in _FRONT if name in event_dict}
    return {**front, **event_dict}

"""
The termination message: `run.finished` as JSON, shown by `kubectl describe pod`.

The kubelet reads at most 4096 bytes of the file (kubernetes.io, "Determine the
Reason for Pod Failure"). Longest texts are cut first, so that it stays valid JSON
with the most important fields in front.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from migrator.report.escape import json_text


LIMIT_BYTES = 4096
_ORDER = (
    "outcome",
    "exit_code",
    "retryable",
    "error",
    "hint",
    "failed",
    "command",
    "version_before",
    "version_after",
    "pending",
    "applied",
    "duration_s",
)


def message(fields: Mapping[str, Any]) -> str:
    """Return *fields* of a `run.finished` as JSON of at most 4096 bytes."""
    chosen = {name: fields[name] for name in _ORDER if fields.get(name) is not None}
    chosen["applied"] = len(fields["applied"])
    while len(text := _json(chosen)) > LIMIT_BYTES:
        chosen = _shorter(chosen)
    return text.decode()


def write(path: Path, fields: Mapping[str, Any]) -> None:
    """
    Write the message if the file exists; a failure does not change the exit code.

    Kubernetes creates the file, docker does not, and it may not be writable.
    """
    with suppress(OSError, ValueError), path.open("r+b") as file:
        file.truncate()
        file.write(message(fields).encode())


def _json(fields: Mapping[str, Any]) -> bytes:
    return json_text(fields, separators=(",", ":")).encode()


def _shorter(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with its longest text halved, also inside `failed`."""
    failed = fields.get("failed")
    inner = failed if isinstance(failed, Mapping) else {}
    name = max(fields, key=lambda n: _size(fields[n]))
    deep = max(inner, key=lambda n: _size(inner[n]), default=None)
    if deep is not None and _size(inner[deep]) >= _size(fields[name]):
        return {**fields, "failed": {**inner, deep: _cut(inner[deep])}}
    return {**fields, name: _cut(fields[name])}


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else 0


def _cut(value: str) -> str:
    return value[: len(value) // 2 - 1] + "…"

"""
Events for a person at a terminal: one short line each, a table for `status`.

All foreign text passes one filter (`readable_fields`) before a sentence is made of it:
no escape sequence in it reaches the terminal, and no line break in it makes a line that
looks like one of ours.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from migrator.events.watching import Blocker
from migrator.report.escape import visible, visible_lines
from migrator.report.progress_bar import ProgressLine, progress_text
from migrator.report.stdout import Lines, is_terminal


_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m", "debug": "\x1b[2m"}
_PLAIN = "\x1b[0m"
_OF_LINES = frozenset(("text", "traceback"))
"""Fields whose line breaks are kept: a planned statement, and the report of a crash."""


def printer(stream: TextIO) -> tuple[Any, Callable[[Any, str, Any], Any]]:
    """Return a logger for *stream*, and what makes an event's fields to its line."""
    if not is_terminal(stream):
        return Lines(stream), renderer(colors=False)
    line = renderer(colors=True)

    def render(logger: Any, method: str, fields: Mapping[str, Any]) -> Any:
        bar = fields["event"] == "statement.progressed"
        return (line(logger, method, fields),), {"bar": bar}

    return ProgressLine(stream), render


def renderer(*, colors: bool) -> Callable[[Any, str, Any], str]:
    """Return the last structlog processor: an event's fields to its line."""
    colors = colors and not os.environ.get("NO_COLOR")

    def render(logger: Any, method: str, fields: Mapping[str, Any]) -> str:
        line = sentence(readable_fields(fields))
        colour = _COLOURS.get(fields["level"], "") if colors else ""
        return f"{colour}{line}{_PLAIN}" if colour else line

    return render


def readable_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with every text in them as one that prints, and nothing else."""
    return {
        name: (visible_lines if name in _OF_LINES else _readable)(value)
        for name, value in fields.items()
    }


def _readable(value: Any) -> Any:
    match value:
        case str():
            return visible(value)
        case Mapping():
            return {visible(name): _readable(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_readable(inner) for inner in value]
        case _:
            return value


def sentence(fields: Mapping[str, Any]) -> str:
    """Return the line for one event."""
    name = fields["event"]
    sentence_of = _SENTENCES.get(name)
    if sentence_of is not None:
        return sentence_of(fields)
    skip = ("timestamp", "level", "event")
    rest = {k: v for k, v in fields.items() if k not in skip and v not in (None, ())}
    return f"{name}  " + "  ".join(f"{k}={v}" for k, v in rest.items())


def _listed(f: Mapping[str, Any]) -> str:
    at = f["applied_at"]
    when = f"{at[:10]} {at[11:19]}Z" if at else ""
    return f"{f['state']:<8}  {when:<20}  {f['version']:>14}  {f['path'] or '-'}"


def _planned(f: Mapping[str, Any]) -> str:
    if not f["pending"]:
        return f"nothing to do: the database is at version {f['version']}"
    apart = "".join(f"\nwaits for its answers: {p}: {r}" for p, r in f["apart"].items())
    count, target = len(f["pending"]), f["target"]
    return f"{count} to run, from version {f['version']} to {target}{apart}"


def _fault(f: Mapping[str, Any]) -> str:
    numbers = "".join(f":{n}" for n in (f["line"], f["column"]) if n)
    return (
        f"{'error' if f['fatal'] else 'warning'}: {f['path']}{numbers}: {f['message']}"
    )


def _validated(f: Mapping[str, Any]) -> str:
    valid = f"{f['files']} files with {f['statements']} statements are valid"
    if f["added"] is None:
        return valid
    return ": ".join((f"{valid}, {len(f['added'])} of them new", *_all(f["added"])))


def _all(names: Sequence[str]) -> tuple[str, ...]:
    return (", ".join(names),) if names else ()


def _finished(f: Mapping[str, Any]) -> str:
    took = f"{f['duration_s']:.2f} s"
    if not f["exit_code"]:
        return f"done in {took}"
    hint = f"\nhint: {f['hint']}" if f["hint"] else ""
    again = "may succeed later" if f["retryable"] else "will not succeed by itself"
    return (
        f"error: {f['error']}{hint}\n"
        f"exit {f['exit_code']} ({f['outcome']}), {again}, after {took}"
    )


def _blocked(f: Mapping[str, Any]) -> str:
    what = " on ".join(filter(None, (f["lock"] or f["phase"], f["relation"])))
    who = "".join(f"\n  by {Blocker(**each)}" for each in f["blockers"])
    hint = f"\n  hint: {f['hint']}" if f["hint"] else ""
    return (
        f"{f['path']}:{f['line']} is blocked for {f['elapsed_s']:.0f} s: {what}"
        f"{who}{hint}"
    )


def _ran(f: Mapping[str, Any]) -> str:
    return f"OK    {f['path']}  ({f['statements']} statements, {f['duration_s']:.2f} s)"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "run.started": lambda f: (
        f"{f['command']}  {f['migrations_dir']} -> {f['database'] or 'no database'}"
    ),
    "connection.opened": lambda f: (
        f"connected to PostgreSQL {f['server_version']} as {f['user']}"
    ),
    "connection.retried": lambda f: f"waiting for the server: {f['reason']}",
    "connection.lost": lambda f: f"connection lost: {f['reason']}",
    "tls.unverified": lambda f: (
        f"sslmode={f['sslmode']} sends the password to a server that is not verified;"
        f" {f['hint']}"
    ),
    "lock.contended": lambda f: f"waiting for another migrator: {f['holder']}",
    "lock.acquired": lambda f: "lock acquired",
    "plan.made": _planned,
    "fault.found": _fault,
    "migration.started": lambda f: f"{f['direction']:<4}  {f['path']}",
    "migration.applied": _ran,
    "migration.reverted": _ran,
    "migration.failed": lambda f: f"FAIL  {f['path']}  ({f['duration_s']:.2f} s)",
    "migration.listed": _listed,
    "version.awaited": lambda f: (
        f"at version {f['current']}, waiting for {len(f['missing'])} more"
    ),
    "statement.planned": lambda f: f"-- {f['path']}:{f['line']}\n{f['text']}",
    "statement.blocked": _blocked,
    "statement.progressed": lambda f: f"..    {progress_text(f)}",
    "script.printed": lambda f: str(f["message"]),
    "file.created": lambda f: f"created  {f['path']}",
    "file.renamed": lambda f: f"renamed  {f['before']} -> {f['path']}",
    "migration.recorded": lambda f: f"recorded  {f['path']}",
    "version.read": lambda f: str(f["version"]),
    "files.validated": _validated,
    "run.finished": _finished,
}

"""Every event as a sentence for a person, with what to do about it."""

from collections.abc import Callable, Mapping
from typing import Any

from migrator.errors.base import list_values
from migrator.events.watching import Blocker
from migrator.report.progress_bar import duration, progress_text


Fields = Mapping[str, Any]
TABLE_HEAD = "STATE    APPLIED AT            VERSION         FILE"
"""Above the lines of `status`."""


def sentence(name: str, f: Fields) -> str | None:
    """
    Return the text of the event *name* with the fields *f*; None when it needs none.

    *f* has one more field, `shown`: how often each event, and each state of `status`,
    was shown before.
    """
    return _SENTENCES[name](f)


def answer(name: str, f: Fields) -> str | None:
    """Return what a command that reads prints for a script; None for other events."""
    found = _ANSWERS.get(name)
    return None if found is None else found(f)


def plural(number: int, noun: str) -> str:
    """Return *number* and *noun*, as in `1 file` and `2 files`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _nothing(f: Fields) -> None:
    return None


def _started(f: Fields) -> str:
    database = f", database {f['database']}" if f["database"] else ""
    return f"{f['command']}: files in {f['migrations_dir']}{database}"


def _connected(f: Fields) -> str:
    through = " through a pooler" if f["pooler"] else ""
    after = f" after {duration(f['waited_s'])}" if f["attempts"] > 1 else ""
    return (
        f"connected to PostgreSQL {f['server_version']} as {f['user']}{through}{after}"
    )


def _lost(f: Fields) -> str:
    at = f" at {f['path']}" if f["path"] else ""
    return (
        f"connection lost{at}: {f['reason']}; reconnecting in"
        f" {duration(f['next_attempt_s'])}, then the run continues with what is not"
        " recorded yet"
    )


def _acquired(f: Fields) -> str | None:
    waited = f["waited_s"]
    return f"lock acquired after {duration(waited)}" if waited >= 1 else None


def _noticed(f: Fields) -> str:
    words = filter(
        None, (f["message"], f["detail"], f["hint"] and f"hint: {f['hint']}")
    )
    kind = "" if f["notice"] == "WARNING" else f"{f['notice'].lower()}: "
    return f"{kind}{_place(f)}{'; '.join(words)}"


def _place(f: Fields) -> str:
    numbers = (f["line"], f.get("column"))
    return ":".join(str(n) for n in (f["path"], *numbers) if n) + ": " * bool(f["path"])


def _elsewhere(f: Fields) -> str:
    here = f" in schema {f['schema']}" if f["schema"] else ""
    return (
        f"{f['table']} does not exist{here}, but has rows in"
        f" {list_values(f['schemas'])}; {f['hint']}"
    )


def _ahead(f: Fields) -> str:
    return (
        f"the database is ahead of the files: it has {list_values(f['versions'])}, the"
        f" newest file is {f['newest_file']}; this is expected after a rollback of the"
        " service, otherwise deploy the newer files"
    )


def _listed(f: Fields) -> str:
    head = "" if f["shown"]["migration.listed"] else f"{TABLE_HEAD}\n"
    at = f"{f['applied_at'][:19]}Z" if f["applied_at"] else "-"
    return f"{head}{f['state']:<7}  {at:<20}  {f['version']:<14}  {f['path'] or '-'}"


def _awaited(f: Fields) -> str:
    if f["current"] is None:
        return "the tracking table cannot be read yet; trying again"
    missing = f["missing"]
    return (
        f"at version {f['current']}; waiting for {plural(len(missing), 'migration')}:"
        f" {list_values(missing)}"
    )


def _validated(f: Fields) -> str:
    counts = plural(f["files"], "file"), plural(f["statements"], "statement")
    valid = f"valid: {', '.join(counts)}"
    if f["added"] is None:
        return valid
    names = f": {list_values(f['added'])}" if f["added"] else ""
    return f"{valid}; {plural(len(f['added']), 'new file')}{names}"


def _planned(f: Fields) -> str:
    if not f["pending"]:
        return f"nothing to do: the database is at version {f['version']}"
    files = plural(len(set(f["pending"])), "migration")
    return f"{files} to run, {_way(f['version'], f['target'])}"


def _way(before: int, after: int) -> str:
    return f"version {before}" + (f" → {after}" if before != after else "")


def _ran(word: str) -> Callable[[Fields], str]:
    def ran(f: Fields) -> str:
        took = duration(f["duration_s"])
        return (
            f"{word:<8}  {f['path']}  ({plural(f['statements'], 'statement')}, {took})"
        )

    return ran


def _finished_statement(f: Fields) -> str:
    return f"          {_place(f)}{f['command']} took {duration(f['duration_s'])}"


def _retried(f: Fields) -> str:
    by = f"; blocked by {f['blocker']}"
    known = f["blocker"] is None or f["shown"]["statement.blocked"]
    return (
        f"{_place(f)}{f['reason']}; rolled back, attempt {f['attempt'] + 1} follows in"
        f" {duration(f['next_attempt_s'])}{'' if known else by}"
    )


def _resumed(f: Fields) -> str:
    return (
        f"{f['path']}: resuming after {f['through']} of"
        f" {plural(f['statements'], 'statement')}, applied by an earlier run"
        f" ({f['begun_by']}, {f['begun_at']}); find out why that run stopped"
    )


def _dropped(f: Fields) -> str:
    return (
        f"{f['path']}: dropped the invalid index {f['index']} on {f['table']}, left by"
        " an interrupted build; it is built again"
    )


def _skipped(f: Fields) -> str:
    twice = (
        "" if f["transaction"] else "; its statements ran twice: check their effects"
    )
    return (
        f"{f['path']}: another run has recorded it already{twice}; find out who"
        " migrates without the lock, such as goose's own command"
    )


def _settings_not_applied(f: Fields) -> str:
    return (
        f"{f['path']}: {list_values(f['settings'])} not applied: a pooler is in"
        " between; connect to the server itself, or to a pooler in session mode"
    )


def _blocked(f: Fields) -> str:
    what = " on ".join(filter(None, (f["lock"] or f["phase"], f["relation"])))
    who = [f"by {Blocker(**each)}" for each in f["blockers"]]
    end = ["end its transaction if it is stuck"] if who else []
    hint = [f"hint: {f['hint']}"] if f["hint"] else []
    blocked = f"{_place(f)}blocked for {duration(f['elapsed_s'])}: {what}"
    return "\n  ".join((blocked, *who, *end, *hint))


def _finished(f: Fields) -> str:
    counts, took = [*_counts(f)], duration(f["duration_s"])
    if not f["exit_code"]:
        return ", ".join((*counts, took)) if counts else f"done in {took}"
    hint = f"\nhint: {f['hint']}" if f["hint"] else ""
    again = ", retryable" if f["retryable"] else ", not retryable"
    if not f["retryable"] and f["outcome"] in _CALLER_DECIDES:
        again = ""
    return (
        f"error: {_error(f)}{hint}\n"
        f"exit {f['exit_code']} ({f['outcome']}){again}; {', '.join((*counts, took))}"
    )


_CALLER_DECIDES = ("internal", "pending")
"""Neither is retryable by itself nor in vain (`migrator.exit_codes`)."""


def _error(f: Fields) -> str:
    """Return the error, or how many faults were shown, when it is one of them."""
    event, noun = _SHOWN_FAULTS.get(f["outcome"], ("", ""))
    known = f["shown"][event]
    return f"{plural(known, noun)}, listed above" if known else str(f["error"])


_SHOWN_FAULTS = {
    "files_invalid": ("file.rejected", "fault"),
    "drift": ("drift.found", "changed file"),
}


def _counts(f: Fields) -> list[str]:
    shown = f["shown"]
    if shown["migration.listed"]:
        return [f"{shown[state]} {state}" for state in _STATES if shown[state]]
    numbers = len(f["applied"]), len(f["reverted"]), f["pending"] or 0
    counts = zip(numbers, ("applied", "reverted", "pending"), strict=True)
    found = [f"{number:,} {what}" for number, what in counts if number]
    if f["applied"] or f["reverted"]:
        found.append(_way(f["version_before"], f["version_after"]))
    return found


_STATES = ("applied", "pending", "missing", "begun", "unknown")
_ANSWERS: Mapping[str, Callable[[Fields], str]] = {
    "version.read": lambda f: str(f["version"]),
    "migration.listed": _listed,
    "statement.planned": lambda f: f"-- {f['path']}:{f['line']}\n{f['text']}",
}
_SENTENCES: Mapping[str, Callable[[Fields], str | None]] = {
    "commit.confirmed": lambda f: (
        f"{f['path']}: the connection was lost during COMMIT; the tracking table shows"
        " that it committed"
    ),
    "commit.lost": lambda f: (
        f"{f['path']}: the server lost its commit, as a failover can; it runs again;"
        " check which other commits the failover lost"
    ),
    "connection.lost": _lost,
    "connection.opened": _connected,
    "connection.retried": lambda f: (
        f"waiting for the server: {f['reason']}; next attempt in"
        f" {duration(f['next_attempt_s'])}"
    ),
    "database.ahead_detected": _ahead,
    "drift.found": lambda f: (
        f"{f['path']} was changed after it was applied; restore it, and put the change"
        " into a new file"
    ),
    "file.created": lambda f: f"created   {f['path']}",
    "file.rejected": lambda f: f"error: {_place(f)}{f['message']}",
    "file.renamed": lambda f: f"renamed   {f['before']} → {f['path']}",
    "file.warned": lambda f: f"{_place(f)}{f['message']}",
    "files.validated": _validated,
    "history.found_elsewhere": _elsewhere,
    "index.dropped": _dropped,
    "lock.acquired": _acquired,
    "lock.contended": lambda f: (
        f"waiting for another migrator for {duration(f['waited_s'])}:"
        f" {f['holder'] or 'its session is not visible'}"
    ),
    "migration.applied": _ran("applied"),
    "migration.failed": lambda f: (
        f"failed    {f['path']}  ({duration(f['duration_s'])})"
    ),
    "migration.listed": _listed,
    "migration.recorded": lambda f: f"recorded  {f['path']}",
    "migration.resumed": _resumed,
    "migration.retried": _retried,
    "migration.reverted": _ran("reverted"),
    "migration.skipped": _skipped,
    # on a terminal, until its end is reported
    "migration.started": lambda f: str(f["path"]),
    "plan.made": _planned,
    "run.crashed": lambda f: str(f["traceback"]),
    "run.finished": _finished,
    "run.interrupted": _nothing,  # `run.finished` says the same
    "run.started": _started,
    "script.printed": lambda f: f"{f['path']}: {f['message']}",
    "server.noticed": _noticed,
    "session_settings.not_applied": _settings_not_applied,
    "setting.ignored": lambda f: f"{f['variable']} is ignored: {f['reason']}",
    "sidecar.failed": lambda f: (
        f"{f['url']} did not take the request to stop: {f['reason']}; check"
        " MIGRATOR_SHUTDOWN_URLS, or the Job may not end"
    ),
    "sidecar.stopped": lambda f: f"{f['url']} takes the request to stop",
    "statement.blocked": _blocked,
    "statement.finished": _finished_statement,
    "statement.planned": _ANSWERS["statement.planned"],
    "statement.progressed": progress_text,
    "tls.unverified": lambda f: (
        f"sslmode={f['sslmode']} sends the password to a server that is not verified;"
        f" {f['hint']}"
    ),
    "version.awaited": _awaited,
    "version.read": lambda f: f"the database is at version {f['version']}",
}

"""What a run came to: events counted up, and the verdict made of them."""

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from migrator.domain.facts import Place, ServerMessage
from migrator.errors import FilesInvalidError, MigratorError
from migrator.events.base import Event, Observer
from migrator.events.factories import file_rejected
from migrator.events.run import RunFinished
from migrator.exit_codes import ExitCode, exit_code, is_retryable


if TYPE_CHECKING:
    from migrator.events.finding import VersionRead
    from migrator.events.migration import (
        CommitLost,
        MigrationApplied,
        MigrationReverted,
        MigrationSkipped,
    )
    from migrator.events.run import PlanMade


class RunSummary:
    """Listens to one run and says at its end how it went."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._before: int | None = None
        self._planned: int | None = None
        self._applied: list[int] = []
        self._reverted: list[int] = []
        self._skipped = 0
        self._after: int | None = None

    def see(self, event: Event) -> None:
        """Count *event*."""
        count = _COUNTS.get(event.name)
        if count is not None:
            count(self, event)

    def planned(self, event: "PlanMade") -> None:
        """Count what is to be done."""
        self._before = self._after = event.version
        self._planned = len(event.pending)

    def read(self, event: "VersionRead") -> None:
        """Note where the database is."""
        self._before = self._after = event.version

    def applied(self, event: "MigrationApplied") -> None:
        """Count a step up."""
        self._applied.append(event.version)
        self._after = event.current

    def reverted(self, event: "MigrationReverted") -> None:
        """Count a step down."""
        self._reverted.append(event.version)
        self._after = event.current

    def skipped(self, event: "MigrationSkipped") -> None:
        """Count a step that somebody else has taken."""
        self._skipped += 1
        self._after = event.current

    def vanished(self, event: "CommitLost") -> None:
        """Uncount a step whose commit was lost."""
        counted = self._applied if event.direction == "up" else self._reverted
        if event.version in counted:
            counted.remove(event.version)
        else:
            self._skipped -= 1

    def verdict(self, error: BaseException | None, *, duration_s: float) -> RunFinished:
        """Return the canonical last line of a run that *error* ended, or None did."""
        code = exit_code(error)
        done = len(self._applied) + len(self._reverted) + self._skipped
        return RunFinished(
            command=self._command,
            outcome=code.name.lower(),
            exit_code=int(code),
            retryable=is_retryable(error),
            error=_text(error),
            hint=_hint(error),
            failed=_failed(error),
            version_before=self._before,
            version_after=self._after,
            applied=tuple(self._applied),
            reverted=tuple(self._reverted),
            pending=None if self._planned is None else self._planned - done,
            duration_s=round(duration_s, 3),
        )


# By name: an event's class need not be there before the event is
_COUNTS: Mapping[str, Callable[[RunSummary, Any], None]] = {
    "plan.made": RunSummary.planned,
    "version.read": RunSummary.read,
    "migration.applied": RunSummary.applied,
    "migration.reverted": RunSummary.reverted,
    "migration.skipped": RunSummary.skipped,
    "commit.lost": RunSummary.vanished,
}


def emit_end(error: BaseException, observe: Observer, *, interrupted: bool) -> None:
    """Report to *observe* what *error*, which ended a run, says beside the verdict."""
    from migrator.events.run import RunCrashed, RunInterrupted  # noqa: PLC0415 - as it says

    if interrupted:
        observe(RunInterrupted(reason=str(error)))
    if isinstance(error, FilesInvalidError):
        for fault in error.faults:
            observe(file_rejected(fault))
    if exit_code(error) is ExitCode.INTERNAL:
        observe(RunCrashed(traceback="".join(traceback.format_exception(error))))


def _text(error: BaseException | None) -> str | None:
    if error is None or isinstance(error, MigratorError):
        return None if error is None else str(error)
    return (
        f"internal error: {type(error).__name__}: {_text_of(error)}; please report it"
    )


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a foreign `__str__` must not cost the verdict
        return "its text cannot be read"


def _hint(error: BaseException | None) -> str | None:
    server = getattr(error, "server", None)
    return server.hint if isinstance(server, ServerMessage) else None


def _failed(error: BaseException | None) -> dict[str, Any] | None:
    """Return place and server's words of what failed, without empty fields."""
    if isinstance(error, FilesInvalidError):
        return {**error.faults[0]._asdict(), "faults": len(error.faults)}
    place, server = getattr(error, "place", None), getattr(error, "server", None)
    found: dict[str, Any] = {}
    if isinstance(place, Place):
        found |= place.fields
    if isinstance(server, ServerMessage):
        found |= server._asdict()
    return {name: value for name, value in found.items() if value is not None} or None

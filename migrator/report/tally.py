"""What a run came to: events counted up, and the verdict made of them."""

from dataclasses import asdict
from typing import Any

from migrator.errors import FilesInvalidError, MigratorError
from migrator.events import (
    Event,
    MigrationApplied,
    MigrationReverted,
    MigrationSkipped,
    PlanMade,
    RunFinished,
    VersionRead,
)
from migrator.exits import RETRYABLE, exit_code
from migrator.facts import Place, ServerMessage


class Tally:
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
        match event:
            case PlanMade(version=version, pending=pending):
                self._before = self._after = version
                self._planned = len(pending)
            case VersionRead(version=version):
                self._before = self._after = version
            case MigrationApplied(version=version, current=current):
                self._applied.append(version)
                self._after = current
            case MigrationReverted(version=version, current=current):
                self._reverted.append(version)
                self._after = current
            case MigrationSkipped(current=current):
                self._skipped += 1
                self._after = current
            case _:
                pass

    def verdict(self, error: BaseException | None, *, duration_s: float) -> RunFinished:
        """Return the canonical last line of a run that *error* ended, or None did."""
        code = exit_code(error)
        done = len(self._applied) + len(self._reverted) + self._skipped
        return RunFinished(
            command=self._command,
            outcome=code.name.lower(),
            exit_code=int(code),
            retryable=code in RETRYABLE,
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


def _text(error: BaseException | None) -> str | None:
    if error is None or isinstance(error, MigratorError):
        return None if error is None else str(error)
    return f"a bug of ours: {type(error).__name__}: {error}; please report it"


def _hint(error: BaseException | None) -> str | None:
    server = getattr(error, "server", None)
    return server.hint if isinstance(server, ServerMessage) else None


def _failed(error: BaseException | None) -> dict[str, Any] | None:
    """Return place and server's words of what failed, without empty fields."""
    if isinstance(error, FilesInvalidError):
        return {**asdict(error.faults[0]), "faults": len(error.faults)}
    place, server = getattr(error, "place", None), getattr(error, "server", None)
    found: dict[str, Any] = {}
    if isinstance(place, Place):
        found |= asdict(place)
    if isinstance(server, ServerMessage):
        found |= asdict(server)
    return {name: value for name, value in found.items() if value is not None} or None

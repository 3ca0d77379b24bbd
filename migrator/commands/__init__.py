"""One function for each command: what the words on the command line do."""

from collections.abc import Callable, Mapping

from migrator.commands import change, files, look
from migrator.commands.request import Request


COMMANDS: Mapping[str, Callable[[Request], None]] = {
    "up": change.up,
    "up-by-one": change.up_by_one,
    "up-to": change.up_to,
    "down": change.down,
    "down-to": change.down_to,
    "redo": change.redo,
    "reset": change.reset,
    "baseline": change.baseline,
    "status": look.status,
    "version": look.version,
    "plan": look.plan,
    "wait": look.wait,
    "validate": look.validate,
    "create": files.create,
    "fix": files.fix,
}
OFFLINE = frozenset({"validate", "create", "fix"})
"""Commands that need no database."""


def summary(command: str) -> str:
    """Return what *command* does, in one line."""
    lines = (COMMANDS[command].__doc__ or "").strip().splitlines()
    return lines[0]

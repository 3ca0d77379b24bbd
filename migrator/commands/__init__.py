"""One function for each command: what the words on the command line do."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, cast


if TYPE_CHECKING:
    from migrator.commands.context import CommandContext

COMMANDS: Mapping[str, str] = {
    "up": "migrate",
    "up-by-one": "migrate",
    "up-to": "migrate",
    "down": "migrate",
    "down-to": "migrate",
    "redo": "migrate",
    "reset": "migrate",
    "baseline": "migrate",
    "status": "inspect",
    "version": "inspect",
    "plan": "inspect",
    "wait": "inspect",
    "validate": "inspect",
    "create": "files",
    "fix": "files",
    "healthcheck": "inspect",
}
"""The module of each command; its function is called like the command."""

ARGUMENTS: Mapping[str, str] = {
    "up-to": "N",
    "down-to": "N",
    "baseline": "N",
    "plan": "[N]",
    "wait": "[N]",
    "create": "NAME [KIND]",
}
"""The words after a command, where it has some; N is a version."""

OFFLINE = frozenset({"validate", "create", "fix", "healthcheck"})
"""Commands that need no database."""


def command(name: str) -> "Callable[[CommandContext], None]":
    """Return the function of a command; its module is imported now."""
    module = import_module(f"{__name__}.{COMMANDS[name]}")
    return cast(
        "Callable[[CommandContext], None]", getattr(module, name.replace("-", "_"))
    )


def summary(name: str) -> str:
    """Return what a command does, in one line without a full stop."""
    lines = (command(name).__doc__ or "").strip().splitlines()
    return lines[0].removesuffix(".")

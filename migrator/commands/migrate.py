"""Commands that change the database; all raise as `Runner.run`."""

from migrator.commands.context import CommandContext
from migrator.domain.model import Down, Redo, Reset, Up
from migrator.errors import UnknownTargetError


def up(request: CommandContext) -> None:
    """Apply all pending migrations (default)."""
    request.run(Up())


def up_by_one(request: CommandContext) -> None:
    """Apply the next pending migration."""
    request.run(Up(most=1))


def up_to(request: CommandContext) -> None:
    """Apply pending migrations up to and including version N."""
    request.run(Up(to=request.target))


def down(request: CommandContext) -> None:
    """Roll back the latest migration."""
    request.run(Down())


def down_to(request: CommandContext) -> None:
    """Roll back to version N (N itself stays applied)."""
    request.run(Down(to=request.target))


def redo(request: CommandContext) -> None:
    """Roll back the latest migration and apply it again."""
    request.run(Redo())


def reset(request: CommandContext) -> None:
    """Roll back all migrations that have a file."""
    request.run(Reset())


def baseline(request: CommandContext) -> None:
    """
    Record all migrations up to version N as applied, without running them.

    Raises:
        UnknownTargetError: No file has version N.
        HistoryExistsError: The tracking table has versions already.
    """
    files = request.usable_files()
    versions = [migration.version for migration in files.migrations]
    target = request.target or 0
    if target not in versions:
        raise UnknownTargetError(target, versions=versions)
    request.runner.baseline(files, target)

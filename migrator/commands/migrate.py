"""Commands that change the database; all raise as `Runner.run`."""

from migrator.commands.context import CommandContext
from migrator.domain.model import Down, Redo, Reset, Up
from migrator.errors import UnknownTargetError


def up(context: CommandContext) -> None:
    """Apply all pending migrations (default)."""
    context.run(Up())


def up_by_one(context: CommandContext) -> None:
    """Apply the next pending migration."""
    context.run(Up(most=1))


def up_to(context: CommandContext) -> None:
    """Apply pending migrations up to and including version N."""
    context.run(Up(to=context.target))


def down(context: CommandContext) -> None:
    """Roll back the latest migration."""
    context.run(Down())


def down_to(context: CommandContext) -> None:
    """Roll back to version N (N itself stays applied)."""
    context.run(Down(to=context.target))


def redo(context: CommandContext) -> None:
    """Roll back the latest migration and apply it again."""
    context.run(Redo())


def reset(context: CommandContext) -> None:
    """Roll back all migrations that have a file."""
    context.run(Reset())


def baseline(context: CommandContext) -> None:
    """
    Record migrations up to version N without running them.

    Raises:
        UnknownTargetError: No file has version N.
        HistoryExistsError: The tracking table has versions already.
    """
    files = context.usable_files()
    versions = [migration.version for migration in files.migrations]
    target = context.target or 0
    if target not in versions:
        raise UnknownTargetError(target, versions=versions)
    context.runner.baseline(files, target)

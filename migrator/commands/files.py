"""Commands that change the migrations directory; they need no database."""

from datetime import UTC, datetime

from migrator.commands.context import CommandContext
from migrator.events.run import FileCreated, FileRenamed
from migrator.source import create as making


def create(context: CommandContext) -> None:
    """
    Create a migration file; KIND is sql (default) or py.

    Raises:
        UsageError: The name has no letter and no digit.
        FilesInvalidError: The directory cannot be written.
    """
    path = making.create(
        context.directory,
        context.name,
        kind=context.kind,
        sequential=context.sequential,
        now=datetime.now(UTC),
    )
    context.runner.observe(FileCreated(path=path))


def fix(context: CommandContext) -> None:
    """
    Renumber timestamped files, before they are applied.

    Raises:
        FilesInvalidError: Names have faults, or a file cannot be renamed.
    """
    for renaming in making.plan_renames(context.directory):
        making.rename(context.directory, renaming)
        context.runner.observe(FileRenamed(path=renaming.after, before=renaming.before))

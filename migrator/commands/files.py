"""Commands that change the migrations directory; they need no database."""

from datetime import UTC, datetime

from migrator.commands.context import CommandContext
from migrator.events.run import FileCreated, FileRenamed
from migrator.source import create as making


def create(request: CommandContext) -> None:
    """
    Create a migration file NAME of type sql (default; goose's is go) or py.

    Raises:
        UsageError: The name has no letter and no digit.
        FilesInvalidError: The directory cannot be written.
    """
    path = making.create(
        request.directory,
        request.name,
        kind=request.kind,
        sequential=request.sequential,
        now=datetime.now(UTC),
    )
    request.runner.observe(FileCreated(path=path))


def fix(request: CommandContext) -> None:
    """
    Renumber timestamped files to sequential versions, before they are applied.

    Raises:
        FilesInvalidError: Names have faults, or a file cannot be renamed.
    """
    for renaming in making.plan_renames(request.directory):
        making.rename(request.directory, renaming)
        request.runner.observe(FileRenamed(path=renaming.after, before=renaming.before))

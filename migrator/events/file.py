"""What happens to the files of a migrations directory."""

from typing import ClassVar

from migrator.events.base import Event


class FileCreated(Event):
    """`create` has made a migration file, to be filled in."""

    name: ClassVar[str] = "file.created"

    path: str


class FileRenamed(Event):
    """`fix` has given a file another version."""

    name: ClassVar[str] = "file.renamed"

    path: str
    """Its new name."""

    before: str
    """Its old name."""

"""The entries of a migrations directory or an archive, before they are read."""

import os
from typing import NamedTuple, TypeAlias

from migrator.domain.facts import Fault


class Candidate(NamedTuple):
    """A file whose name has a version."""

    version: int
    name: str
    """For messages: printable, also when the name on disk is not UTF-8."""

    path: str
    content: bytes | None = None
    """The content of an archive's member; None for a file that is not read yet."""


class Member(NamedTuple):
    """A member of an archive, like a directory's entry."""

    name: str
    path: str
    """The path in the archive, behind the path of the archive."""

    content: bytes | None
    """None for a link, a device and the like."""

    def is_file(self) -> bool:
        """Return whether it is a regular file."""
        return self.content is not None


Entry: TypeAlias = "os.DirEntry[str] | Member"


class Directory(NamedTuple):
    """The files of a directory by version, ascending, and the faults of names."""

    candidates: tuple[Candidate, ...]
    faults: tuple[Fault, ...]
    duplicates: tuple[Candidate, ...] = ()
    """Files with the version of another file; each is a fault."""

    @property
    def all(self) -> tuple[Candidate, ...]:
        """Return every file with a version."""
        return (*self.candidates, *self.duplicates)

"""What a migrations directory or an archive holds, before it is read."""

import os
from typing import NamedTuple, TypeAlias

from migrator.domain.facts import Fault


class Candidate(NamedTuple):
    """A file with a version."""

    version: int
    name: str
    """For messages: printable, also when the name on disk is not UTF-8."""

    path: str
    content: bytes | None = None
    """What an archive holds; None for a file that is still to be read."""


class Member(NamedTuple):
    """What an archive has in place of a directory's entry."""

    name: str
    path: str
    """Behind the archive's."""

    content: bytes | None
    """None for a link, a device and the like."""

    def is_file(self) -> bool:
        """Return whether it has a content."""
        return self.content is not None


Entry: TypeAlias = "os.DirEntry[str] | Member"


class Directory(NamedTuple):
    """What was found: unique versions ascending, and faults of names."""

    candidates: tuple[Candidate, ...]
    faults: tuple[Fault, ...]
    duplicates: tuple[Candidate, ...] = ()
    """Files whose version another one has, which are faults."""

    @property
    def all(self) -> tuple[Candidate, ...]:
        """Return every file with a version."""
        return (*self.candidates, *self.duplicates)

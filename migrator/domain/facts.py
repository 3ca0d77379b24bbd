"""
What errors are about: a fault in a file, the server's words, a place.

Named tuples, whose classes are made five times as fast as frozen dataclasses.
"""

from typing import Annotated, NamedTuple


Word = Annotated[str, "ours"]
"""
A word that we choose, or a code: nothing that a file, a server or a person has written.

So no secret can be in it, and a secret that happens to read the same does not mask it.
"""


def words_of(kind: type) -> frozenset[str]:
    """Return the names of what *kind* declares as `Word` or as `Word | None`."""
    return frozenset(
        name for name, declared in kind.__annotations__.items() if declared in _WORDS
    )


_WORDS = (Word, Word | None)


class Fault(NamedTuple):
    """One thing wrong in one migration file, with its place and its remedy."""

    path: str
    """The file's name inside the migrations directory."""

    line: int
    """From 1; 0 when the fault is the file's, not a line's."""

    column: int
    """From 1, in characters; 0 when the fault is the file's or the line's."""

    slug: Word
    """What kind of fault: a stable word for machines, such as `empty_block`."""

    message: str
    """Reason and remedy, one sentence each."""

    def __str__(self) -> str:
        place = ":".join(str(n) for n in (self.line, self.column) if n)
        return f"{self.path}:{place}: {self.message}" if place else self._location()

    def _location(self) -> str:
        return f"{self.path}: {self.message}"


class ServerMessage(NamedTuple):
    """What PostgreSQL said about an error, field by field (PQresultErrorField)."""

    sqlstate: Word | None
    message: str
    detail: str | None = None
    hint: str | None = None
    context: str | None = None
    schema: str | None = None
    table: str | None = None
    constraint: str | None = None


class Place(NamedTuple):
    """Where in a migration file something happened."""

    version: int
    path: str
    line: int
    column: int
    statement: int
    """The statement's number in its section, from 1."""

    phase: str = ""
    """
    What of the migrator's own messages for this file it is, such as `at COMMIT`; empty
    for what stands in the file. Line, column and statement say nothing then.
    """

    def __str__(self) -> str:
        if self.phase:
            return f"{self.path}{' ' if self.phase == AT_COMMIT else ', '}{self.phase}"
        return f"{self.path}:{self.line}:{self.column}"

    @property
    def fields(self) -> dict[str, int | str]:
        """Return what is known of it, field by field."""
        if self.phase:
            return {"version": self.version, "path": self.path, "phase": self.phase}
        return {name: n for name, n in self._asdict().items() if name != "phase"}


AT_COMMIT = "at COMMIT"
BEGINNING = "beginning the transaction"
RESETTING = "resetting the session"
RECORDING = "recording the version"
TRACKING = "recording its progress in migrator_history"
INSPECTING = "querying the catalogs"


class OpenIntent(NamedTuple):
    """A migration without a transaction that has begun and is not recorded."""

    version: int
    direction: str
    completed: int
    """How many of its statements are in effect, for certain."""


class Drift(NamedTuple):
    """An applied file that says something else today."""

    version: int
    path: str
    applied: str
    """The checksum of what was applied."""

    found: str
    """The checksum of what is on disk."""

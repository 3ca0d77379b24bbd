"""
The values in errors and events: a fault in a file, a server's message, a place.

Named tuples, because creating their classes is five times as fast as for dataclasses.
"""

from typing import Annotated, NamedTuple


Word = Annotated[str, "not masked"]
"""
The type of text that migrator itself chooses, or of a code: not from a file or server.

It contains no secret, so it is not masked, even if a secret happens to be equal to it.
"""


def words_of(kind: type) -> frozenset[str]:
    """Return the names of the fields of *kind* of the type `Word` or `Word | None`."""
    return frozenset(
        name
        for name, hint in kind.__annotations__.items()
        if hint in (Word, Word | None)
    )


class Fault(NamedTuple):
    """One fault of one migration file, with its place and its remedy."""

    path: str
    """The file's name inside the migrations directory."""

    line: int
    """From 1; 0 if the fault is about the whole file."""

    column: int
    """From 1, in characters; 0 if the fault is about the whole line or file."""

    slug: Word
    """The kind of fault, stable for programs, such as `empty_block`."""

    message: str
    """Reason and remedy, one sentence each."""

    def __str__(self) -> str:
        place = ":".join(
            str(part) for part in (self.path, self.line, self.column) if part
        )
        return f"{place}: {self.message}"


class ServerMessage(NamedTuple):
    """PostgreSQL's message about an error, by fields (PQresultErrorField)."""

    sqlstate: Word | None
    message: str
    detail: str | None = None
    hint: str | None = None
    context: str | None = None
    schema: str | None = None
    table: str | None = None
    constraint: str | None = None


class Place(NamedTuple):
    """A place in a migration file, or in migrator's own messages for the file."""

    version: int
    path: str
    line: int
    column: int
    statement: int
    """The statement's number in its section, from 1."""

    phase: str = ""
    """
    Which of migrator's own messages for the file, such as `at COMMIT`; empty for a
    place in the file. With a phase, line, column and statement are meaningless.
    """

    def __str__(self) -> str:
        if self.phase:
            return f"{self.path}{' ' if self.phase == AT_COMMIT else ', '}{self.phase}"
        return f"{self.path}:{self.line}:{self.column}"

    @property
    def fields(self) -> dict[str, int | str]:
        """Return the fields that have a meaning."""
        if self.phase:
            return {"version": self.version, "path": self.path, "phase": self.phase}
        return {
            name: value for name, value in self._asdict().items() if name != "phase"
        }


AT_COMMIT = "at COMMIT"
BEGINNING = "beginning the transaction"
RESETTING = "resetting the session"
RECORDING = "recording the version"
TRACKING = "recording its progress in migrator_history"
INSPECTING = "querying the catalogs"


class OpenIntent(NamedTuple):
    """A NO TRANSACTION migration that has started and is not recorded."""

    version: int
    direction: str
    completed: int
    """How many of its statements are certainly applied."""


class Drift(NamedTuple):
    """A file that has changed since it was applied."""

    version: int
    path: str
    applied: str
    """The checksum of the applied file."""

    found: str
    """The checksum of the current file."""

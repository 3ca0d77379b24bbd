"""Events about files and tables, and answers of commands that only read."""

from typing import ClassVar

from migrator.domain.facts import Word
from migrator.events.base import Event


class FileRejected(Event):
    """A migration file has a fault that stops the run."""

    name: ClassVar[str] = "file.rejected"
    level: ClassVar[str] = "error"

    path: str
    line: int
    column: int
    slug: Word
    message: str


class FileWarned(Event):
    """A migration file has a fault that does not stop this run."""

    name: ClassVar[str] = "file.warned"
    level: ClassVar[str] = "warning"

    path: str
    line: int
    column: int
    slug: Word
    message: str


class DatabaseAheadDetected(Event):
    """The database has versions that are newer than every file."""

    name: ClassVar[str] = "database.ahead_detected"
    level: ClassVar[str] = "warning"

    versions: tuple[int, ...]
    newest_file: int


class HistoryFoundElsewhere(Event):
    """The tracking table will be created here; other schemas have one with rows."""

    name: ClassVar[str] = "history.found_elsewhere"
    level: ClassVar[str] = "warning"

    table: str
    schema: str | None
    """Where the table will be created."""

    schemas: tuple[str, ...]
    """Which others have a table of that name, with rows."""

    hint: str


class DriftFound(Event):
    """A file was changed after it was applied."""

    name: ClassVar[str] = "drift.found"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    applied: Word
    """The checksum of what was applied."""

    found: Word
    """The checksum of what is on disk."""


class MigrationListed(Event):
    """One line of `status`."""

    name: ClassVar[str] = "migration.listed"

    version: int
    path: str | None
    """Null for a version that the table has and the files have not."""

    state: Word
    """
    `applied`, `pending`, `missing` (older than the newest applied), `unknown`, or
    `begun`: without a transaction, and stopped half way.
    """

    applied_at: Word | None
    """In UTC; goose's column has no zone, and is read in the session's."""


class StatementPlanned(Event):
    """One statement that `up` would run."""

    name: ClassVar[str] = "statement.planned"

    version: int
    path: str
    line: int
    statement: int
    transaction: bool
    text: str


class VersionAwaited(Event):
    """`wait` waits for versions that are not applied yet."""

    name: ClassVar[str] = "version.awaited"

    current: int | None
    """Null when the table could not be read just now."""

    missing: tuple[int, ...]
    next_attempt_s: float


class VersionRead(Event):
    """The answer of `version`, and of `wait`."""

    name: ClassVar[str] = "version.read"

    version: int


class FilesValidated(Event):
    """`validate` found no fault."""

    name: ClassVar[str] = "files.validated"

    files: int
    statements: int
    newest: int
    added: tuple[str, ...] | None
    """The files that the base branch does not have; null where none was named."""

"""
Migrations, their statements, the steps of a plan and the goals of a run.

Named tuples, because creating their classes is five times as fast as for dataclasses.
`Redo` and `Reset` have no fields: as named tuples they would be equal.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from migrator.domain.facts import Fault, Place


class Direction(Enum):
    """The direction of a step."""

    UP = "up"
    DOWN = "down"


class Split(Enum):
    """Where a statement ends: at a `;` at a line's end, or by PostgreSQL's lexer."""

    GOOSE = "goose"
    POSTGRES = "postgres"


class OnProblem(Enum):
    """What to do about something suspicious that may be correct."""

    WARN = "warn"
    FAIL = "fail"
    IGNORE = "ignore"


class OnInvalidIndex(Enum):
    """What to do about an index that a concurrent build left INVALID."""

    DROP = "drop"
    FAIL = "fail"


class HistoryMode(Enum):
    """Whether to write the history table `migrator_history`."""

    AUTO = "auto"
    """Yes, unless creating it would stop subscribers of a publication of all tables."""

    TRUE = "true"
    FALSE = "false"

    @classmethod
    def _missing_(cls, value: object) -> "HistoryMode | None":
        """Accept the other spellings of a boolean setting."""
        word = str(value).lower()
        if word in {"auto", "true", "t", "yes", "y", "on", "1"}:
            return cls.AUTO if word == "auto" else cls.TRUE
        return cls.FALSE if word in {"false", "f", "no", "n", "off", "0"} else None


class SessionState(Enum):
    """What happens to the session's settings and role at the end of a file."""

    RESET = "reset"
    """Each file starts with the same settings and role."""

    KEEP = "keep"
    """The next file of the run starts with those of the previous one, as in goose."""


class Lock(Enum):
    """The kind of migration lock."""

    AUTO = "auto"
    SESSION = "session"
    TABLE = "table"
    NONE = "none"


class Statement(NamedTuple):
    """The text of one statement, and its place in the file."""

    text: str
    """The text to send; bytes that are not UTF-8 are surrogate escapes."""

    line: int
    """The file's line of the first character, from 1."""

    column: int = 1
    """The column of the first character, from 1, in characters."""

    jumps: tuple[tuple[int, int], ...] = ()
    """
    Where consecutive lines of the text are not consecutive in the file: pairs of the
    line's number in the text (from 0) and its line in the file, ascending.
    """

    data: Iterable[str] | None = None
    """The rows of a `COPY … FROM stdin`: pieces of whole lines, read each time."""

    def locate(self, position: int) -> tuple[int, int]:
        """
        Return line and column in the file of *position* in the text.

        *position* counts characters from 1, as PostgreSQL's error field P does.
        """
        if position <= 1:
            return self._file_line(0), self.column
        before = self.text[: position - 1]
        number = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1) + 1
        return self._file_line(number), column + (self.column - 1 if not number else 0)

    def cut(self, start: int, end: int) -> "Statement":
        """Return the text from *start* to before *end* as a statement at its place."""
        line, column = self.locate(start + 1)
        number = self.text.count("\n", 0, start)
        last = number + self.text.count("\n", start, end)
        jumps = tuple((n - number, at) for n, at in self.jumps if number < n <= last)
        return self._replace(
            text=self.text[start:end], line=line, column=column, jumps=jumps
        )

    def _file_line(self, number: int) -> int:
        if not self.jumps:
            return self.line + number
        at = bisect_right(self.jumps, (number, 1 << 62)) - 1
        start, line = self.jumps[at] if at >= 0 else (0, self.line)
        return line + number - start


class Statements(Protocol):
    """Statements in order: a tuple, or those of a large file, read each time."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Statement]: ...


class Script(NamedTuple):
    """The text of a Python migration, and the function that one direction calls."""

    text: str
    file: str
    """The full path, for tracebacks."""

    function: str
    line: int
    """The file's line of the function's `def`, from 1."""

    repeatable: bool = False
    """Whether a call that was interrupted without a transaction may be repeated."""

    @property
    def call(self) -> Statement:
        """Return the call as a statement, for messages; it is not sent."""
        return Statement(f"{self.function}(conn)", self.line)


class Section(NamedTuple):
    """One direction of a migration: its statements or script, and its faults."""

    statements: Statements = ()
    faults: tuple[Fault, ...] = ()
    script: Script | None = None
    """The script of a Python migration, which has no statements."""

    begin: str = "BEGIN"
    """
    The statement that begins its transaction. A section that is one `BEGIN … COMMIT`
    may give options in it; its own BEGIN and COMMIT are not among the statements.
    """

    warnings: tuple[Fault, ...] = ()
    """Faults that do not stop a run."""

    @property
    def listed_statements(self) -> Statements:
        """Return the statements to list and count: the script's call if it has one."""
        return self.statements if self.script is None else (self.script.call,)


class Migration(NamedTuple):
    """One file, read and parsed."""

    version: int
    path: str
    """The file's name inside the migrations directory."""

    up: Section
    down: Section
    transaction: bool = True
    """False for a NO TRANSACTION file; it applies to both directions."""

    checksum: str = ""
    """SHA-256 of the normalised content; empty if the file was not read."""

    is_large: bool = False
    """Whether its statements are not kept: each iteration over them reads the file."""

    def section(self, direction: Direction) -> Section:
        """Return the section of *direction*."""
        return self.up if direction is Direction.UP else self.down

    def place(self, statement: Statement, number: int, position: int = 1) -> Place:
        """Return the place of *position* in *statement*, the *number*-th from 1."""
        line, column = statement.locate(position)
        return Place(
            version=self.version,
            path=self.path,
            line=line,
            column=column,
            statement=number,
        )


class Files(NamedTuple):
    """The migrations of a directory."""

    migrations: tuple[Migration, ...]
    """By version, ascending; versions are unique."""

    faults: tuple[Fault, ...] = ()
    """Of the directory: invalid names, duplicate versions, unreadable files."""

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Return every fault once: the directory's, then the files' in order."""
        faults = [fault for section in self._sections for fault in section.faults]
        return tuple(dict.fromkeys((*self.faults, *faults)))

    @property
    def all_warnings(self) -> tuple[Fault, ...]:
        """Return the warnings of the files, in order, each once."""
        warnings = [fault for section in self._sections for fault in section.warnings]
        return tuple(dict.fromkeys(warnings))

    @property
    def _sections(self) -> Iterator[Section]:
        for migration in self.migrations:
            yield migration.up
            yield migration.down

    @property
    def newest(self) -> int:
        """Return the highest version, 0 if there is no file."""
        return self.migrations[-1].version if self.migrations else 0


class Step(NamedTuple):
    """One migration in one direction."""

    migration: Migration
    direction: Direction

    @property
    def statements(self) -> Statements:
        """Return the statements this step runs, in order."""
        return self.migration.section(self.direction).statements

    @property
    def script(self) -> Script | None:
        """Return what this step runs in place of statements."""
        return self.migration.section(self.direction).script

    @property
    def begin(self) -> str:
        """Return what begins this step's transaction."""
        return self.migration.section(self.direction).begin

    @property
    def listed_statements(self) -> Statements:
        """Return what is listed and counted of what this step runs."""
        return self.migration.section(self.direction).listed_statements

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return what is wrong with what this step runs."""
        return self.migration.section(self.direction).faults

    @property
    def warnings(self) -> tuple[Fault, ...]:
        """Return what is odd about what this step runs."""
        return self.migration.section(self.direction).warnings


class Up(NamedTuple):
    """Apply what is pending, at most *most* files, up to and including version *to*."""

    to: int | None = None
    most: int | None = None


class Down(NamedTuple):
    """Roll back the latest migration; with *to*, all that are newer than it."""

    to: int | None = None


class Redo:
    """Roll back the latest migration and apply it again."""

    __slots__ = ()


class Reset:
    """Roll back all applied migrations, the newest version first."""

    __slots__ = ()


Goal = Up | Down | Redo | Reset

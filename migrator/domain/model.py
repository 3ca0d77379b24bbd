"""
The nouns of a migration run, all immutable.

Named tuples, whose classes are made five times as fast as frozen dataclasses. `Redo`
and `Reset` have no fields: as tuples they would equal each other.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple, Protocol

from migrator.domain.facts import Fault, Place


class Direction(Enum):
    """Which half of a migration runs."""

    UP = "up"
    DOWN = "down"


class Split(Enum):
    """Who says where a statement ends: goose's `;` at a line's end, or the lexer."""

    GOOSE = "goose"
    POSTGRES = "postgres"


class OnProblem(Enum):
    """What to do about something that is odd and may be right."""

    WARN = "warn"
    FAIL = "fail"
    IGNORE = "ignore"


class OnInvalidIndex(Enum):
    """What to do about an index that a concurrent build has left INVALID."""

    DROP = "drop"
    FAIL = "fail"


class HistoryMode(Enum):
    """Whether to keep a side table of our own, `migrator_history`."""

    AUTO = "auto"
    """Unless creating it would stop the subscribers of a publication of all tables."""

    TRUE = "true"
    FALSE = "false"

    @classmethod
    def _missing_(cls, value: object) -> "HistoryMode | None":
        """Take the words that stand for a switch elsewhere, too."""
        word = str(value).lower()
        if word in {"auto", "true", "t", "yes", "y", "on", "1"}:
            return cls.AUTO if word == "auto" else cls.TRUE
        return cls.FALSE if word in {"false", "f", "no", "n", "off", "0"} else None


class SessionState(Enum):
    """What becomes of a session's settings and role where a file ends."""

    RESET = "reset"
    """Each file begins with the same ones."""

    KEEP = "keep"
    """The next file of the run finds them as they are, as with goose."""


class Lock(Enum):
    """How migrators exclude each other."""

    AUTO = "auto"
    SESSION = "session"
    TABLE = "table"
    NONE = "none"


class Statement(NamedTuple):
    """One text for the server, and where it stands in its file."""

    text: str
    """What is sent; bytes that are not UTF-8 are surrogate escapes."""

    line: int
    """The file's line of the first character, from 1."""

    column: int = 1
    """The column of the first character, from 1, in characters."""

    jumps: tuple[tuple[int, int], ...] = ()
    """
    Where lines of the text do not follow each other in the file: pairs of a line's
    number in the text (from 0) and its line in the file, ascending.
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
        """Return what stands from *start* to before *end* of the text, at its place."""
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
    """Statements in their order: a tuple, or those of a large file, read again."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Statement]: ...


class Script(NamedTuple):
    """A Python module as it was read, and its function that one direction calls."""

    text: str
    file: str
    """The whole path, for tracebacks."""

    function: str
    line: int
    """The file's line of the function's `def`, from 1."""

    repeatable: bool = False
    """Whether one that was stopped without a transaction may be called again."""

    @property
    def call(self) -> Statement:
        """Return the call, as if it were a statement: for telling, not for sending."""
        return Statement(f"{self.function}(conn)", self.line)


class Section(NamedTuple):
    """One direction of a migration: what it runs, and what is wrong with it."""

    statements: Statements = ()
    faults: tuple[Fault, ...] = ()
    script: Script | None = None
    """What a migration in Python runs in place of statements."""

    begin: str = "BEGIN"
    """
    What begins its transaction. A half that is one `BEGIN … COMMIT` has options of its
    own in it; neither of the two is among the statements then.
    """

    warnings: tuple[Fault, ...] = ()
    """What is odd about it, and stops nothing."""

    @property
    def listed_statements(self) -> Statements:
        """Return what is listed and counted: the statements, or the script's call."""
        return self.statements if self.script is None else (self.script.call,)


class Migration(NamedTuple):
    """One file, read and parsed."""

    version: int
    path: str
    """The file's name inside the migrations directory."""

    up: Section
    down: Section
    transaction: bool = True
    """False for a file that wants none; it holds for both directions."""

    checksum: str = ""
    """SHA-256 of the content, normalised; empty when nobody has read it."""

    is_large: bool = False
    """Whether its statements are not kept: each iteration over them reads the file."""

    def section(self, direction: Direction) -> Section:
        """Return the half that *direction* runs."""
        return self.up if direction is Direction.UP else self.down

    def place(self, statement: Statement, number: int, position: int = 1) -> Place:
        """Return where *position* of *statement*, the *number*-th from 1, stands."""
        line, column = statement.locate(position)
        return Place(
            version=self.version,
            path=self.path,
            line=line,
            column=column,
            statement=number,
        )


class Files(NamedTuple):
    """A migrations directory, read at once."""

    migrations: tuple[Migration, ...]
    """By version, ascending; versions are unique."""

    faults: tuple[Fault, ...] = ()
    """What no command that uses the files may ignore: names, duplicates, no access."""

    @property
    def all_faults(self) -> tuple[Fault, ...]:
        """Return every fault once: the directory's, then the files' in their order."""
        found = dict.fromkeys(self.faults)
        for migration in self.migrations:
            found.update(dict.fromkeys((*migration.up.faults, *migration.down.faults)))
        return tuple(found)

    @property
    def all_warnings(self) -> tuple[Fault, ...]:
        """Return what is odd about the files, in their order."""
        found: dict[Fault, None] = {}
        for migration in self.migrations:
            for section in (migration.up, migration.down):
                found.update(dict.fromkeys(section.warnings))
        return tuple(found)

    @property
    def newest(self) -> int:
        """Return the highest version, 0 when there is no file."""
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

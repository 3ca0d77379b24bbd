"""What a command needs to know."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from migrator.domain.backoff import Backoff
from migrator.domain.model import Files, Goal, Split
from migrator.engine.runner import Runner
from migrator.errors import FilesInvalidError, UsageError
from migrator.source.load import load


class CommandContext(NamedTuple):
    """The files' place, the database's runner, and the command's own arguments."""

    places: tuple[Path, ...]
    """Directories and archives, at least one."""

    split: Split
    environ: Mapping[str, str]
    """What ENVSUB substitutes from."""

    runner: Runner
    base: tuple[Path, ...] = ()
    """Where the base branch's files are, for `validate`; empty for nowhere."""

    target: int | None = None
    check: bool = False
    """Whether pending migrations are an error for a command that only looks."""

    backoff: Backoff = Backoff(total_s=300, max_s=5)
    """How long `wait` waits."""

    name: str = ""
    """What `create` calls the new file, before it is put into snake case."""

    kind: str = "sql"
    """What `create` makes: `sql` or `py`."""

    sequential: bool = False
    """Whether `create` counts up, rather than taking the time."""

    @property
    def directory(self) -> Path:
        """
        Return the directory to write into.

        Raises:
            UsageError: There are several.
        """
        if len(self.places) > 1:
            raise UsageError(
                "this command writes into one directory: name it with -dir"
            )
        return self.places[0]

    def files(self) -> Files:
        """Read the migrations, once."""
        return load(*self.places, split=self.split, environ=self.environ)

    def usable_files(self) -> Files:
        """
        Read the migrations, for a command that goes by all of their versions.

        Raises:
            FilesInvalidError: There are faults of names, duplicates, unreadable files.
        """
        files = self.files()
        if files.faults:
            raise FilesInvalidError(files.faults)
        return files

    def run(self, goal: Goal) -> None:
        """Bring the database to *goal*; raises as `Runner.run`."""
        self.runner.run(self.usable_files(), goal)

"""One function for each command: what the words on the command line do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from migrator.errors import FilesInvalidError
from migrator.events import FilesValidated, MigrationListed, VersionRead
from migrator.model import Down, Files, History, Redo, Reset, Row, Split, Up
from migrator.runner import Runner
from migrator.source.load import load


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a command needs: the files' place, the database's runner, its argument."""

    directory: Path
    split: Split
    environ: Mapping[str, str]
    """What ENVSUB substitutes from."""

    runner: Runner
    target: int | None = None

    def files(self) -> Files:
        """Read the migrations directory, once."""
        return load(self.directory, split=self.split, environ=self.environ)


def up(request: Request) -> None:
    """
    Apply everything that is pending.

    Raises:
        FilesInvalidError: Before any connection when the directory has faults.
    """
    request.runner.run(_usable(request.files()), Up())


def up_to(request: Request) -> None:
    """Apply what is pending up to and including the target; else as `up`."""
    request.runner.run(_usable(request.files()), Up(to=request.target))


def up_by_one(request: Request) -> None:
    """Apply the next pending file."""
    request.runner.run(_usable(request.files()), Up(most=1))


def down(request: Request) -> None:
    """Take back what was applied last."""
    request.runner.run(_usable(request.files()), Down())


def down_to(request: Request) -> None:
    """Take back what was applied, down to but not including the target."""
    request.runner.run(_usable(request.files()), Down(to=request.target))


def redo(request: Request) -> None:
    """Take back what was applied last, and apply it again."""
    request.runner.run(_usable(request.files()), Redo())


def reset(request: Request) -> None:
    """Take back every file that is applied."""
    request.runner.run(_usable(request.files()), Reset())


def status(request: Request) -> None:
    """Tell every file and every applied version with its state."""
    files = request.files()
    with request.runner.look() as (_, history):
        for line in listed(files, history):
            request.runner.observe(line)


def version(request: Request) -> None:
    """Tell the version that the database is at."""
    with request.runner.look() as (_, history):
        request.runner.observe(VersionRead(version=history.current))


def validate(request: Request) -> None:
    """
    Check all files without a database.

    Raises:
        FilesInvalidError: All faults of all files.
    """
    files = request.files()
    if files.all_faults:
        raise FilesInvalidError(files.all_faults)
    sections = [s for m in files.migrations for s in (m.up, m.down)]
    request.runner.observe(
        FilesValidated(
            files=len(files.migrations),
            statements=sum(len(section.statements) for section in sections),
            newest=files.newest,
        )
    )


def _usable(files: Files) -> Files:
    if files.faults:
        raise FilesInvalidError(files.faults)
    return files


def listed(files: Files, history: History) -> Iterator[MigrationListed]:
    """Yield a line for each file and each applied version, by version ascending."""
    paths = {migration.version: migration.path for migration in files.migrations}
    rows = {row.version: row for row in history.rows if row.version}
    for number in sorted(paths.keys() | rows.keys()):
        row, path = rows.get(number), paths.get(number)
        yield MigrationListed(
            version=number,
            path=path,
            state=_state(row, path, number, history.newest),
            applied_at=row.at if row else None,
        )


def _state(row: Row | None, path: str | None, number: int, newest: int) -> str:
    if row is not None:
        return "applied" if path is not None else "unknown"
    return "missing" if number < newest else "pending"


COMMANDS: Mapping[str, Callable[[Request], None]] = {
    "up": up,
    "up-by-one": up_by_one,
    "up-to": up_to,
    "down": down,
    "down-to": down_to,
    "redo": redo,
    "reset": reset,
    "status": status,
    "version": version,
    "validate": validate,
}
OFFLINE = frozenset({"validate"})
"""Commands that need no database."""

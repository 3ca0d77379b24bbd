"""The programs that are compared, and their command lines."""

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.benchmarks.image import Python
from tests.benchmarks.measure import Command
from tests.benchmarks.work import Dialect
from tests.compat.goose import VERSION
from tests.helpers.postgres import binaries


Make = Callable[[str, Path], Command]
"""A database's URL and the folder with the files to a command."""


@dataclass(frozen=True, slots=True)
class Program:
    """A tool that applies migrations."""

    name: str
    version: str
    dialect: Dialect
    up: Make
    status: Make | None = None
    """None where the tool keeps no account of what it has applied."""


def programs(ours: Python, wanted: tuple[str, ...]) -> Iterator[Program]:
    """Yield ours, and the wanted others that are there; say which are not."""
    yield _ours(ours)
    for name in wanted:
        program = OTHERS[name]()
        if program is None:
            print(f"{name} is not there and is left out", file=sys.stderr)  # noqa: T201
        else:
            yield program


def _ours(python: Python) -> Program:
    def make(action: str) -> Make:
        def command(url: str, folder: Path) -> Command:
            environ = {
                "MIGRATOR_DATABASE_URL": url,
                "MIGRATOR_MIGRATIONS_DIR": python.seen(folder),
            }
            return python.command(python.entrypoint, action, environ=environ)

        return command

    return Program("ours", python.title, Dialect.GOOSE, make("up"), make("status"))


def _goose() -> Program | None:
    if shutil.which("go") is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, about XDG_RUNTIME_DIR
        from tests.compat.program import installed  # noqa: PLC0415 - imports the wheel

    program = str(installed())

    def make(action: str) -> Make:
        def command(url: str, folder: Path) -> Command:
            known = ("-env", "none", "-dir", str(folder))
            return Command((program, *known, "postgres", url, action), {})

        return command

    return Program("goose", VERSION, Dialect.GOOSE, make("up"), make("status"))


def _dbmate() -> Program | None:
    program = _beside_python("dbmate")
    if program is None:
        return None

    def make(*action: str) -> Make:
        def command(url: str, folder: Path) -> Command:
            known = ("--url", url, "--migrations-dir", str(folder))
            return Command((program, *known, *action), {})

        return command

    return Program(
        "dbmate",
        _version(program),
        Dialect.DBMATE,
        # not `up`, which also looks whether the database exists
        make("--no-dump-schema", "migrate"),
        make("status"),
    )


def _psql(dialect: Dialect) -> Program:
    program = str(binaries() / "psql")

    def up(url: str, folder: Path) -> Command:
        files = (f"--file={path}" for path in sorted(folder.iterdir()))
        quiet = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
        return Command((program, *quiet, f"--dbname={url}", *files), {})

    return Program(dialect.value, _version(program), dialect, up)


OTHERS: Mapping[str, Callable[[], Program | None]] = {
    "goose": _goose,
    "dbmate": _dbmate,
    "psql": partial(_psql, Dialect.PSQL),
    "message": partial(_psql, Dialect.MESSAGE),
}
"""By name; each returns None where it is not installed."""


def _beside_python(name: str) -> str | None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return shutil.which(name, path=path)


def _version(program: str) -> str:
    done = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()[2]  # NAME version NUMBER, psql (PostgreSQL) NUMBER …

"""argv and environ in, exit code out: the only place that sees the process."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from migrator import __version__
from migrator.errors import UsageError
from migrator.exits import ExitCode
from migrator.job import Reporting, run_job, secrets_of, work_of
from migrator.settings import Settings, read_settings


_COMMANDS = """\
commands:
  up           apply everything that is pending (the default)
  up-by-one    apply the next pending migration
  up-to N      apply what is pending up to and including version N
  down         take back what was applied last
  down-to N    take back what was applied, down to but not including version N
  redo         take back what was applied last, and apply it again
  reset        take back every migration
  status       tell every migration with its state; creates nothing
  version      tell the version that the database is at; creates nothing
  validate     check all files; needs no database

The environment says the rest: MIGRATOR_DATABASE_URL, MIGRATOR_MIGRATIONS_DIR and so
on; the README lists every variable and every exit code.
"""


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
) -> int:
    """Run the migrator once and return the exit code; arguments are for tests."""
    environ = os.environ if environ is None else environ
    stdout = sys.stdout if stdout is None else stdout
    arguments: Mapping[str, str] = {}
    try:
        arguments = _arguments(sys.argv[1:] if argv is None else argv)
        settings = read_settings(environ, arguments)
        secrets = secrets_of(settings, environ)
    except UsageError as error:
        return _refused(error, arguments, environ, stdout)
    return run_job(
        work_of(settings, environ),
        reporting=_reporting(settings, stdout),
        secrets=secrets,
        stdout=stdout,
        deadline_s=settings.deadline,
    )


class _Parser(argparse.ArgumentParser):
    """Tells a fault as everything else is told: on stdout, with the verdict."""

    def error(self, message: str) -> NoReturn:
        """Raise in place of printing and exiting."""
        raise UsageError(f"{message}; see --help")


def _arguments(argv: Sequence[str]) -> Mapping[str, str]:
    parser = _Parser(
        prog="migrator",
        description="Migrate a PostgreSQL schema once and exit.",
        epilog=_COMMANDS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", metavar="COMMAND")
    parser.add_argument("target", nargs="?", metavar="VERSION")
    parser.add_argument("--version", action="version", version=__version__)
    given = vars(parser.parse_args(argv))
    return {name: value for name, value in given.items() if value is not None}


def _reporting(settings: Settings, stdout: TextIO) -> Reporting:
    return Reporting(
        command=settings.command,
        console=_console(settings.log_format, stdout),
        level=settings.log_level,
        termination_log=settings.termination_log,
    )


def _refused(
    error: UsageError,
    arguments: Mapping[str, str],
    environ: Mapping[str, str],
    stdout: TextIO,
) -> ExitCode:
    """Tell that the settings cannot be used, as well as they let us tell it."""

    def refuse(*_: object) -> None:
        raise error

    log_format = environ.get("MIGRATOR_LOG_FORMAT", "auto")
    place = environ.get("MIGRATOR_TERMINATION_LOG") or "/dev/termination-log"
    reporting = Reporting(
        command=arguments.get("command") or environ.get("MIGRATOR_COMMAND") or "up",
        console=_console(log_format, stdout),
        termination_log=Path(place),
    )
    return run_job(refuse, reporting=reporting, secrets=(), stdout=stdout)


def _console(log_format: str, stdout: TextIO) -> bool:
    return log_format == "console" or (log_format == "auto" and stdout.isatty())

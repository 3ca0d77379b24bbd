"""argv and environ in, exit code out: the only place that sees the process."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, TextIO

from migrator import __version__
from migrator.commands import COMMANDS, summary
from migrator.errors import UsageError
from migrator.exits import ExitCode
from migrator.job import Reporting, run_job, secrets_of, work_of
from migrator.settings import Settings, read_settings


_ENVIRONMENT = """\
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
        epilog=f"commands:\n{_commands()}\n\n{_ENVIRONMENT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", metavar="COMMAND")
    parser.add_argument("target", nargs="?", metavar="VERSION")
    parser.add_argument(
        "--check", action="store_const", const="true", help="exit 3 when pending"
    )
    parser.add_argument("--version", action="version", version=__version__)
    given = vars(parser.parse_args(argv))
    return {name: value for name, value in given.items() if value is not None}


def _commands() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(f"  {name:<{width}}  {summary(name)}" for name in COMMANDS)


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

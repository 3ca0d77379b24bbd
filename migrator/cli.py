"""argv and environ in, exit code out: the only place that sees the process."""

import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol, TextIO


try:
    import psycopg  # noqa: F401 - what loads libpq, before anything of ours needs it
except ImportError:
    sys.stderr.write(
        "migrator: psycopg cannot load libpq, PostgreSQL's client library; install"
        " migrator[binary], or the system's libpq (Debian: libpq5)\n"
    )
    sys.exit(2)

from migrator._version import VERSION
from migrator.commands import COMMANDS
from migrator.config.arguments import ABOUT, HELP, parse_arguments
from migrator.config.environment import SECRETS_DIR, Environment, with_env_file
from migrator.config.settings import Settings, read_settings
from migrator.config.types import parse_addresses
from migrator.errors import InterruptedRunError
from migrator.exit_codes import ExitCode
from migrator.job import Reporting, run_job, secrets_of, work_of
from migrator.process.cancellation import Cancellation
from migrator.process.linger import linger
from migrator.report.log import LogFormat
from migrator.report.redact import Redactor, query_values, secret_values
from migrator.report.stdout import (
    is_terminal,
    lenient,
    release,
    standard_output,
    write,
)
from migrator.sql.secrets import find_passwords


def main(
    argv: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    stdout: TextIO | None = None,
) -> int:
    """Run the migrator once and return the exit code; arguments are for tests."""
    out = standard_output() if stdout is None else lenient(stdout)
    given: Mapping[str, str] = {}
    variables: Mapping[str, str] = os.environ if environ is None else environ
    try:
        # a signal that came while modules were imported (entrypoint.py) arrives here
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        given = parse_arguments(sys.argv[1:] if argv is None else argv)
        if {HELP, ABOUT} & given.keys():
            write(out, _help() if HELP in given else f"{VERSION}\n")
            return ExitCode.OK
        variables = with_env_file(variables, given)
        job = _job(read_settings(variables, given), variables, out)
        if environ is None:
            os.environ.update(variables)  # libpq reads PGPASSWORD and others there
    except BaseException as error:  # noqa: BLE001 - signals and bugs get a verdict, too
        job = _refusal(_signal_of(error), given, variables, out)
    code = job(final=environ is None)
    if stdout is None:
        release(out)
    return code


_STOPS = (signal.SIGTERM, signal.SIGINT)


def _signal_of(error: BaseException) -> BaseException:
    """Return the signal that *error* stands for; *error* itself where it is none."""
    ends = {128 + signum: signum for signum in _STOPS}
    code = error.code if isinstance(error, SystemExit) else 0
    signum = ends.get(code) if isinstance(code, int) else None
    if isinstance(error, KeyboardInterrupt):
        signum = signal.SIGINT
    return error if signum is None else InterruptedRunError(signum, name=signum.name)


class _Job(Protocol):
    def __call__(self, *, final: bool) -> ExitCode: ...


def _job(settings: Settings, variables: Mapping[str, str], stdout: TextIO) -> _Job:
    """Return what does the work that *settings* ask for."""
    redactor = Redactor(secrets_of(settings, variables))
    logging.getLogger("psycopg").disabled = True  # what it warns of, our events tell
    reporting = _reporting(settings, stdout)
    log = sys.stderr if reporting.log_format == "plain" else stdout
    live = reporting.log_format != "json" and is_terminal(log)
    return partial(
        run_job,
        work_of(settings, variables, redactor.learn, mask=redactor.text, live=live),
        reporting=reporting,
        redactor=redactor,
        stdout=stdout,
        deadline_s=settings.deadline,
        afterwards=partial(_linger, settings.command) if settings.linger else None,
    )


def _linger(command: str, cancellation: Cancellation) -> None:
    linger(command, cancellation.sleep)


def _help() -> str:
    from migrator.commands.help import help_text  # noqa: PLC0415 - rare

    return help_text()


def _reporting(settings: Settings, stdout: TextIO) -> Reporting:
    reporting = Reporting(
        command=settings.command,
        log_format=_log_format(settings.log_format, stdout),
        level=settings.log_level,
        termination_log=settings.termination_log,
        shutdown_urls=settings.shutdown_urls,
    )
    if settings.command == "healthcheck":  # beside a run, to which all this belongs
        return reporting._replace(termination_log=Path(os.devnull), shutdown_urls=())
    return reporting


def _refusal(
    error: BaseException,
    given: Mapping[str, str],
    environ: Mapping[str, str],
    stdout: TextIO,
) -> _Job:
    """Return a job that only reports *error*, as far as the settings allow."""

    def refuse(*_: object) -> None:
        raise error

    asked = given.get("command") or environ.get("MIGRATOR_COMMAND") or "up"
    log_format = environ.get("MIGRATOR_LOG_FORMAT", "auto")
    place = environ.get("MIGRATOR_TERMINATION_LOG") or "/dev/termination-log"
    reporting = Reporting(
        command=asked if asked in COMMANDS else "unknown",
        log_format=_log_format(log_format, stdout),
        termination_log=Path(place),
        shutdown_urls=_shutdown_urls(environ),
    )
    try:
        secrets = secret_values(environ) | find_passwords(given.get("database_url", ""))
        redactor = Redactor((*secrets, *query_values(reporting.shutdown_urls)))
    except Exception as unknown:  # noqa: BLE001 - then neither text is shown
        redactor = Redactor()
        error = RuntimeError(type(error).__name__, type(unknown).__name__)
    return partial(
        run_job, refuse, reporting=reporting, redactor=redactor, stdout=stdout
    )


def _shutdown_urls(environ: Mapping[str, str]) -> tuple[str, ...]:
    try:
        source = Environment(environ, ["shutdown_urls"], SECRETS_DIR)
        return parse_addresses(source.values().get("shutdown_urls", ""))
    except (OSError, ValueError):
        return ()


def _log_format(asked: str, stdout: TextIO) -> LogFormat:
    """Return the format that is *asked* for; JSON for what is no format."""
    match asked:
        case "console" | "plain":
            return asked
        case "auto" if is_terminal(stdout):
            return "console"
        case _:
            return "json"

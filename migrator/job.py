"""Runs one command as a process: settings, signals, reports, and the exit code."""

import signal
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

from migrator._version import VERSION
from migrator.commands import OFFLINE, command
from migrator.commands.context import CommandContext
from migrator.config.environment import service_links
from migrator.config.settings import Settings
from migrator.domain.backoff import Backoff
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import UsageError
from migrator.events.base import Event, Observer
from migrator.events.run import RunStarted, SettingIgnored
from migrator.exit_codes import ExitCode
from migrator.pg.connection.connect import Session
from migrator.pg.connection.connection_warnings import (
    warn_of_password_file,
    warn_of_unverified_tls,
)
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import Dsn, from_environment, parse_dsn
from migrator.pg.connection.embedded import SCHEME, embedded_server
from migrator.pg.tracking.store import NoTrackingStore, TrackingStore
from migrator.process.cancellation import Cancellation, Interruption
from migrator.process.signals import error_to_report, signals
from migrator.report import termination
from migrator.report.log import LogFormat, log_to, plain_line
from migrator.report.redact import Redactor, query_values, secret_values
from migrator.report.stdout import write
from migrator.report.summary import RunSummary, emit_end


class Reporting(NamedTuple):
    """Where and how a run reports; known even if the settings are not."""

    command: str
    log_format: LogFormat
    level: str = "info"
    termination_log: Path = Path("/dev/termination-log")
    shutdown_urls: tuple[str, ...] = ()
    """URLs that are called after the termination message is written."""


Work = Callable[[Observer, Cancellation], None]
Afterwards = Callable[[Cancellation], None]


def run_job(
    work: Work,
    *,
    reporting: Reporting,
    redactor: Redactor,
    stdout: TextIO,
    deadline_s: float = 0.0,
    afterwards: Afterwards | None = None,
    final: bool = False,
) -> ExitCode:
    """
    Do *work*, report it, and return the process's exit code.

    In any case the last line is `run.finished`, and the termination message says the
    same. Failures of the log, the sidecars and *afterwards*, which is called
    after a success, change neither. *final* says that the process ends with the run:
    later signals do not change the exit code either.
    """
    started, run_id = time.monotonic(), uuid.uuid4().hex[:12]
    tally, cancellation = RunSummary(reporting.command), Cancellation()
    verdict: list[int] | None = [] if final else None
    with signals(cancellation, deadline_s, verdict):
        log = log_to(
            stdout,
            log_format=reporting.log_format,
            level=reporting.level,
            redactor=redactor,
            run_id=run_id,
        )

        def observe(event: Event) -> None:
            tally.see(event)
            log(event)

        error = _outcome(work, observe, cancellation)
        signal.setitimer(signal.ITIMER_REAL, 0)
        # a first signal that comes from here on does not change the verdict any more
        finished = tally.verdict(error, duration_s=time.monotonic() - started)
        if verdict is not None:
            verdict.append(finished.exit_code)
        fields = redactor.fields(finished)
        termination.write(reporting.termination_log, fields)
        if reporting.shutdown_urls:
            with suppress(Exception):
                _stop_sidecars(reporting.shutdown_urls, log, cancellation)
        try:
            log(finished)
        except Exception:  # noqa: BLE001 - the last line is written in any case
            write(stdout, plain_line(finished, fields, run_id=run_id))
        if afterwards is not None and not finished.exit_code:
            with suppress(Exception):
                afterwards(cancellation)
    return ExitCode(finished.exit_code)


def _stop_sidecars(
    urls: tuple[str, ...], observe: Observer, cancellation: Cancellation
) -> None:
    from migrator.process.sidecars import stop_sidecars  # noqa: PLC0415 - rare

    stop_sidecars(
        urls, observe, Cancellation() if cancellation.is_requested else cancellation
    )


def _outcome(
    work: Work, observe: Observer, cancellation: Cancellation
) -> BaseException | None:
    """Return what ended *work*, reported; None when it succeeded."""
    try:
        work(observe, cancellation)
    except Interruption as interruption:
        error: BaseException = error_to_report(interruption.reason, cancellation)
    except BaseException as caught:  # noqa: BLE001 - the verdict is reported, whatever happens
        error = error_to_report(caught, cancellation)
    else:
        return None
    with suppress(Exception):  # a log that fails does not change why it ended
        emit_end(error, observe, interrupted=cancellation.is_requested)
    return error


def secrets_of(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    Return what no output may hold: the password, those of the URL, what variables hold
    whose names say secret (ENVSUB may put them into a statement), and the queries of
    URLs that are called at the end.

    Raises:
        UsageError: The URL cannot be read.
    """
    url = _url(settings)
    dsn = Dsn(()) if url.startswith(SCHEME) else parse_dsn(url)
    named = secret_values({n: v for n, v in environ.items() if v.strip() != url})
    if settings.password is not None:
        named.add(settings.password.get_secret_value())
    shutdown = query_values(settings.shutdown_urls)
    return (*dsn.secrets, *sorted(named - set(dsn.public)), *shutdown)


Learn = Callable[[str], None]


def work_of(
    settings: Settings,
    environ: Mapping[str, str],
    learn: Learn,
    *,
    mask: Callable[[str], str],
    live: bool = False,
) -> Work:
    """
    Return a function that does it; *learn* gets passwords before others.

    *mask* hides secrets in what the database keeps of an error.
    If *live*, progress is reported each second, for a terminal.
    """

    def work(observe: Observer, cancellation: Cancellation) -> None:
        with ExitStack() as stack:
            dsn = _dsn(settings, environ, stack)
            observe(_started(settings, dsn))
            for name in service_links(environ):
                observe(SettingIgnored(variable=name, reason=_LINK))
            place = _database(settings, dsn, environ, observe, learn)
            place = place._replace(mask=mask)
            runner = _runner(settings, place, observe, cancellation, live=live)
            command(settings.command)(_context(settings, environ, runner))

    return work


_LINK = (
    "a service link that Kubernetes sets for a Service named like us;"
    " set enableServiceLinks: false in the pod"
)


def _url(settings: Settings) -> str:
    given = settings.database_url
    return given.get_secret_value() if given is not None else ""


def _dsn(
    settings: Settings, environ: Mapping[str, str], stack: ExitStack
) -> Dsn | None:
    if settings.command in OFFLINE:
        return None
    url = _url(settings)
    if url.startswith(SCHEME):
        return parse_dsn(stack.enter_context(embedded_server(url[len(SCHEME) :])))
    if url:
        return parse_dsn(url)
    found = from_environment(environ)
    if found is None:
        raise UsageError(
            "no database: set MIGRATOR_DATABASE_URL to postgresql://user:password@"
            "host:5432/dbname, or MIGRATOR_DATABASE_URL_FILE, or PGHOST and others"
        )
    return found


def _started(settings: Settings, dsn: Dsn | None) -> RunStarted:
    return RunStarted(
        command=settings.command,
        migrator_version=VERSION,
        database=None if dsn is None else str(dsn),
        migrations_dir=":".join(str(p.absolute()) for p in settings.migrations_dir),
    )


def _database(
    settings: Settings,
    dsn: Dsn | None,
    environ: Mapping[str, str],
    observe: Observer,
    learn: Learn,
) -> Database:
    session = Session(
        lock_timeout_s=settings.lock_timeout,
        statement_timeout_s=settings.statement_timeout,
        role=settings.role,
        search_path=settings.search_path,
        state=settings.session,
    )
    backoff = Backoff(total_s=settings.connect_wait, max_s=5)
    database = Database(dsn=dsn or Dsn(()), session=session, backoff=backoff)
    if dsn is None:
        return database
    warn_of_unverified_tls(dsn, observe, own_password=settings.own_password)
    if not settings.own_password:
        warn_of_password_file(dsn, observe)
        return database
    from migrator.config.password_source import password_source  # noqa: PLC0415 - rare

    password = password_source(settings, dsn, environ, learn=learn)
    return database._replace(password=password)


def _runner(
    settings: Settings,
    database: Database,
    observe: Observer,
    cancellation: Cancellation,
    *,
    live: bool,
) -> Runner:
    usual = Policy()
    policy = Policy(
        allow_missing=settings.allow_missing,
        on_db_ahead=settings.on_db_ahead,
        on_drift=settings.on_drift,
        on_invalid_index=settings.on_invalid_index,
        pipeline=settings.pipeline,
        lock=settings.lock,
        lock_backoff=Backoff(total_s=settings.lock_wait),
        retry_backoff=usual.retry_backoff._replace(total_s=settings.lock_retry),
        watch_s=(1.0, 1.0) if live else usual.watch_s,
    )
    return Runner(
        database=database,
        store=_store(settings),
        policy=policy,
        observe=observe,
        cancellation=cancellation,
    )


def _store(settings: Settings) -> TrackingStore | NoTrackingStore:
    if settings.no_versioning:
        return NoTrackingStore()
    return TrackingStore(settings.table, settings.history)


def _context(
    settings: Settings, environ: Mapping[str, str], runner: Runner
) -> CommandContext:
    return CommandContext(
        places=tuple(path.absolute() for path in settings.migrations_dir),
        base=tuple(path.absolute() for path in settings.base),
        split=settings.split,
        environ=environ,
        runner=runner,
        target=settings.target,
        check=settings.check,
        backoff=Backoff(total_s=settings.wait, initial_s=0.2, max_s=5),
        name=settings.name or "",
        kind=settings.kind,
        sequential=settings.sequential,
    )

"""Commands that only read: they take no lock and create nothing."""

from collections.abc import Iterator

from migrator.commands.context import CommandContext
from migrator.domain.history import History, VersionRow
from migrator.domain.model import Files, Step, Up
from migrator.engine.plan import outdated_intents
from migrator.errors import (
    FilesInvalidError,
    MigratorError,
    NotReadyError,
    PendingError,
    WaitTimeoutError,
)
from migrator.events.finding import (
    FilesValidated,
    FileWarned,
    MigrationListed,
    StatementPlanned,
    VersionAwaited,
    VersionRead,
)
from migrator.process.linger import lingers
from migrator.source.base_branch import NOTHING, Comparison, compare
from migrator.sql.secrets import mask_everywhere


def status(context: CommandContext) -> None:
    """
    Show the state of every migration.

    Raises:
        PendingError: A check was asked for, and something is pending or missing.
    """
    files = context.files()
    with context.runner.read_state() as (_, history):
        lines = tuple(list_migrations(files, history))
    for line in lines:
        context.runner.observe(line)
    unapplied = [line.version for line in lines if line.state in _UNAPPLIED]
    if context.check and unapplied:
        raise PendingError(unapplied)


_UNAPPLIED = {"begun", "pending", "missing"}


def version(context: CommandContext) -> None:
    """Show the version of the database."""
    with context.runner.read_state() as (_, history):
        context.runner.observe(VersionRead(version=history.current))


def plan(context: CommandContext) -> None:
    """
    Show the statements that `up` would run.

    Raises:
        PendingError: A check was asked for, and something is pending.
        MigratorError: What `up` would stop on before it runs anything.
    """
    steps = context.runner.plan(context.usable_files(), Up(to=context.target))
    for step in steps:
        for line in plan_statements(step):
            context.runner.observe(line)
    if context.check and steps:
        raise PendingError([step.migration.version for step in steps])


def wait(context: CommandContext) -> None:
    """
    Wait until version N, or every file, is applied.

    Raises:
        WaitTimeoutError: MIGRATOR_WAIT passed before.
        UnavailableError: The server did not answer.
    """
    target = context.target
    wanted = {target} if target is not None else _versions(context.usable_files())
    delays = context.backoff.delays()
    for answer in context.runner.poll_state():
        problem = answer if isinstance(answer, MigratorError) else None
        history = answer if isinstance(answer, History) else History()
        missing = sorted(wanted - history.versions)
        if problem is None and not missing:
            context.runner.observe(VersionRead(version=history.current))
            return
        delay = next(delays, None)
        if delay is None:
            waited_s = context.backoff.total_s
            raise problem or WaitTimeoutError(missing, waited_s=waited_s)
        context.runner.observe(
            VersionAwaited(
                current=None if problem else history.current,
                missing=tuple(missing),
                next_attempt_s=round(delay, 3),
            )
        )
        context.runner.cancellation.sleep(delay)


def validate(context: CommandContext) -> None:
    """
    Check all migration files; needs no database.

    Oddities are reported as warnings. Where the base branch's files are named,
    it is also checked that these can be merged into them.

    Raises:
        FilesInvalidError: All faults of all files.
    """
    files = context.files()
    beside = _beside_base(context, files)
    for warning in (*files.all_warnings, *beside.warnings):
        context.runner.observe(FileWarned(**warning._asdict()))
    faults = (*beside.faults, *files.all_faults)
    if faults:
        raise FilesInvalidError(faults)
    sections = [s for m in files.migrations for s in (m.up, m.down)]
    context.runner.observe(
        FilesValidated(
            files=len(files.migrations),
            statements=sum(len(section.listed_statements) for section in sections),
            newest=files.newest,
            added=beside.added if context.base else None,
        )
    )


def _beside_base(context: CommandContext, files: Files) -> Comparison:
    if not context.base:
        return NOTHING
    return compare(
        files,
        context.places,
        context.base,
        allow_missing=context.runner.policy.allow_missing,
    )


def list_migrations(files: Files, history: History) -> Iterator[MigrationListed]:
    """Yield a line for each file and each applied version, by version ascending."""
    paths = {migration.version: migration.path for migration in files.migrations}
    rows = {row.version: row for row in history.rows if row.version}
    begun = {
        each.version
        for each in (set(history.open_intents) - set(outdated_intents(history)))
    }
    newest = history.newest
    for number in sorted(paths.keys() | rows.keys()):
        row, path = rows.get(number), paths.get(number)
        yield MigrationListed(
            version=number,
            path=path,
            state="begun" if number in begun else _state(row, path, number, newest),
            applied_at=row.applied_at if row else None,
        )


def plan_statements(step: Step) -> Iterator[StatementPlanned]:
    """Yield a line for each statement of *step*."""
    migration = step.migration
    for number, statement in enumerate(step.listed_statements, 1):
        yield StatementPlanned(
            version=migration.version,
            path=migration.path,
            line=statement.line,
            statement=number,
            transaction=migration.transaction,
            text=mask_everywhere(statement.text),
        )


def _versions(files: Files) -> set[int]:
    return {migration.version for migration in files.migrations}


def _state(row: VersionRow | None, path: str | None, number: int, newest: int) -> str:
    if row is not None:
        return "applied" if path is not None else "unknown"
    return "missing" if number < newest else "pending"


def healthcheck(context: CommandContext) -> None:
    """
    Exit 0 while a successful run lingers here, else 3.

    Raises:
        NotReadyError: None does.
    """
    if not lingers():
        raise NotReadyError

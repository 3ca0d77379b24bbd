"""
The migrator as a library: for a start-up, a test fixture, a script.

Nothing is global: no environment is read, no logging is configured, no signal is
handled. Events go to the caller's *observe*.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from migrator.commands.inspect import list_migrations
from migrator.domain.backoff import Backoff
from migrator.domain.identifiers import check_table
from migrator.domain.model import Down, Files, Goal, Redo, Reset, Split, Step, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import UsageError
from migrator.events.base import Observer, ignore_events
from migrator.events.finding import MigrationListed
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import Dsn, parse_dsn
from migrator.pg.tracking.store import TrackingStore
from migrator.source.load import load


@dataclass(frozen=True, slots=True)
class Status:
    """Every file, and every applied version without a file, by version ascending."""

    version: int
    """What `version()` says."""

    migrations: tuple[MigrationListed, ...]

    def __iter__(self) -> Iterator[MigrationListed]:
        return iter(self.migrations)

    def __len__(self) -> int:
        return len(self.migrations)


class MigrationRunner:
    """
    Migrates one database with the files of one directory.

    Each call reads the files, connects, does its work and disconnects.

    Args:
        database: A URL or DSN; or an open connection, of which only the address and
            the credentials are taken: its own session is not touched.

        migrations: The directory.

        table: The tracking table, `schema.table` allowed.

        policy: Out-of-order files, database ahead, lock, retries.

        session: Timeouts, role and search path of the sessions that migrate; and what
            one file leaves to the next (`SessionState.KEEP`: as with goose).

        split: Who says where a statement ends.

        connect_wait_s: How long a call waits for a server that does not answer yet, or
            whose connection is lost; with 0 the first loss ends it.

        environ: Where ENVSUB takes its values from.

        observe: Called with each event, one at a time: in the thread that runs, and in
            one that looks while a statement takes long.

    Raises:
        UsageError: The DSN or the path is empty or cannot be read; the connection
            is closed; the table has no name that can be used.
    """

    def __init__(
        self,
        database: str | psycopg.Connection,
        migrations: str | Path,
        *,
        table: str = "goose_db_version",
        policy: Policy | None = None,
        session: Session | None = None,
        split: Split = Split.GOOSE,
        connect_wait_s: float = 0.0,
        environ: Mapping[str, str] | None = None,
        observe: Observer = ignore_events,
    ) -> None:
        if not str(migrations):
            raise UsageError("the path of the migrations is empty; name a directory")
        self._directory = Path(migrations).absolute()
        self._split = split
        self._environ = environ or {}
        self._runner = Runner(
            database=Database(
                dsn=_dsn(database),
                session=session or Session(),
                backoff=Backoff(total_s=connect_wait_s),
            ),
            store=TrackingStore(_table(table)),
            policy=policy or Policy(),
            observe=observe,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End; there is nothing to close, for no call leaves a connection behind."""

    def up(self, to: int | None = None) -> tuple[Step, ...]:
        """
        Apply what is pending, up to and including *to*, and return the steps.

        Raises:
            MigratorError: What was applied before it stays; see `migrator.errors`.
        """
        return self._run(Up(to=to))

    def up_by_one(self) -> Step | None:
        """Apply the next pending file; None when there is none. Raises as `up`."""
        return next(iter(self._run(Up(most=1))), None)

    def down(self) -> Step | None:
        """Roll back the latest migration; None at version 0. Raises as `up`."""
        return next(iter(self._run(Down())), None)

    def down_to(self, to: int) -> tuple[Step, ...]:
        """Roll back to version *to*, which stays applied; as `up`."""
        return self._run(Down(to=to))

    def redo(self) -> tuple[Step, ...]:
        """Roll back the latest migration and apply it again. Raises as `up`."""
        return self._run(Redo())

    def reset(self) -> tuple[Step, ...]:
        """Roll back all applied migrations. Raises as `up`."""
        return self._run(Reset())

    def version(self) -> int:
        """Return the version applied last, 0 when nothing is; creates nothing."""
        with self._runner.read_state() as (_, history):
            return history.current

    def status(self) -> Status:
        """Return every migration with its state; creates nothing."""
        files = self._files()
        with self._runner.read_state() as (_, history):
            return Status(history.current, tuple(list_migrations(files, history)))

    def _run(self, goal: Goal) -> tuple[Step, ...]:
        return self._runner.run(self._files(), goal)

    def _files(self) -> Files:
        return load(self._directory, split=self._split, environ=self._environ)


def _table(name: str) -> str:
    try:
        return check_table(name)
    except ValueError as error:
        raise UsageError(f"table: {error}") from error


def _dsn(database: str | psycopg.Connection) -> Dsn:
    if isinstance(database, str):
        if not database:
            raise UsageError("the database URL is empty; write postgresql://…")
        return parse_dsn(database)
    if database.closed:
        raise UsageError("the connection is closed; give an open one, or a URL")
    known = {**database.info.get_parameters(), "password": database.info.password}
    return Dsn(tuple((name, value) for name, value in known.items() if value))

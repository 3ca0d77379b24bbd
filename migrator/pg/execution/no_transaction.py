"""
A migration without a transaction, statement by statement, with its journal.

A statement that may run in a transaction block has one of its own, which also holds
the journal's row: wherever the run is stopped, both are in effect or neither is. One
that may not is noted before it is sent; what became of it, the catalogs tell. So the
next run goes on where this one ended. The file's own BEGIN … COMMIT stays as it is, and
the journal's row goes with that COMMIT.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from psycopg import sql
from psycopg.pq import TransactionStatus

from migrator.domain.backoff import Backoff
from migrator.domain.facts import BEGINNING, RECORDING, Place, ServerMessage
from migrator.domain.model import Statement, Step
from migrator.errors import (
    ContentionError,
    FileChangedError,
    MigratorError,
    StatementFailedError,
)
from migrator.pg.connection.pooler import begin, commit, settled
from migrator.pg.connection.queries import roll_back
from migrator.pg.execution.catalog_state import AGAIN
from migrator.pg.execution.invalid_indexes import Unfinished
from migrator.pg.execution.partial_errors import (
    ANSWERED,
    CALL_AGAIN,
    HEALS,
    Failure,
    half_way,
    invalid_index,
    nowhere,
    only_noted,
    placed,
    stopped,
    undecided,
    unrecorded,
    with_words,
)
from migrator.pg.execution.python_script import Function, ScriptCall
from migrator.pg.execution.resume import Notes, Resumption
from migrator.pg.execution.statements import Executor
from migrator.pg.tracking.intent_log import Mark, Prefix, Sent, digest
from migrator.pg.tracking.version_table import ALWAYS
from migrator.sql.classify import Act, Nature, act_apart, act_of, is_commit


_PATIENCE = Backoff(total_s=30)
"""How long to try to record what ran without a transaction."""

_NO_BLOCK = "25001"
"""ERRCODE_ACTIVE_SQL_TRANSACTION (PostgreSQL's xact.c: PreventInTransactionBlock)."""

_TRANSIENT = (Nature.SESSION, Nature.CONTROL)
_LEFT_OPEN = "the file leaves a transaction open"
_NONE = Mark(0, "")


class Autocommit:
    """One step without a transaction, taken by *executor*; for one attempt."""

    def __init__(self, executor: Executor, step: Step) -> None:
        self._executor = executor
        self._conn = executor.conn
        self._step = step
        self._notes = Notes(executor, step)
        self._unfinished = Unfinished(executor, step)
        self._total = len(step.told)
        self._since = time.monotonic()
        self._recording = nowhere(step, RECORDING)

    def take(self) -> bool:
        """
        Run what is not in effect yet, and record the step; False as `Executor.take`.

        Raises:
            MigratorError: As `Executor.take`. One that time heals is raised as it is,
                for the step can be taken again.
        """
        self._executor.cancellation.check()
        self._resume()
        recorded, prefix, through = None, Prefix(), self._notes.reached.through
        for place, statement in self._statements():
            mark = Mark(place.statement, prefix.add(statement))
            if mark.through > through:
                recorded = self._one(place, statement, mark)
            elif mark.through == through:
                self._notes.reached = mark  # its digest may be nobody's yet
        return self._enter_alone() if recorded is None else recorded

    def call(self, call: ScriptCall, function: Function) -> bool:
        """Call *function* and record the step. Raises as `take`."""
        self._resume()
        if not self._notes.reached.through:
            self._call(call, function)
        self._notes.ran(call.script.call)
        return self._enter_alone()

    def _call(self, call: ScriptCall, function: Function) -> None:
        verb = AGAIN if call.script.repeatable else ""
        sent = Sent(verb, "", "", digest(call.script.call), {})
        self._notes.write(Mark(0, "", sent))
        try:
            self._executor.hold.held()
            call.run_outside(function)
        except MigratorError as error:
            roll_back(self._conn)
            raise self._uncalled(error, call, sent) from error
        try:
            self._notes.write(Mark(1, ""))
        except MigratorError as error:
            raise (
                error if isinstance(error, HEALS) else self._unnoted(error)
            ) from error

    def _statements(self) -> Iterator[tuple[Place, Statement]]:
        try:
            yield from placed(self._step)
        except FileChangedError as error:
            through = self._notes.applied.through
            if not through:
                raise
            here = nowhere(self._step)._replace(statement=through)
            progress = self._notes.progress(here)
            raise half_way(
                error, progress.place, f"what follows {progress.part}"
            ) from error

    def _one(self, place: Place, statement: Statement, mark: Mark) -> bool | None:
        """Run one statement; tell whether the step is recorded, if it is the last."""
        act = act_of(statement.text)
        with self._stopping(place, statement):
            if self._inside or act.nature in _TRANSIENT:
                self._plain(place, statement, mark)
            elif act.nature is Nature.BLOCK:
                return self._in_block_if_allowed(place, statement, mark)
            else:
                self._apart(place, statement, act, mark)
        return None

    @property
    def _inside(self) -> bool:
        """Whether a transaction is open."""
        return self._conn.info.transaction_status is TransactionStatus.INTRANS

    def _plain(self, place: Place, statement: Statement, mark: Mark) -> None:
        commits = is_commit(statement.text)
        if self._inside and commits and self._notes.applied.pending:
            self._notes.write(mark)
        self._executor.run(statement, place)
        self._notes.ran(statement, None if self._inside and not commits else mark)
        if self._inside and mark.through == self._total:
            raise StatementFailedError(place, ServerMessage(None, _LEFT_OPEN))

    def _in_block_if_allowed(
        self, place: Place, statement: Statement, mark: Mark
    ) -> bool | None:
        """What refuses the block although its words did not say so runs without one."""
        try:
            return self._in_block(place, statement, mark)
        except StatementFailedError as error:
            if error.server.sqlstate != _NO_BLOCK:
                raise
            roll_back(self._conn)
            self._apart(place, statement, act_apart(statement.text), mark)
            return None

    def _in_block(self, place: Place, statement: Statement, mark: Mark) -> bool | None:
        executor, recorded = self._executor, None
        executor.command(begin(self._conn), nowhere(self._step, BEGINNING))
        executor.run_inside(statement, place)
        # a large file has still to be seen to its end
        if mark.through == self._total and isinstance(self._step.statements, tuple):
            recorded = self._enter(executor.hold.proof)
        else:
            self._notes.write(mark)
        executor.hold.held()
        end = b"ROLLBACK" if recorded is False else commit(self._conn)
        executor.command(end, place, statement)
        self._notes.ran(statement, mark)
        return recorded

    def _apart(self, place: Place, written: Statement, act: Act, mark: Mark) -> None:
        statement = self._unfinished.cleared(written, act, self._notes.progress(place))
        known = self._unfinished.known(act)
        verb = AGAIN if act.nature is Nature.AGAIN else act.verb
        sent = Sent(verb, act.name, act.table, digest(written), known)
        self._notes.write(self._notes.reached._replace(sent=sent))
        try:
            self._executor.run(statement, place)
            self._unfinished.check(act, place)
        except MigratorError as error:
            raise self._after(error, place, act, sent) from error
        self._notes.ran(written, mark)
        self._notes.write(mark)

    def _after(
        self, error: MigratorError, place: Place, act: Act, sent: Sent
    ) -> MigratorError:
        """Return what *error* means of a statement that commits in pieces."""
        if self._conn.closed:
            return error
        if act.nature is Nature.OPAQUE:
            return self._unsure(error, place, self._notes.reached._replace(sent=sent))
        if not isinstance(error, ANSWERED) or isinstance(error, ContentionError):
            return error
        found = self._unfinished.outcome(sent.act, sent.before)
        for left in found.leftovers:
            return invalid_index(
                left.name, left.table, self._notes.progress(place), error
            )
        if found.done is None:
            return self._unsure(error, place, self._notes.reached._replace(sent=sent))
        self._notes.write(self._notes.reached if self._notes.applied.through else _NONE)
        return error

    def _uncalled(
        self, error: MigratorError, call: ScriptCall, sent: Sent
    ) -> MigratorError:
        """Return what *error* means of a function that sees to its transactions."""
        if not call.script.repeatable:
            return self._unsure(error, call.place, Mark(0, "", sent))
        if isinstance(error, HEALS):
            return error
        part = self._notes.progress(call.place).part
        return half_way(error, call.place, part, mend=CALL_AGAIN)

    def _unsure(self, error: MigratorError, place: Place, mark: Mark) -> MigratorError:
        """Return the error of unknown outcome that *error* leads to, and keep why."""
        progress = self._notes.progress(place)
        if self._notes.journal is None:
            return half_way(error, place, progress.part)
        failure = Failure.of(error, place, self._executor.mask)
        if mark.sent is not None and not self._conn.closed:
            sent = mark.sent._replace(failure=failure.fields)
            with suppress(MigratorError):  # the run fails with its own error
                self._notes.write(mark._replace(sent=sent))
        return undecided(progress, failure)

    def _resume(self) -> None:
        """Find out where an earlier attempt has ended, and make the session like it."""
        resumption = Resumption(
            self._executor, self._step, self._notes, self._unfinished
        )
        for place, statement in resumption.find():
            with self._stopping(place, statement):
                self._executor.run(statement, place)

    def _enter(self, held: sql.Composable) -> bool:
        took_ms = sql.Literal(round((time.monotonic() - self._since) * 1000))
        return self._executor.enter(self._step, took_ms, held, self._notes.row)

    def _enter_alone(self) -> bool:
        """Enter the step by itself, again while locks stand in the way."""
        delays = _PATIENCE.delays()
        while True:
            try:
                # what is in effect is recorded, whoever has the lock by now
                with (
                    self._executor.explaining(self._recording),
                    settled(self._conn),
                    self._conn.transaction(),
                ):
                    return self._enter(ALWAYS)
            except MigratorError as error:
                delay = next(delays, None)
                if delay is None or not isinstance(error, ContentionError):
                    raise self._unrecorded(error) from error
            self._executor.cancellation.sleep(delay)

    def _unrecorded(self, error: MigratorError) -> MigratorError:
        progress = self._notes.progress(self._recording)
        if not progress.through:
            return error
        if self._notes.row is None:
            return self._unnoted(error)
        if isinstance(error, HEALS):
            return with_words(error, str(progress))
        return only_noted(error, progress)

    def _unnoted(self, error: MigratorError) -> MigratorError:
        table = self._executor.table
        return unrecorded(
            error, self._recording, self._step, table.name if table else ""
        )

    @contextmanager
    def _stopping(self, place: Place, statement: Statement) -> Iterator[None]:
        """Roll back what is open, and say what is in effect."""
        try:
            yield
        except MigratorError as error:
            roll_back(self._conn)
            raise stopped(error, statement, self._notes.progress(place)) from error

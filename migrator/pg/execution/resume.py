"""What one step without a transaction has noted of itself, and notes as it goes on."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from migrator.domain.facts import TRACKING, Place
from migrator.domain.model import Statement, Step
from migrator.errors import LockLostError
from migrator.events.migration import MigrationResumed
from migrator.pg.connection.own_messages import ask_own
from migrator.pg.execution.invalid_indexes import Unfinished
from migrator.pg.execution.partial_errors import (
    CHANGED,
    KEEPS,
    Failure,
    Progress,
    lost_track,
    nowhere,
    placed,
    undecided,
)
from migrator.pg.execution.statements import Executor
from migrator.pg.tracking.intent_log import Intent, Journal, Mark, Prefix, digest
from migrator.sql.classify import Applied, Nature, act_of


class Notes:
    """The journal's row of *step*, written on *executor*'s connection."""

    def __init__(self, executor: Executor, step: Step) -> None:
        self._executor = executor
        self._step = step
        ledger = executor.table.ledger if executor.table else None
        self.journal = None if ledger is None else Journal(ledger, step)
        """None where nothing can be noted."""

        self.row: int | None = None
        """The row's id, once there is one."""

        self.reached = Mark(0, "")
        """What has run, noted or not, and what only the session has of it included."""

        self.applied = Applied()
        """What of that is in the database."""

        self._noted = 0
        """How many statements the row says are in effect."""

    def ran(self, statement: Statement, reached: Mark | None = None) -> None:
        """Count *statement*, which has succeeded; it leads to *reached*, if it ends."""
        self.applied.add(statement.text)
        if reached is not None:
            self.reached = reached

    def write(self, mark: Mark) -> None:
        """
        Write *mark*, in the transaction that is open if one is.

        Raises:
            LockLostError: The migration lock is not ours any more, or another run has
                gone on with the step.
            MigratorError: As `Executor.take`.
        """
        if self.journal is None:
            return
        executor, conn = self._executor, self._executor.conn
        query = self.journal.marking(
            self.row, mark, reached=self._noted, held=executor.hold.proof
        )
        with executor.explaining(nowhere(self._step, TRACKING)):
            answers = ask_own(conn, query)
        found = [row[0] for row in answers if row is not None]
        if not found:
            executor.hold.check()
            raise LockLostError(
                f"another run has gone on with {self._step.migration.path}"
            )
        self.row, self._noted = found[-1], mark.through

    def find(self) -> Intent | None:
        """Take up the row that an earlier attempt has left open, and return it."""
        if self.journal is None:
            return None
        with self._executor.explaining(nowhere(self._step, TRACKING)):
            intent = self.journal.find(self._executor.conn)
        if intent is not None:
            self.row, self._noted = intent.id, intent.through
            self.reached = Mark(intent.through, "")
        return intent

    def progress(self, place: Place) -> Progress:
        """Return how far the step has come, seen from *place*."""
        ledger = self.journal.ledger.identifier.as_string() if self.journal else None
        total = len(self._step.told)
        through, script = self.applied.through, self._step.script
        return Progress(place, through, total, ledger, self.row, script)


class Resumption(NamedTuple):
    """Compares what *notes* of earlier attempts say with the file and the catalogs."""

    executor: Executor
    step: Step
    notes: Notes
    unfinished: Unfinished

    def find(self) -> tuple[tuple[Place, Statement], ...]:
        """
        Take up the notes of an earlier attempt, told, if one has left any.

        Return the statements that make the session what it was where the step goes on.

        Raises:
            PartialError: The file has changed in what is in effect, or it cannot be
                known what is.
            ContentionError: A session is still at work on what was sent last.
        """
        intent = self.notes.find()
        if intent is None:
            return ()
        replayed = tuple(self._verified(intent))
        through = intent.through + self._came_through(intent)
        self.notes.reached = Mark(through, "")
        if through:
            self.executor.observe(_resumed(self.step, intent, through))
        return replayed

    def _verified(self, intent: Intent) -> Iterator[tuple[Place, Statement]]:
        """Yield those of the statements in effect that only set up the session."""
        prefix, last = Prefix(), ""
        for place, statement in islice(placed(self.step), intent.through):
            last, act = prefix.add(statement), act_of(statement.text)
            self.notes.ran(statement)
            if act.keeps:
                raise lost_track(intent, self.notes.progress(place), KEEPS)
            if act.nature is Nature.SESSION:
                yield place, statement
        # what a human has noted has no digest, and a function's call needs none
        if intent.prefix and intent.prefix != last:
            here = self.notes.progress(nowhere(self.step))
            raise lost_track(intent, here, CHANGED)

    def _came_through(self, intent: Intent) -> bool:
        """Tell whether the statement that was sent last is in effect."""
        script = self.step.script
        if intent.sent is None or (script is not None and script.repeatable):
            return False
        left = islice(self.step.told, intent.through, None)
        statement = next(iter(left), Statement("", 0))
        place = self.step.migration.place(statement, intent.through + 1)
        progress = self.notes.progress(place)
        found = self.unfinished.outcome(intent.sent.act, intent.sent.before)
        if found.done is None:
            kept = intent.sent.failure
            failure = None if kept is None else Failure.read(kept)
            raise undecided(progress, failure, earlier=intent)
        if found.done and digest(statement) != intent.sent.digest:
            raise lost_track(intent, progress, CHANGED)
        for leftover in found.leftovers:
            self.unfinished.clear(leftover, progress)
        if found.done:
            self.notes.ran(statement)
        return found.done


def _resumed(step: Step, intent: Intent, through: int) -> MigrationResumed:
    return MigrationResumed(
        version=step.migration.version,
        path=step.migration.path,
        direction=step.direction.value,
        through=through,
        statements=len(step.told),
        begun_by=intent.by,
        begun_at=intent.since,
    )

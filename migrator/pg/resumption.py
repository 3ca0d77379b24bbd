"""Where a migration without a transaction goes on that an earlier run has begun."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from migrator.events.migration import MigrationResumed
from migrator.facts import Place
from migrator.model import Statement, Step
from migrator.pg.execute import Executor, nowhere, placed
from migrator.pg.journal import Intent, Journal, Mark, Prefix, digest
from migrator.pg.partial import CHANGED, KEEPS, Progress, lost_track, undecided
from migrator.pg.unfinished import Unfinished
from migrator.sql.nature import Nature, act_of


_OPAQUE = "nothing in the catalogs tells whether it came through"


class Begun(NamedTuple):
    """What is known of an earlier attempt."""

    row: int
    reached: Mark
    """What is in effect."""

    noted: int
    """How many statements the row says are in effect: what was sent may be one more."""

    replayed: tuple[tuple[Place, Statement], ...]
    """What makes the session what it was there."""


class Resumption(NamedTuple):
    """Compares what *journal* says with the file and with the catalogs."""

    executor: Executor
    journal: Journal

    def find(self) -> Begun | None:
        """
        Return where the step goes on, told; None when no attempt has left a trace.

        Raises:
            PartialError: The file has changed in what is in effect, or it cannot be
                known what is.
            ContentionError: A session is still at work on what was sent last.
        """
        with self.executor.explaining(*nowhere(self._step)):
            intent = self.journal.find(self.executor.conn)
        if intent is None:
            return None
        replayed = tuple(self._verified(intent))
        through = intent.through + self._came_through(intent)
        if through:
            self.executor.observe(_resumed(self._step, intent, through))
        reached = Mark(through, intent.prefix or "")
        return Begun(intent.id, reached, intent.through, replayed)

    @property
    def _step(self) -> Step:
        return self.journal.step

    def _verified(self, intent: Intent) -> Iterator[tuple[Place, Statement]]:
        """Yield those of the statements in effect that only set up the session."""
        prefix, last = Prefix(), ""
        for place, statement in islice(placed(self._step), intent.through):
            last, act = prefix.add(statement), act_of(statement.text)
            if act.keeps:
                raise lost_track(intent, self._progress(intent, place), KEEPS)
            if act.nature is Nature.SESSION:
                yield place, statement
        # what a human has noted has no digest, and a function's call needs none
        if intent.prefix and intent.prefix != last:
            here = self._progress(intent, nowhere(self._step)[0])
            raise lost_track(intent, here, CHANGED)

    def _came_through(self, intent: Intent) -> bool:
        """Tell whether the statement that was sent last is in effect."""
        if intent.sent is None:
            return False
        left = islice(self._step.told, intent.through, None)
        statement = next(iter(left), Statement("", 0))
        place = self._step.migration.place(statement, intent.through + 1)
        progress = self._progress(intent, place)
        unfinished = Unfinished(self.executor, self._step)
        found = unfinished.outcome(intent.sent.act, intent.sent.before)
        if found.done is None:
            raise undecided(progress, _OPAQUE, None)
        if found.done and digest(statement) != intent.sent.digest:
            raise lost_track(intent, progress, CHANGED)
        for leftover in found.leftovers:
            unfinished.clear(leftover, progress)
        return found.done

    def _progress(self, intent: Intent, place: Place) -> Progress:
        ledger = self.journal.ledger.identifier.as_string()
        total = len(self._step.told)
        return Progress(place, intent.through, total, ledger, intent.id)


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

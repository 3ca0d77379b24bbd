"""Where a migration without a transaction goes on that an earlier run has begun."""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from migrator.events.migration import MigrationResumed
from migrator.facts import Place
from migrator.model import Statement, Step
from migrator.pg.execute import Executor
from migrator.pg.journal import Intent, Mark, Prefix, digest
from migrator.pg.notes import Notes
from migrator.pg.partial import CHANGED, KEEPS, lost_track, undecided
from migrator.pg.places import nowhere, placed
from migrator.pg.recorded_failure import Failure
from migrator.pg.unfinished import Unfinished
from migrator.sql.nature import Nature, act_of


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

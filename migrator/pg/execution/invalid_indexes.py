"""What a statement outside of a transaction block has left behind, and its removal."""

from typing import NamedTuple

from migrator.domain.facts import INSPECTING, Place, ServerMessage
from migrator.domain.model import Statement, Step
from migrator.errors import ContentionError
from migrator.events.migration import IndexDropped
from migrator.pg.execution.catalog_state import (
    Facts,
    Leftover,
    Outcome,
    before,
    obstacle,
    outcome,
)
from migrator.pg.execution.partial_errors import Progress, invalid_index, nowhere
from migrator.pg.execution.statements import Executor
from migrator.sql.classify import Act


class Unfinished(NamedTuple):
    """Asks the catalogs on *executor*'s connection, and clears what *step* meets."""

    executor: Executor
    step: Step

    def known(self, act: Act) -> Facts:
        """Return what `outcome` has to know from before. Raises as `Executor.take`."""
        if not act.verb:
            return {}
        with self.executor.explaining(nowhere(self.step, INSPECTING)):
            return before(self.executor.conn, act)

    def outcome(self, act: Act, known: Facts) -> Outcome:
        """Return what has become of a statement. Raises as `Executor.take`."""
        with self.executor.explaining(nowhere(self.step, INSPECTING)):
            return outcome(self.executor.conn, act, known)

    def cleared(self, statement: Statement, act: Act, progress: Progress) -> Statement:
        """
        Clear what is in the way; return what to send, which may be the rest of it.

        Raises:
            MigratorError: As `clear`.
        """
        found = self._obstacle(act)
        for leftover in found.leftovers:
            self.clear(leftover, progress)
        if found.detaching:
            text = f"ALTER TABLE {act.table} DETACH PARTITION {act.name} FINALIZE"
            return statement._replace(text=text)
        return statement

    def clear(self, leftover: Leftover, progress: Progress) -> None:
        """
        Drop an index that an unfinished build has left.

        Raises:
            ContentionError: A session is building it.
            PartialError: It is not ours to drop, by the settings.
            MigratorError: As `Executor.take`.
        """
        place = progress.place
        if leftover.holder is not None:
            raise _built_by_another(leftover, place)
        if not self.executor.drop_invalid:
            raise invalid_index(leftover.name, leftover.table, progress)
        text = f"DROP INDEX CONCURRENTLY {leftover.name}"
        self.executor.send(Statement(text, place.line), place)
        self.executor.observe(
            IndexDropped(
                version=place.version,
                path=place.path,
                index=leftover.name,
                table=leftover.table,
            )
        )

    def check(self, act: Act, place: Place) -> None:
        """
        See that an index that was to be built is there.

        Raises:
            ContentionError: IF NOT EXISTS was content with what another session is
                building still.
        """
        if act.verb == "create index":
            for leftover in self._obstacle(act).leftovers:
                raise _built_by_another(leftover, place)

    def _obstacle(self, act: Act) -> Outcome:
        with self.executor.explaining(nowhere(self.step, INSPECTING)):
            return obstacle(self.executor.conn, act)


def _built_by_another(leftover: Leftover, place: Place) -> ContentionError:
    who = f"session {leftover.holder}" if leftover.holder else "another session"
    words = f"index {leftover.name} on {leftover.table} is INVALID, and {who} builds it"
    return ContentionError(place, ServerMessage(None, words), attempts=1)

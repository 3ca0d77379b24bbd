"""Finds and drops invalid indexes that an interrupted statement left behind."""

from typing import NamedTuple

from migrator.domain.facts import INSPECTING, Place, ServerMessage
from migrator.domain.model import Statement, Step
from migrator.errors import ContentionError
from migrator.events.migration import IndexDropped
from migrator.pg.execution.catalog_state import (
    Facts,
    InvalidIndex,
    StatementOutcome,
    find_obstacle,
    read_catalogs_before,
    read_outcome,
)
from migrator.pg.execution.partial_errors import (
    FileProgress,
    file_place,
    invalid_index_error,
)
from migrator.pg.execution.statements import StatementExecutor
from migrator.sql.classify import StatementClass


class InvalidIndexes(NamedTuple):
    """Reads the catalogs for *step* and removes what is in its way."""

    executor: StatementExecutor
    step: Step

    def read_before(self, kind: StatementClass) -> Facts:
        """Return the state for `read_outcome` to compare. Raises as `execute_step`."""
        if not kind.verb:
            return {}
        with self.executor.translate_errors(file_place(self.step, INSPECTING)):
            return read_catalogs_before(self.executor.conn, kind)

    def read_outcome(self, kind: StatementClass, known: Facts) -> StatementOutcome:
        """Return what has become of a statement. Raises as `execute_step`."""
        with self.executor.translate_errors(file_place(self.step, INSPECTING)):
            return read_outcome(self.executor.conn, kind, known)

    def clear_obstacles(
        self, statement: Statement, kind: StatementClass, progress: FileProgress
    ) -> Statement:
        """
        Clear what is in the way; return what to send, which may be the rest of it.

        Raises:
            MigratorError: As `drop_index`.
        """
        found = self._obstacle(kind)
        for leftover in found.leftovers:
            self.drop_index(leftover, progress)
        if found.detaching:
            text = f"ALTER TABLE {kind.table} DETACH PARTITION {kind.name} FINALIZE"
            return statement._replace(text=text)
        return statement

    def drop_index(self, leftover: InvalidIndex, progress: FileProgress) -> None:
        """
        Drop an index that an unfinished build has left.

        Raises:
            ContentionError: A session is building it.
            PartiallyAppliedError: It is not ours to drop, by the settings.
            MigratorError: As `execute_step`.
        """
        place = progress.place
        if leftover.holder is not None:
            raise _concurrent_build_error(leftover, place)
        if not self.executor.drop_invalid:
            raise invalid_index_error(leftover.name, leftover.table, progress)
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

    def check(self, kind: StatementClass, place: Place) -> None:
        """
        See that an index that was to be built is there.

        Raises:
            ContentionError: IF NOT EXISTS was content with what another session is
                building still.
        """
        if kind.verb == "create index":
            for leftover in self._obstacle(kind).leftovers:
                raise _concurrent_build_error(leftover, place)

    def _obstacle(self, kind: StatementClass) -> StatementOutcome:
        with self.executor.translate_errors(file_place(self.step, INSPECTING)):
            return find_obstacle(self.executor.conn, kind)


def _concurrent_build_error(leftover: InvalidIndex, place: Place) -> ContentionError:
    who = f"session {leftover.holder}" if leftover.holder else "another session"
    words = f"index {leftover.name} on {leftover.table} is INVALID, and {who} builds it"
    return ContentionError(place, ServerMessage(None, words), attempts=1)

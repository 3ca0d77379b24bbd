"""The rows of the tracking table, and which versions they mean to be applied."""

from collections.abc import Iterator
from typing import NamedTuple

from migrator.domain.facts import OpenIntent
from migrator.domain.model import Direction, Step


class VersionRow(NamedTuple):
    """One row of the tracking table."""

    version: int
    is_applied: bool
    """False only in tables that goose wrote before v2."""

    applied_at: str | None
    """
    The time in UTC, as in RFC 3339.

    goose's column has no time zone: its default, `now()`, is in the zone of the session
    that wrote it, so it is read in the zone of the session that reads.
    """


class History(NamedTuple):
    """The rows of the tracking table, oldest first."""

    rows: tuple[VersionRow, ...] = ()
    exists: bool = False
    open_intents: tuple[OpenIntent, ...] = ()

    @property
    def versions(self) -> frozenset[int]:
        """Return every version with a row, as goose's `up` does; without 0."""
        return frozenset(row.version for row in self.rows if row.version)

    @property
    def newest(self) -> int:
        """Return the highest version with a row, 0 if there is none."""
        return max(self.versions, default=0)

    @property
    def latest(self) -> tuple[int, ...]:
        """
        Return the applied versions, the latest row first; including 0.

        Only the newest row of each version counts (goose's GetDBVersion).
        """
        return tuple(self._latest_first())

    @property
    def current(self) -> int:
        """Return the version applied last, 0 if there is none."""
        return next(self._latest_first(), 0)

    def _latest_first(self) -> Iterator[int]:
        visited: set[int] = set()
        for row in reversed(self.rows):
            if row.version not in visited:
                visited.add(row.version)
                if row.is_applied:
                    yield row.version

    def after(self, step: Step) -> "History":
        """Return the history after *step* is recorded."""
        version = step.migration.version
        if step.direction is Direction.UP:
            return self._replace(rows=(*self.rows, VersionRow(version, True, None)))
        rows = tuple(row for row in self.rows if row.version != version)
        return self._replace(rows=rows)

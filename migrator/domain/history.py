"""What the tracking table says, and which versions are applied by it."""

from collections.abc import Iterator
from typing import NamedTuple

from migrator.domain.facts import OpenIntent
from migrator.domain.model import Direction, Step


class VersionRow(NamedTuple):
    """One row of the tracking table."""

    version: int
    is_applied: bool
    """False only in tables that goose before v2 has written."""

    applied_at: str | None
    """
    When, in UTC as RFC 3339 has it.

    goose's column has no time zone: it is read in that of the session, in which its
    default, `now()`, is written.
    """


class History(NamedTuple):
    """What the tracking table says, oldest row first."""

    rows: tuple[VersionRow, ...] = ()
    exists: bool = False
    open_intents: tuple[OpenIntent, ...] = ()

    @property
    def versions(self) -> frozenset[int]:
        """Return every version with a row, as goose's `up` counts; without 0."""
        return frozenset(row.version for row in self.rows if row.version)

    @property
    def newest(self) -> int:
        """Return the highest version with a row, 0 when there is none."""
        return max(self.versions, default=0)

    @property
    def latest(self) -> tuple[int, ...]:
        """
        Return the applied versions, the one applied last first; 0 where its row is.

        By row, not by number. An older row says nothing about a version that a newer
        row has spoken of (goose's GetDBVersion).
        """
        return tuple(self._latest_first())

    @property
    def current(self) -> int:
        """Return the version applied last, 0 when nothing is."""
        return next(self._latest_first(), 0)

    def _latest_first(self) -> Iterator[int]:
        spoken: set[int] = set()
        for row in reversed(self.rows):
            if row.version not in spoken:
                spoken.add(row.version)
                if row.is_applied:
                    yield row.version

    def after(self, step: Step) -> "History":
        """Return what the table says once *step* is recorded."""
        version = step.migration.version
        if step.direction is Direction.UP:
            return self._replace(rows=(*self.rows, VersionRow(version, True, None)))
        kept = tuple(row for row in self.rows if row.version != version)
        return self._replace(rows=kept)

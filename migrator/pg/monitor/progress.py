"""
The progress of a statement, from PostgreSQL's `pg_stat_progress_*` views.

Their columns differ between server versions, so rows are read as JSON and missing
columns count as NULL.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


_VIEWS = {
    "create_index": "p.command",
    "vacuum": "'VACUUM'",
    "cluster": "p.command",
    "copy": "p.command",
    "analyze": "'ANALYZE'",
}
_ROW = """
SELECT jsonb_build_object('view', '{view}', 'command', {command}, 'row', to_jsonb(p),
    'relation', (SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = p.relid))
FROM pg_stat_progress_{view} p WHERE p.pid = {{pid}}
"""
PROGRESS = "SELECT row FROM ({}) rows (row) LIMIT 1".format(
    " UNION ALL ".join(_ROW.format(view=v, command=c) for v, c in _VIEWS.items())
)


class StatementProgress(NamedTuple):
    """The progress of one statement: phase, units done and total."""

    command: str
    relation: str | None
    phase: str | None
    done: int | None
    total: int | None
    """None where PostgreSQL does not know it."""

    unit: str | None

    @property
    def percent(self) -> float | None:
        """Return the percentage of the phase that is done; None if unknown."""
        if not self.total or self.done is None:
            return None
        return round(min(100.0, 100 * self.done / self.total), 1)

    def since(self, previous: "StatementProgress") -> int | None:
        """Return the units done since *previous*; None if phase or unit differ."""
        if self.done is None or previous.done is None:
            return None
        same = previous._replace(done=self.done, total=self.total) == self
        return self.done - previous.done if same else None


class _Counter(NamedTuple):
    """The columns of a count, and when they apply."""

    phase: str
    """How the phase begins; if empty, the total has to be greater than 0."""

    done: str
    total: str | None
    unit: str


_COUNTERS = {
    "create_index": (
        _Counter("waiting", "lockers_done", "lockers_total", "sessions"),
        _Counter("", "partitions_done", "partitions_total", "partitions"),
        _Counter("", "blocks_done", "blocks_total", "blocks"),
        _Counter("", "tuples_done", "tuples_total", "tuples"),
    ),
    "vacuum": (
        _Counter("scanning heap", "heap_blks_scanned", "heap_blks_total", "blocks"),
        _Counter("vacuuming heap", "heap_blks_vacuumed", "heap_blks_total", "blocks"),
        _Counter("", "indexes_processed", "indexes_total", "indexes"),  # from 17 on
    ),
    "cluster": (
        _Counter("seq scanning heap", "heap_blks_scanned", "heap_blks_total", "blocks"),
        _Counter("index scanning heap", "heap_tuples_scanned", None, "tuples"),
        _Counter(
            "writing new heap", "heap_tuples_written", "heap_tuples_scanned", "tuples"
        ),
    ),
    "copy": (
        _Counter("", "bytes_processed", "bytes_total", "bytes"),
        _Counter("", "tuples_processed", None, "rows"),
    ),
    "analyze": (
        _Counter("acquiring", "sample_blks_scanned", "sample_blks_total", "blocks"),
    ),
}
"""By the name of the view; the first one that applies counts."""


def read_progress(answer: Mapping[str, Any] | None) -> StatementProgress | None:
    """Return the progress in the answer to PROGRESS; None if no view has a row."""
    if answer is None:
        return None
    row = answer["row"]
    phase = row.get("phase")
    done = total = unit = None
    for counter in _COUNTERS[answer["view"]]:
        count = row.get(counter.total) if counter.total else None
        if (phase or "").startswith(counter.phase) and (
            counter.phase or counter.total is None or count
        ):
            done, total, unit = row.get(counter.done), count or None, counter.unit
            break
    return StatementProgress(
        answer["command"], answer["relation"], phase, done, total, unit
    )

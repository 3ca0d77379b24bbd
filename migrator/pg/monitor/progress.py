"""
The progress of a statement, from PostgreSQL's `pg_stat_progress_*` views.

Their columns differ between server versions, so rows are read as JSON and missing
columns count as NULL.
"""

from collections.abc import Callable, Mapping
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


ViewRow = Mapping[str, Any]
CountColumns = tuple[str, str | None, str]
"""The columns with the units done and the total, and the name of the unit."""


def read_progress(answer: Mapping[str, Any] | None) -> StatementProgress | None:
    """Return the progress in the answer to PROGRESS; None if no view has a row."""
    if answer is None:
        return None
    row = answer["row"]
    phase = row.get("phase")
    columns = _COLUMNS[answer["view"]](row, phase or "")
    return StatementProgress(
        answer["command"], answer["relation"], phase, *_read_counts(row, columns)
    )


def _read_counts(
    row: ViewRow, columns: CountColumns | None
) -> tuple[int | None, int | None, str | None]:
    if columns is None:
        return None, None, None
    done, total, unit = columns
    return row.get(done), (row.get(total) or None) if total else None, unit


def _create_index(row: ViewRow, phase: str) -> CountColumns | None:
    if phase.startswith("waiting"):
        return "lockers_done", "lockers_total", "sessions"
    if row.get("partitions_total"):
        return "partitions_done", "partitions_total", "partitions"
    if row.get("blocks_total"):
        return "blocks_done", "blocks_total", "blocks"
    if row.get("tuples_total"):
        return "tuples_done", "tuples_total", "tuples"
    return None


def _vacuum(row: ViewRow, phase: str) -> CountColumns | None:
    if phase == "scanning heap":
        return "heap_blks_scanned", "heap_blks_total", "blocks"
    if phase == "vacuuming heap":
        return "heap_blks_vacuumed", "heap_blks_total", "blocks"
    # from PostgreSQL 17 on
    if row.get("indexes_total"):
        return "indexes_processed", "indexes_total", "indexes"
    return None


def _cluster(row: ViewRow, phase: str) -> CountColumns | None:
    if phase == "seq scanning heap":
        return "heap_blks_scanned", "heap_blks_total", "blocks"
    if phase == "index scanning heap":
        return "heap_tuples_scanned", None, "tuples"
    if phase == "writing new heap":
        return "heap_tuples_written", "heap_tuples_scanned", "tuples"
    return None


def _copy(row: ViewRow, phase: str) -> CountColumns | None:
    if row.get("bytes_total"):
        return "bytes_processed", "bytes_total", "bytes"
    return "tuples_processed", None, "rows"


def _analyze(row: ViewRow, phase: str) -> CountColumns | None:
    if phase.startswith("acquiring"):
        return "sample_blks_scanned", "sample_blks_total", "blocks"
    return None


_COLUMNS: Mapping[str, Callable[[ViewRow, str], CountColumns | None]] = {
    "create_index": _create_index,
    "vacuum": _vacuum,
    "cluster": _cluster,
    "copy": _copy,
    "analyze": _analyze,
}

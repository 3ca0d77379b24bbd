"""Figures to Markdown tables, with the limits that ours has to keep."""

from collections.abc import Iterable
from dataclasses import dataclass

from tests.benchmarks.measure import Cost


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that ours may take, as a multiple of what another takes."""

    ratio: float
    to: str = "goose"

    def __str__(self) -> str:
        return f"≤ {self.ratio:g} x {self.to}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """What one program took for one case: medians."""

    case: str
    rtt_ms: float
    program: str
    runs: int
    cost: Cost
    ratios: tuple[tuple[str, float], ...] = ()
    """Its time as a multiple of others' times."""

    limits: tuple[Limit, ...] = ()
    """Those that can be judged, because the other one ran too."""

    @property
    def kept(self) -> bool:
        """Whether all limits are."""
        ratios = dict(self.ratios)
        return all(ratios[limit.to] <= limit.ratio for limit in self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Any other number."""

    name: str
    program: str
    value: float
    unit: str
    limit: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is at most its limit."""
        return self.limit is None or self.value <= self.limit


def times(rows: Iterable[Timed]) -> str:
    """Return the table of times."""
    head = (
        "case",
        "RTT",
        "program",
        "runs",
        "time",
        "CPU",
        "peak",
        "ratio",
        "limit",
        "kept",
    )
    return _markdown(
        head,
        (
            (
                row.case,
                f"{row.rtt_ms:g} ms",
                row.program,
                str(row.runs),
                f"{row.cost.wall_s:.3f} s",
                f"{row.cost.cpu_s:.3f} s",
                f"{row.cost.peak_mb:.0f} MB",
                ", ".join(f"{ratio:.3g} x {to}" for to, ratio in row.ratios),
                ", ".join(map(str, row.limits)),
                _verdict(row.kept) if row.limits else "",
            )
            for row in rows
        ),
    )


def figures(rows: Iterable[Figure]) -> str:
    """Return the table of all other figures."""
    head = ("figure", "program", "value", "limit", "kept", "note")
    return _markdown(
        head,
        (
            (
                row.name,
                row.program,
                f"{row.value:.4g} {row.unit}".strip(),
                "" if row.limit is None else f"≤ {row.limit:g} {row.unit}".strip(),
                "" if row.limit is None else _verdict(row.kept),
                row.note,
            )
            for row in rows
        ),
    )


def _verdict(kept: bool) -> str:  # noqa: FBT001 - it is what is said
    return "yes" if kept else "**no**"


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

"""The cases that are timed beside the other programs, and the limits of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from tests.benchmarks.bench import Bench, Run
from tests.benchmarks.measure import Cost, measured, medians
from tests.benchmarks.programs import Make, Program
from tests.benchmarks.table import Limit, Timed
from tests.benchmarks.work import Work, inserts, tables


class Action(Enum):
    """What a run does."""

    MIGRATE = "apply all files to an empty database"
    REPEAT = "the same again, when there is nothing left to do"
    STATUS = "ask what is applied"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that is done, over several distances."""

    title: str
    work: Work
    action: Action
    limits: Mapping[float, tuple[Limit, ...]]
    """By round-trip time in milliseconds; these distances are measured by default."""


CASES = {
    "migrations": Case(
        "100 migrations",
        tables(100),
        Action.MIGRATE,
        {0: (Limit(1.2),), 1: (Limit(0.7),), 10: (Limit(0.22),), 50: (Limit(0.07),)},
    ),
    "many": Case(
        "1,000 migrations",
        tables(1000),
        Action.MIGRATE,
        {0: (Limit(0.75),), 10: (Limit(0.14),)},
    ),
    "inserts": Case(
        "20,000 INSERTs",
        inserts(20_000),
        Action.MIGRATE,
        {
            0: (Limit(0.22), Limit(2.2, "dbmate")),
            10: (Limit(0.01), Limit(2.2, "dbmate")),
        },
    ),
    "noop": Case(
        "nothing to do",
        tables(100),
        Action.REPEAT,
        {0: (), 50: (Limit(1.35),)},
    ),
    "status": Case(
        "status of 100",
        tables(100),
        Action.STATUS,
        {0: (), 50: (Limit(0.13),)},
    ),
}


def timed(bench: Bench, case: Case, rtt_ms: float) -> list[Timed]:
    """Run a case at one distance and return a row for each program."""
    runs = {
        program.name: _ready(bench, case, program, rtt_ms)
        for program in bench.programs
        if _made(case, program)
    }
    costs = bench.rounds(f"{case.title}, {rtt_ms:g} ms", runs)
    return judged(case, rtt_ms, costs)


def judged(case: Case, rtt_ms: float, costs: Mapping[str, list[Cost]]) -> list[Timed]:
    """Return the medians, compared with what the limits speak of."""
    found = {name: medians(each) for name, each in costs.items()}
    limits = case.limits.get(rtt_ms, ())
    others = dict.fromkeys(("goose", *(limit.to for limit in limits)))
    return [
        Timed(
            case=case.title,
            rtt_ms=rtt_ms,
            program=name,
            runs=len(costs[name]),
            cost=cost,
            ratios=tuple(
                (other, cost.wall_s / found[other].wall_s)
                for other in others
                if other in found
                and other != name
                and (name == "ours" or other == "goose")
            ),
            limits=tuple(
                limit for limit in limits if name == "ours" and limit.to in found
            ),
        )
        for name, cost in found.items()
    ]


def _made(case: Case, program: Program) -> Make | None:
    """The command of a case; none where psql, which keeps no account, cannot do it."""
    match case.action:
        case Action.MIGRATE:
            return program.up
        case Action.REPEAT:
            return program.up if program.status else None
        case Action.STATUS:
            return program.status


def _ready(bench: Bench, case: Case, program: Program, rtt_ms: float) -> Run:
    make, folder = _made(case, program), bench.files(case.work, program)
    assert make is not None

    def once(database: str) -> Cost:
        return measured(make(bench.url(database, rtt_ms), folder))

    if case.action is Action.MIGRATE:
        return lambda: once(bench.server.database())
    database = bench.applied(case.work, program)
    return lambda: once(database)

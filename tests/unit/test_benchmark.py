"""The benchmark's pure parts: the same work for all, medians, limits, tables."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from migrator.domain.model import Split
from migrator.source.load import load
from tests.benchmarks.cases import CASES, Action, Case, judged
from tests.benchmarks.measure import Cost, medians
from tests.benchmarks.options import PARTS, parsed
from tests.benchmarks.table import Figure, Limit, Timed, figures, times
from tests.benchmarks.work import (
    Dialect,
    Work,
    inserts,
    large_copy,
    large_inserts,
    tables,
    write_large,
)


def cost(seconds: float) -> Cost:
    """A run that takes so long and little else."""
    return Cost(seconds, 0.25, 20.4)


def up(text: str, dialect: Dialect) -> str:
    """What a file says is to be done, without the tool's own words."""
    begin, end = {
        Dialect.GOOSE: ("-- +goose Up", "-- +goose Down"),
        Dialect.DBMATE: ("-- migrate:up", "-- migrate:down"),
        Dialect.PSQL: ("BEGIN;", "COMMIT;"),
        Dialect.MESSAGE: ("BEGIN\\;", "COMMIT;"),
    }[dialect]
    own = text.partition(f"{begin}\n")[2].partition(end)[0].strip()
    return own.replace("\\;", ";") if dialect is Dialect.MESSAGE else own


@pytest.mark.parametrize("work", [tables(3), inserts(5)], ids=lambda work: work.name)
def test_each_tool_gets_the_same_sql(work: Work, tmp_path: Path) -> None:
    """What differs between the formats is annotations and names of folders only."""
    folders = {each: work.write(tmp_path / each.value, each) for each in Dialect}
    found = {
        dialect: [
            (path.name, up(path.read_text(), dialect)) for path in sorted(it.iterdir())
        ]
        for dialect, it in folders.items()
    }
    expected = [(f"{c.name}.sql", "\n\n".join(c.up)) for c in work.changes]

    assert found == dict.fromkeys(Dialect, expected)


def test_a_migration_has_three_statements(tmp_path: Path) -> None:
    """Our own splitter finds what the work says it holds, and its way back."""
    folder = tables(2).write(tmp_path / "work", Dialect.GOOSE)

    found = load(folder, split=Split.GOOSE, environ={})

    assert [len(each.up.statements) for each in found.migrations] == [3, 3]
    assert [len(each.down.statements) for each in found.migrations] == [1, 1]
    assert not found.all_faults


@pytest.mark.parametrize("make", [large_inserts, large_copy])
def test_large_files(make: Callable[[float], Iterator[str]], tmp_path: Path) -> None:
    """A large file has the size that was asked for, but for a row, and no fault."""
    folder = write_large(tmp_path / "large", make, 0.01)
    (path,) = folder.iterdir()
    text = path.read_text()

    found = load(folder, split=Split.GOOSE, environ={})

    assert 10_000 <= len(text) < 10_300
    assert not found.all_faults
    assert len(found.migrations[0].up.statements) == len(
        re.findall("^(?:CREATE|INSERT|COPY) ", text, re.MULTILINE)
    )


def test_medians_are_taken_figure_by_figure() -> None:
    """One slow run moves nothing."""
    costs = [Cost(1, 5, 30), Cost(9, 4, 20), Cost(2, 6, 10)]

    assert medians(costs) == Cost(2, 5, 20)


def test_ours_is_judged_by_the_others() -> None:
    """Ratios are those of the medians; the others are compared with goose only."""
    limits = (Limit(0.5), Limit(2.2, "dbmate"))
    case = Case("work", tables(1), Action.MIGRATE, {10: limits})
    costs = {
        "ours": [cost(3), cost(1), cost(2)],
        "goose": [cost(8)],
        "dbmate": [cost(1)],
    }

    found = judged(case, 10, costs)

    assert [(row.program, row.runs, row.cost) for row in found] == [
        ("ours", 3, cost(2)),
        ("goose", 1, cost(8)),
        ("dbmate", 1, cost(1)),
    ]
    assert [row.ratios for row in found] == [
        (("goose", 0.25), ("dbmate", 2)),
        (),
        (("goose", 0.125),),
    ]
    assert [row.limits for row in found] == [limits, (), ()]
    assert [row.kept for row in found] == [True, True, True]


def test_a_limit_needs_the_other_program() -> None:
    """Without goose its limit is not judged, and elsewhere there is none."""
    case = Case("work", tables(1), Action.MIGRATE, {10: (Limit(0.5),)})
    alone = judged(case, 10, {"ours": [cost(1)]})
    elsewhere = judged(case, 7, {"ours": [cost(1)], "goose": [cost(1)]})

    assert [row.limits for row in (*alone, *elsewhere)] == [(), (), ()]


def test_the_table_of_times() -> None:
    """A row says what was measured, its limits, and whether they are kept."""
    rows = [
        Timed(
            case="100 migrations",
            rtt_ms=0.5,
            program="ours",
            runs=5,
            cost=cost(1.5),
            ratios=(("goose", 0.75),),
            limits=(Limit(0.7),),
        ),
        Timed(case="100 migrations", rtt_ms=0.5, program="goose", runs=1, cost=cost(2)),
    ]

    assert times(rows) == (
        "| case | RTT | program | runs | time | CPU | peak | ratio | limit | kept |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| 100 migrations | 0.5 ms | ours | 5 | 1.500 s | 0.250 s | 20 MB |"
        " 0.75 x goose | ≤ 0.7 x goose | **no** |\n"
        "| 100 migrations | 0.5 ms | goose | 1 | 2.000 s | 0.250 s | 20 MB |  |  |  |"
    )


def test_the_table_of_figures() -> None:
    """A figure without a limit has no verdict."""
    rows = [
        Figure(name="peak", program="ours", value=99.9, unit="MB", limit=100, note="n"),
        Figure(name="round trips", program="goose", value=614, unit=""),
    ]

    assert figures(rows) == (
        "| figure | program | value | limit | kept | note |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| peak | ours | 99.9 MB | ≤ 100 MB | yes | n |\n"
        "| round trips | goose | 614 |  |  |  |"
    )


def test_everything_is_run_by_default() -> None:
    """Without options all parts run, each at the distances that it has limits for."""
    found = parsed([])

    assert found.only == PARTS
    assert found.delays == ()


def test_a_part_is_run_at_given_distances() -> None:
    """Parts and distances are lists with commas."""
    found = parsed(["--only", "migrations,wire", "--delays", "0,0.5"])

    assert (found.only, found.delays) == (("migrations", "wire"), (0, 0.5))


@pytest.mark.parametrize(
    "option", ["--only=migration", "--programs=tern", "--delays=x"]
)
def test_unknown_names_are_refused(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt option ends the benchmark before anything is started."""
    with pytest.raises(SystemExit) as ended:
        parsed([option])

    assert ended.value.code == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_the_readme_explains_each_part() -> None:
    """The benchmark's README has a row for each part that can be chosen."""
    readme = Path(__file__).parents[1] / "benchmarks" / "README.md"
    named = re.findall(r"^\| `(\w+)` \|", readme.read_text(), re.MULTILINE)

    assert tuple(named) == PARTS
    assert set(CASES) < set(PARTS)

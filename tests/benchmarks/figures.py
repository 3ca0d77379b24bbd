"""What is measured of ours alone: CPU, memory, loading, round trips on the wire."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.benchmarks.bench import Bench, Patience, tell
from tests.benchmarks.measure import Cost, measured, medians
from tests.benchmarks.programs import Make, Program
from tests.benchmarks.table import Figure
from tests.benchmarks.work import (
    Dialect,
    large_copy,
    large_inserts,
    tables,
    write_large,
)
from tests.helpers.round_trips import count_round_trips


_REFERENCE = Path(__file__).parent / "reference.py"
_CPU_ROUNDS = 60
_SMALL_FILES = 5000
_LOGIN = 4
"""Round trips of a login with SCRAM: the TCP handshake, the start, two of SCRAM."""

_TRIPS = {"100 migrations": _LOGIN + 10, "nothing to do": _LOGIN + 1}
"""The most that ours may make."""


def cpu(bench: Bench, size_mb: float) -> Iterator[Figure]:
    """Compare the CPU of a run with nothing to do with that of a reference script."""
    ours = _ours(bench)
    script = Path(shutil.copy(_REFERENCE, bench.folder))
    patient = replace(bench, patience=Patience(_CPU_ROUNDS, float("inf")))
    database = bench.applied(tables(100), ours)
    url, folder = bench.url(database, 0), bench.files(tables(100), ours)
    reference = bench.python.command(
        bench.python.seen(script), environ={"MIGRATOR_DATABASE_URL": url}
    )
    costs = patient.rounds(
        "CPU of nothing to do",
        {
            "ours": lambda: measured(ours.up(url, folder)),
            "reference": lambda: measured(reference),
        },
    )
    found = {name: medians(each).cpu_s for name, each in costs.items()}
    yield Figure(
        name="CPU of nothing to do",
        program="ours",
        value=found["ours"] / found["reference"],
        unit="x reference.py",
        limit=0.7,
        note=f"{found['ours']:.3f} s and {found['reference']:.3f} s",
    )


def memory(bench: Bench, size_mb: float) -> Iterator[Figure]:
    """Measure the peak while one large file of INSERTs, then one COPY, is applied."""
    for name, make in (("INSERTs", large_inserts), ("one COPY", large_copy)):
        tell(f"memory: {size_mb:g} MB of {name}")
        cost = _large(bench, make, size_mb)
        yield Figure(
            name=f"peak of {size_mb:g} MB of {name}",
            program="ours",
            value=cost.peak_mb,
            unit="MB",
            limit=100,
            note=f"{cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s",
        )


def loading(bench: Bench, size_mb: float) -> Iterator[Figure]:
    """Measure how long many small files take to load: `validate`, less that of one."""
    runs = {count: _validating(bench, count) for count in (1, _SMALL_FILES)}
    costs = bench.rounds("loading", {f"{n} files": run for n, run in runs.items()})
    one, many = (medians(each) for each in costs.values())
    yield Figure(
        name=f"loading of {_SMALL_FILES:,} small files",
        program="ours",
        value=many.wall_s - one.wall_s,
        unit="s",
        limit=1,
        note=f"peak {many.peak_mb:.0f} MB",
    )


def wire(bench: Bench, size_mb: float) -> Iterator[Figure]:
    """Count the round trips of each program on one database."""
    for program in bench.programs:
        database = bench.server.database()
        yield _trips(bench, program, "100 migrations", program.up, database)
        if program.status:
            yield _trips(bench, program, "nothing to do", program.up, database)
            yield _trips(bench, program, "status of 100", program.status, database)


FIGURES: Mapping[str, Callable[[Bench, float], Iterator[Figure]]] = {
    "cpu": cpu,
    "memory": memory,
    "loading": loading,
    "wire": wire,
}
"""By the names on the command line; each is given the size of large files."""


def _ours(bench: Bench) -> Program:
    return next(program for program in bench.programs if program.name == "ours")


def _large(
    bench: Bench, make: Callable[[float], Iterator[str]], size_mb: float
) -> Cost:
    folder = write_large(bench.folder / make.__name__, make, size_mb)
    try:
        url = bench.url(bench.server.database(), 0)
        return measured(_ours(bench).up(url, folder))
    finally:
        shutil.rmtree(folder)


def _validating(bench: Bench, count: int) -> Callable[[], Cost]:
    folder = tables(count).write(bench.folder / f"small-{count}", Dialect.GOOSE)
    python = bench.python
    environ = {"MIGRATOR_MIGRATIONS_DIR": python.seen(folder)}
    command = python.command(python.entrypoint, "validate", environ=environ)
    return lambda: measured(command)


def _trips(
    bench: Bench, program: Program, action: str, make: Make, database: str
) -> Figure:
    tell(f"round trips: {action}, {program.name}")
    with count_round_trips(bench.url(database, 0), quiet_s=0.01) as (dsn, found):
        port = int(str(conninfo_to_dict(dsn)["port"]))
        url = bench.server.url(database, port)
        measured(make(url, bench.files(tables(100), program)))
    return Figure(
        name=f"round trips: {action}",
        program=program.name,
        value=found.round_trips,
        unit="",
        limit=_TRIPS.get(action) if program.name == "ours" else None,
        note=f"connections: {' + '.join(map(str, found.connections))}",
    )

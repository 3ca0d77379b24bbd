"""goose, we, and both in turns leave the same database behind."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import unified_diff
from itertools import cycle
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.compat.program import Place, Program, Snapshot, ours, snapshot
from tests.compat.scenarios import SCENARIOS, Call, Scenario
from tests.conftest import with_database


@dataclass(frozen=True, slots=True)
class Reference:
    """A scenario, and what came of each of its calls with goose alone."""

    scenario: Scenario
    outcomes: tuple[bool, ...]
    snapshots: tuple[Snapshot, ...]


@pytest.fixture(scope="session", params=SCENARIOS)
def reference(
    request: pytest.FixtureRequest,
    server: str,
    template: str,
    goose_command: Program,
    tmp_path_factory: pytest.TempPathFactory,
) -> Reference:
    """Play a scenario with goose alone."""
    scenario = SCENARIOS[request.param]
    with _database(server, template) as dsn:
        place = _prepared(scenario, dsn, tmp_path_factory.mktemp("m"))
        played = [_play(goose_command, place, call) for call in scenario.calls]
    return Reference(
        scenario,
        tuple(succeeded for succeeded, _ in played),
        tuple(after for _, after in played),
    )


@pytest.fixture(params=["ours", "ours-then-goose", "goose-then-ours"])
def turns(request: pytest.FixtureRequest, goose_command: Program) -> list[Program]:
    """Who runs the calls, over and over."""
    programs = {"ours": ours, "goose": goose_command}
    return [programs[name] for name in request.param.split("-then-")]


def test_the_programs_can_be_swapped(
    reference: Reference, turns: list[Program], database: str, tmp_path: Path
) -> None:
    """
    Each call succeeds or fails with either program, and leaves the same behind: rows,
    schema, data, sequences. Where we are lenient, goose fails without a change.
    """
    scenario = reference.scenario
    place = _prepared(scenario, database, tmp_path)
    turn = list(zip(scenario.calls, cycle(turns), strict=False))

    played = [_play(program, place, call) for call, program in turn]

    expected = [
        succeeded or (bool(call.lenient) and program is ours)
        for succeeded, (call, program) in zip(reference.outcomes, turn, strict=True)
    ]
    assert [succeeded for succeeded, _ in played] == expected
    assert [s.rows for _, s in played] == [s.rows for s in reference.snapshots]
    assert _differences(reference.snapshots, [s for _, s in played]) == []


def test_the_answers_are_the_same(
    reference: Reference, goose_command: Program, database: str, tmp_path: Path
) -> None:
    """`version` and `status` of both say the same of what we leave behind."""
    place = _prepared(reference.scenario, database, tmp_path)
    for call in reference.scenario.calls:
        _play(ours, place, call)

    mine = [ours(place, command) for command in ("version", "status")]
    theirs = [goose_command(place, command) for command in ("version", "status")]

    told = [(a.version, a.applied, a.pending) for a in mine]
    assert [
        (a.version, a.applied, a.pending) if a.succeeded else mended
        for a, mended in zip(theirs, told, strict=True)
    ] == told


def test_goose_fails_where_we_are_lenient(reference: Reference) -> None:
    """What a scenario names as our leniency is one: goose fails there."""
    lenient = [bool(call.lenient) for call in reference.scenario.calls]
    failed = [not succeeded for succeeded in reference.outcomes]

    assert [a for a, b in zip(failed, lenient, strict=True) if b] == [True] * sum(lenient)


def _prepared(scenario: Scenario, dsn: str, directory: Path) -> Place:
    if scenario.before:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(scenario.before.encode())
    place = Place(
        dsn=make_conninfo(dsn, options=scenario.options) if scenario.options else dsn,
        directory=directory,
        table=scenario.table,
        environ=scenario.environ,
    )
    _write(directory, scenario.files)
    return place


def _play(program: Program, place: Place, call: Call) -> tuple[bool, Snapshot]:
    _write(place.directory, call.add)
    succeeded = program(place, *call.argv).succeeded
    return succeeded, snapshot(place)


def _differences(
    expected: Sequence[Snapshot], found: Sequence[Snapshot]
) -> list[tuple[str, ...]]:
    """Return what differs in the first pair of dumps that does."""
    for theirs, mine in zip(expected, found, strict=True):
        lines = unified_diff(theirs.dump.splitlines(), mine.dump.splitlines(), n=1)
        if told := tuple(lines):
            return [told]
    return []


def _write(directory: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (directory / name).write_bytes(content.encode())


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"{template}_swap"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield with_database(server, name)
        finally:
            conn.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())

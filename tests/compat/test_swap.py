"""goose, we, and both in turns leave the same database behind."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import unified_diff
from itertools import cycle
from pathlib import Path

import pytest

from tests.compat.conftest import Databases
from tests.compat.program import Place, Program, Snapshot, ours, snapshot
from tests.compat.scenario import Call, Scenario, prepared, written
from tests.compat.scenarios import SCENARIOS


pytestmark = pytest.mark.usefixtures("both_ways")


@dataclass(frozen=True, slots=True)
class Reference:
    """A scenario, and what came of each of its calls with goose alone."""

    scenario: Scenario
    outcomes: tuple[bool, ...]
    snapshots: tuple[Snapshot, ...]


@pytest.fixture(scope="session", params=SCENARIOS)
def reference(
    request: pytest.FixtureRequest,
    databases: Databases,
    goose_command: Program,
    tmp_path_factory: pytest.TempPathFactory,
) -> Reference:
    """Play a scenario with goose alone."""
    scenario = SCENARIOS[request.param]
    with databases() as dsn:
        place = prepared(scenario, dsn, tmp_path_factory.mktemp("m"))
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
    reference: Reference,
    turns: list[Program],
    goose_command: Program,
    database: str,
    tmp_path: Path,
) -> None:
    """
    Each call succeeds or fails with either program, and leaves the same behind: rows,
    schema, data, sequences. Where we are lenient, goose fails without a change.
    In the end `version` and `status` of both answer alike, unless goose cannot.
    """
    scenario = reference.scenario
    place = prepared(scenario, database, tmp_path)
    turn = list(zip(scenario.calls, cycle(turns), strict=False))

    played = [_play(program, place, call) for call, program in turn]
    mine, theirs = _answer(ours, place), _answer(goose_command, place)

    expected = [
        succeeded or (bool(call.lenient) and program is ours)
        for succeeded, (call, program) in zip(reference.outcomes, turn, strict=True)
    ]
    assert [succeeded for succeeded, _ in played] == expected
    assert [s.rows for _, s in played] == [s.rows for s in reference.snapshots]
    assert _differences(reference.snapshots, [s for _, s in played]) == []
    assert theirs in (mine, None)


def test_goose_fails_where_we_are_lenient(reference: Reference) -> None:
    """What a scenario names as our leniency is one: goose fails there."""
    calls = zip(reference.scenario.calls, reference.outcomes, strict=True)

    succeeded = [call.argv for call, succeeded in calls if call.lenient and succeeded]

    assert succeeded == []


def _answer(program: Program, place: Place) -> tuple[object, ...] | None:
    version, status = program(place, "version"), program(place, "status")
    if not version.succeeded:
        return None
    return (version.version, status.applied, status.pending)


def _play(program: Program, place: Place, call: Call) -> tuple[bool, Snapshot]:
    written(place.directory, call.add)
    succeeded = program(place, *call.argv).succeeded
    return succeeded, snapshot(place)


def _differences(
    expected: Sequence[Snapshot], found: Sequence[Snapshot]
) -> list[tuple[str, ...]]:
    """Return what differs in the first pair of dumps that does."""
    for theirs, mine in zip(expected, found, strict=True):
        lines = unified_diff(theirs.dump.splitlines(), mine.dump.splitlines(), n=1)
        if differing := tuple(lines):
            return [differing]
    return []

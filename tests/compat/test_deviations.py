"""Where we leave goose's path on purpose: what both do, side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.compat.conftest import Databases
from tests.compat.program import Program, Rows, ours, recorded
from tests.compat.scenario import LEGACY, Scenario, both, prepared, tables


@dataclass(frozen=True, slots=True)
class Deviation:
    """A command, and what comes of it: success, and the rows."""

    reason: str
    line: str
    files: Mapping[str, str]
    goose: tuple[bool, Rows]
    ours: tuple[bool, Rows]
    before: str = ""


def applied(*versions: int) -> Rows:
    """Return the rows of applied versions."""
    return tuple((version, True) for version in (0, *versions))


_ABC = tables("a", "b", "c")
_GAP = {name: sql for name, sql in _ABC.items() if "b" not in name}
_UNKNOWN = (
    LEGACY
    + """
INSERT INTO goose_db_version (version_id, is_applied) VALUES (2, true), (3, true);
CREATE TABLE c ();
"""
)
DEVIATIONS: Mapping[str, Deviation] = {
    "nothing-below-the-target": Deviation(
        "a target below all files leaves nothing to do",
        "up-to 4",
        {"5_a.sql": both("SELECT 1;")},
        goose=(False, None),
        ours=(True, None),
    ),
    "down-past-a-lost-file": Deviation(
        "a migration that cannot be rolled back stops the run before it begins",
        "down-to 0",
        _GAP,
        before=_UNKNOWN,
        goose=(False, applied(1, 2)),
        ours=(False, applied(1, 2, 3)),
    ),
    "down-to-a-lost-file": Deviation(
        "a version that stays needs no file",
        "down-to 3",
        {"1_a.sql": both("SELECT 1;")},
        before=_UNKNOWN,
        goose=(False, applied(1, 2, 3)),
        ours=(True, applied(1, 2, 3)),
    ),
    "broken-file-behind-a-good-one": Deviation(
        "every file is parsed before the first one runs",
        "up",
        {**_ABC, "00004_x.sql": both("SELECT 1")},
        goose=(False, applied(1, 2, 3)),
        ours=(False, None),
    ),
    "search-path-of-a-file": Deviation(
        "no file can hide the tracking table",
        "up",
        {"1_a.sql": both("CREATE SCHEMA s;\nSET LOCAL search_path = s;")},
        goose=(False, applied()),
        ours=(True, applied(1)),
    ),
    "own-transaction-without-ours": Deviation(
        "a BEGIN of a NO TRANSACTION file holds; goose's pool closes its connection",
        "up",
        {
            "1_a.sql": "-- +goose NO TRANSACTION\n"
            + both("CREATE TABLE a ();\nBEGIN;\nLOCK TABLE a;\nCOMMIT;")
        },
        goose=(False, applied()),
        ours=(True, applied(1)),
    ),
    "a-word-too-many": Deviation(
        "an argument that a command would ignore is an error",
        "up 1",
        _ABC,
        goose=(True, applied(1, 2, 3)),
        ours=(False, None),
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_deviation_from_goose_has_both_outcomes(
    name: str, goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """Both outcomes are as described; the reason stands beside them."""
    deviation = DEVIATIONS[name]
    scenario = Scenario(files=deviation.files, calls=(), before=deviation.before)
    found = []
    for program in (goose_command, ours):
        with databases() as dsn:
            place = prepared(scenario, dsn, tmp_path)
            succeeded = program(place, *deviation.line.split()).succeeded
            found.append((succeeded, recorded(place)))

    assert found == [deviation.goose, deviation.ours]

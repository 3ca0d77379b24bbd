"""Tables as old gooses and accidents left them are read as goose reads them."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compat.conftest import Databases
from tests.compat.program import Answer, Place, Program, ours, recorded, snapshot
from tests.compat.scenario import Scenario, prepared, tables


_SERIAL = """
CREATE TABLE goose_db_version (
    id serial PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL,
    tstamp timestamp NULL DEFAULT now());
"""


def rows(*written: int) -> str:
    """Return a table before v3.22.0 with a row an hour; -2 is version 2 rolled back."""
    values = ", ".join(
        f"({abs(v)}, {str(v >= 0).lower()}, '2017-01-01 {hour:02d}:00')"
        for hour, v in enumerate(written)
    )
    into = f"INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES {values};"
    made = "".join(
        f"CREATE TABLE {'-abc'[v]} ();" for v in {abs(v) for v in written} - {0}
    )
    return _SERIAL + (into if written else "") + made


TABLES: Mapping[str, str] = {
    "serial": rows(0, 1, 2),
    "taken-back": rows(0, 1, 2, -2),
    "applied-again": rows(0, 1, 2, -2, 2),
    "all-taken-back": rows(0, 1, 2, -2, -1),
    "older-taken-back": rows(0, 1, 2, -1),
    "newest-taken-back": rows(0, 1, 3, -3),
    "duplicates": rows(0, 1, 1, 2, 2),
    "duplicate-of-an-older-one": rows(0, 1, 2, 1),
    "out-of-order": rows(0, 2, 1),
    "missing": rows(0, 1, 3),
    "no-row-0": rows(1, 2),
    "row-0-last": rows(1, 2, 0),
    "row-0-between": rows(0, 1, 0, 2),
    "more-columns": rows(0, 1) + "ALTER TABLE goose_db_version ADD note text;",
    "other-types": rows(0, 1)
    + "ALTER TABLE goose_db_version ALTER id TYPE bigint, ALTER version_id TYPE int,"
    " ALTER tstamp TYPE timestamptz;",
    "another-key": rows(0, 1)
    + "ALTER TABLE goose_db_version DROP CONSTRAINT goose_db_version_pkey,"
    " ADD UNIQUE (version_id);",
}
LIVES: Mapping[str, tuple[str, ...]] = {
    "up": ("version", "up", "version"),
    "up-by-one": ("up-by-one", "up-to 2", "up -allow-missing"),
    "down": ("down", "version", "down", "version"),
    "down-to": ("redo", "down-to 1", "reset", "version"),
}
NOTHING = ("no current version found", "no next version found")
"""goose fails with these where there is nothing to do, and we do not."""


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_is_read_as_goose_reads_it(
    table: str, life: str, goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """
    Each command answers alike and leaves the same rows and schema in copies of a table.

    On purpose: nothing to take back, and no next version, are no errors here.
    """
    lived = []
    for program in (goose_command, ours):
        with databases() as dsn:
            place = _place(dsn, tmp_path, TABLES[table])
            answers = [_done(program, place, line) for line in LIVES[life]]
            lived.append((answers, snapshot(place)))

    theirs, mine = lived
    assert mine == theirs


def _done(program: Program, place: Place, line: str) -> tuple[object, ...]:
    answer = program(place, *line.split())
    succeeded = answer.succeeded or any(words in answer.text for words in NOTHING)
    return (line, succeeded, answer.version or 0, recorded(place))


def test_status_shows_what_up_counts(
    goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """
    On purpose: a version with a row is applied for `status`, as it is for `up`.

    goose's status looks at the newest row only, and calls pending what its own `up`
    will never run.
    """
    theirs, mine = _both(
        goose_command, databases, tmp_path, TABLES["taken-back"], "status"
    )

    assert _listed(theirs) == (["00001_a.sql"], ["00002_b.sql", "00003_c.sql"])
    assert _listed(mine) == (["00001_a.sql", "00002_b.sql"], ["00003_c.sql"])


def test_status_reads_rows_without_a_time(
    goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """On purpose: `tstamp` was nullable once, and goose's status fails on NULL."""
    before = rows(0, 1, 2) + "UPDATE goose_db_version SET tstamp = NULL;"

    theirs, mine = _both(goose_command, databases, tmp_path, before, "status")

    assert not theirs.succeeded
    assert _listed(mine) == (["00001_a.sql", "00002_b.sql"], ["00003_c.sql"])


def test_an_empty_table_gets_its_row_0(
    goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """On purpose: goose can neither use nor repair a table without rows; `up` repairs it."""
    with databases() as dsn:
        place = _place(dsn, tmp_path, rows())
        refused = [
            goose_command(place, c).succeeded
            for c in ("version", "status", "up", "down")
        ]
        looked = [ours(place, c).succeeded for c in ("version", "status", "down")]
        untouched = recorded(place)
        applied = ours(place, "up").succeeded
        fixed = goose_command(place, "version")
        after = recorded(place)

    assert (refused, looked, applied) == ([False] * 4, [True] * 3, True)
    assert (untouched, after) == ((), ((0, True), (1, True), (2, True), (3, True)))
    assert fixed.version == 3


@pytest.mark.parametrize("command", ["version", "status", "down", "redo", "down-to 0"])
def test_commands_that_apply_nothing_create_no_table(
    command: str, goose_command: Program, databases: Databases, tmp_path: Path
) -> None:
    """On purpose: without a table, only what applies something creates it."""
    left = []
    for program in (goose_command, ours):
        with databases() as dsn:
            place = _place(dsn, tmp_path, "")
            program(place, *command.split())
            left.append(recorded(place))

    assert left == [((0, True),), None]


def _both(
    goose_command: Program,
    databases: Databases,
    directory: Path,
    before: str,
    line: str,
) -> tuple[Answer, Answer]:
    with databases() as dsn:
        place = _place(dsn, directory, before)
        return goose_command(place, *line.split()), ours(place, *line.split())


def _listed(answer: Answer) -> tuple[list[str], list[str]]:
    return list(answer.applied), list(answer.pending)


def _place(dsn: str, directory: Path, before: str) -> Place:
    return prepared(
        Scenario(files=tables("a", "b", "c"), calls=(), before=before), dsn, directory
    )

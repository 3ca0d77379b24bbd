"""The commands that read files warn of what is odd about them."""

import os
import re
import subprocess
from pathlib import Path

from tests.helpers.support import run


FORMAT = Path(__file__).parents[2] / "migrations/FORMAT.md"


def test_warnings_are_reported_of_all_files_or_of_what_is_pending(
    database: str, tmp_path: Path
) -> None:
    """`validate` tells all, `plan` and `up` what would run; each succeeds."""
    (tmp_path / "1_a.sql").write_text("-- +goose Up\n")
    (tmp_path / "2_b.sql").write_text(
        "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '$NOBODY_HAS_SET_IT';\n"
    )
    lines = ("validate", "plan", "up-to 1", "plan", "up", "up")
    results = [
        run("-dir", str(tmp_path), "postgres", database, *line.split())
        for line in lines
    ]
    warnings = [
        [(e["slug"], e["line"]) for e in result.events("file.warned")]
        for result in results
    ]
    empty, unset = ("no_statement", 1), ("variable_unset", 3)

    assert [result.exit_code for result in results] == [0] * 6
    assert warnings == [[empty, unset], [empty, unset], [empty], [unset], [unset], []]


def test_the_recipe_for_a_dump_stops_when_pg_dump_fails(tmp_path: Path) -> None:
    """Nothing is validated or recorded behind a dump that was not made."""
    recipe = re.search(
        r"```sh\n(\{ echo '-- \+goose Up'.*?)\n\n", FORMAT.read_text(), re.DOTALL
    )
    assert recipe is not None
    (tmp_path / "migrations").mkdir()
    for name, code in (("pg_dump", 1), ("migrator", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >> ran\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    done = subprocess.run(
        ["sh", "-c", recipe[1]], cwd=tmp_path, env={"PATH": path}, check=False
    )

    assert done.returncode == 1
    assert (tmp_path / "ran").read_text() == "pg_dump\n"

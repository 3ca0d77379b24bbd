"""`create` and `fix` name and fill files as goose does."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.compat.program import Place, Program, ours
from tests.helpers.support import write


NOW = re.compile(r"^20[0-9]{12}_")
MIXED = (
    "00001_a.sql",
    "7_b.sql",
    "00002_c.sql",
    "20240301000000_d.sql",
    "20240101000000_e_20240101000000.sql",
    "20230229000000_no_day.sql",
    "19691231000000_before_1970.sql",
    "19700101000000_epoch.sql",
)


def left(program: Program, directory: Path, *argv: str) -> Mapping[str, str]:
    """What a program leaves in a directory: contents by name, without today's time."""
    answer = program(Place(dsn="", directory=directory), *argv)

    assert answer.succeeded, answer.text
    return {
        NOW.sub("NOW_", path.name): path.read_text() for path in directory.iterdir()
    }


@pytest.mark.parametrize("files", [(), MIXED[:1], MIXED[:3], MIXED[3:5], MIXED])
@pytest.mark.parametrize(
    "argv",
    [("-s", "create", "Add Users", "sql"), ("create", "why?", "sql"), ("fix",)],
    ids=["create-s", "create", "fix"],
)
def test_files_are_named_and_filled_alike(
    goose_command: Program, tmp_path: Path, files: tuple[str, ...], argv: tuple[str, ...]
) -> None:  # fmt: skip
    """The same command on the same directory leaves the same files."""
    if argv == ("fix",) and not files:
        files = MIXED[:1]
    content = dict.fromkeys(files, "SELECT 1;")
    here, there = (write(tmp_path / name, content) for name in ("here", "there"))

    assert left(ours, here, *argv) == left(goose_command, there, *argv)


@pytest.mark.parametrize(
    "name",
    [
        "Add updated_at to users table",
        "$()&^%(_--crazy__--input$)",
        "addUsersTable",
        "why?",
        "why??",
        "a.b..c",
        "Ünïcödé \u03a3\u0391\u03a3 \u0130 ² ½ 漢字",
        "\u01c5 \u1e9e \u2163",
        "e\u0301",
        "a/b\tc",
    ],
)
def test_names_become_snake_case_alike(
    goose_command: Program, tmp_path: Path, name: str
) -> None:
    """Letters and digits of every script, and what stands between them."""
    here, there = (write(tmp_path / folder, {}) for folder in ("here", "there"))

    assert left(ours, here, "-s", "create", name, "sql") == left(
        goose_command, there, "-s", "create", name, "sql"
    )

"""A Python file becomes a migration, or its faults are found without running it."""

import sys
from pathlib import Path

import pytest

from migrator.domain.model import Files, Migration, Script, Section, Split
from migrator.source.load import load
from migrator.source.python_file import parse_module
from tests.helpers.support import write


UP = "def up(conn):\n    pass\n"


def parse(text: str | bytes) -> Migration:
    """A migration from the text of a module."""
    data = text if isinstance(text, bytes) else text.encode()
    return parse_module(data, version=7, path="00007_x.py", file="/m/00007_x.py")


def faults(text: str | bytes) -> list[tuple[str, int, int, str]]:
    """The faults of a module: slug, line, column, and which halves they stop."""
    made = parse(text)
    halves = {"up": made.up.faults, "down": made.down.faults}
    found = dict.fromkeys((*made.up.faults, *made.down.faults))
    return [
        (f.slug, f.line, f.column, " ".join(h for h in halves if f in halves[h]))
        for f in found
    ]


def message(text: str | bytes) -> str:
    """The only fault of a module, as text."""
    (fault,) = dict.fromkeys((*parse(text).up.faults, *parse(text).down.faults))
    return str(fault)


def loaded(directory: Path) -> Files:
    """The files of a directory."""
    return load(directory, split=Split.GOOSE, environ={})


def test_both_functions_become_scripts() -> None:
    """Each half holds the text that was read, its function, and the line of its def."""
    text = '"""Doc."""\n\ndef up(conn):\n    pass\n\ndef down(conn):\n    pass\n'

    made = parse(text)

    assert made == Migration(
        version=7,
        path="00007_x.py",
        up=Section(script=Script(text, "/m/00007_x.py", "up", 3)),
        down=Section(script=Script(text, "/m/00007_x.py", "down", 6)),
    )


def test_without_down_there_is_nothing_to_roll_back() -> None:
    """As in an SQL file without Down."""
    assert parse(UP).down == Section()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", True),
        ("TRANSACTION = True", True),
        ("TRANSACTION = False", False),
        ("TRANSACTION: bool = False", False),
        ("def helper():\n    TRANSACTION = 1", True),
    ],
)
def test_transaction(line: str, expected: bool) -> None:  # noqa: FBT001 - a table
    """It is there unless the module says otherwise, at its top level."""
    made = parse(f"{line}\n{UP}")

    assert (made.transaction, made.up.faults) == (expected, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("no_up", 0, 0, "up down")]),
        ("def down(conn): ...\n", [("no_up", 0, 0, "up down")]),
        ("def up(conn:\n", [("syntax", 1, 7, "up down")]),
        (f"x = 1\nreturn\n{UP}", [("syntax", 2, 1, "up down")]),
        (f"x = '\x00'\n{UP}", [("syntax", 0, 0, "up down")]),
        (b"# a\n# \xc3\xa4 \xff\n", [("encoding", 2, 5, "up down")]),
        (b"# coding: latin-1\n# \xe4\n", [("encoding", 2, 3, "up down")]),
        ("async def up(conn): ...\n", [("async", 1, 1, "up")]),
        ("def up(conn):\n    yield\n", [("generator", 1, 1, "up")]),
        ("def up(): ...\n", [("signature", 1, 1, "up")]),
        ("def up(conn, more): ...\n", [("signature", 1, 1, "up")]),
        ("def up(conn, more=1): ...\n", [("signature", 1, 1, "up")]),
        ("def up(*conn): ...\n", [("signature", 1, 1, "up")]),
        ("def up(conn, *, more): ...\n", [("signature", 1, 1, "up")]),
        ("def up(conn, **more): ...\n", [("signature", 1, 1, "up")]),
        (f"{UP}async def down(): ...\n", [("async", 3, 1, "down"), ("signature", 3, 1, "down")]),
        (f"{UP}{UP}", [("no_def", 1, 1, "up")]),
        ("up = print\n", [("no_def", 1, 1, "up")]),
        ("if 1:\n    def up(conn): ...\n", [("no_def", 2, 5, "up")]),
        ("class up: ...\n", [("no_def", 1, 1, "up")]),
        (f"{UP}from os import remove as down\n", [("no_def", 3, 16, "down")]),
        (f"TRANSACTION = 0\n{UP}", [("transaction", 1, 1, "up down")]),
        (f"TRANSACTION = not True\n{UP}", [("transaction", 1, 1, "up down")]),
        (f"TRANSACTION: bool\n{UP}", [("transaction", 1, 1, "up down")]),
        (f"if 1:\n    TRANSACTION = False\n{UP}", [("transaction", 2, 5, "up down")]),
        (f"'ä'; TRANSACTION = 1\n{UP}", [("transaction", 1, 6, "up down")]),
        (f"import nothing_like_it.a, os\n{UP}", [("no_module", 1, 1, "up down")]),
        (f"from nothing_like_it.a import b\n{UP}", [("no_module", 1, 1, "up down")]),
        (f"from . import helpers\n{UP}", [("relative_import", 1, 1, "up down")]),
    ],
)  # fmt: skip
def test_faults(text: str | bytes, expected: list[tuple[str, int, int, str]]) -> None:
    """Each is at its place and stops the halves that it is about."""
    assert faults(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        f"from __future__ import annotations\nimport psycopg.sql, os.path, __main__\n{UP}",
        f"try:\n    import nothing_like_it\nexcept ImportError:\n    pass\n{UP}",
        "def up(conn, /):\n    import nothing_like_it\n",
        "def up(conn):\n    def rows():\n        yield 1\n    list(rows())\n",
        "import functools\n@functools.cache\ndef up(conn): ...\n",
        f"\ufeff{UP}",
        UP.replace("\n", "\r\n"),
        UP.replace("pass", "return '\\d'"),
    ],
    ids=range(8),
)
def test_what_is_no_fault(text: str | bytes) -> None:
    """Python's own freedoms, and imports that may fail without harm."""
    assert faults(text) == []


def test_nothing_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Reading a file does not import it: not even a module that ends the process."""
    made = parse(f"print('run')\nraise SystemExit(3)\n{UP}")

    assert made.up.faults == ()
    assert capsys.readouterr().out == ""


def test_messages_have_reason_and_fix() -> None:
    """One sentence each, ending with what to do."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"

    assert [message(text) for text in ("", "import q_q\n" + UP, "def up(conn)\n")] == [
        "00007_x.py: there is no 'def up(conn)' at the top level; write one",
        (
            "00007_x.py:1:1: there is no module 'q_q' to import; install it where the"
            " migrator runs, or name its directory in PYTHONPATH"
        ),
        f"00007_x.py:1:13: this is not Python {version}: expected ':'; correct it",
    ]


def test_python_files_are_found_beside_sql(tmp_path: Path) -> None:
    """Those with a version; helpers and tests of tests are nobody's migrations."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    for name in ("00002_b.py", "helpers.py", "conftest.py", "__init__.py", "3-c.py"):
        (directory / name).write_text(UP)

    found = loaded(directory)

    assert [m.path for m in found.migrations] == ["1_a.sql", "00002_b.py"]
    assert found.all_faults == ()


def test_a_version_has_one_file(tmp_path: Path) -> None:
    """SQL and Python files share the versions."""
    directory = write(tmp_path / "m", {"00002_b.sql": "SELECT 1;"})
    (directory / "2_b.py").write_text(UP)

    (fault,) = loaded(directory).faults

    assert (fault.path, fault.slug) == ("2_b.py", "duplicate")


def test_an_extension_in_capitals_is_a_fault(tmp_path: Path) -> None:
    """A file that would be a migration is not passed over in silence."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    (directory / "2_b.PY").write_text(UP)

    (fault,) = loaded(directory).faults

    assert (fault.path, fault.slug) == ("2_b.PY", "bad_extension")


def test_an_unreadable_file_is_a_fault(tmp_path: Path) -> None:
    """As for SQL; here a folder with a migration's name."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    (directory / "2_b.py").mkdir()

    (fault,) = loaded(directory).faults

    assert (fault.path, fault.slug) == ("2_b.py", "no_file")

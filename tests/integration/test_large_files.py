"""Files that do not fit into memory, applied by a real process and in this one."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from migrator.domain.model import Down, Split, Up
from migrator.errors import FileChangedError, PartiallyAppliedError
from migrator.events.base import Event
from migrator.events.migration import StatementFinished
from migrator.source.load import load
from tests.helpers.support import ROOT, Result, environment, parsed
from tests.integration.test_runner import runner, versions


Lines = Callable[[int, int], Iterator[str]]

_MB = 1_000_000
_SIZE = 105 * _MB
_WIDTH = 50_000
_ROWS = _SIZE // _WIDTH
_UP = "-- +goose Up\nCREATE TABLE big (id int, body text);\n"
# A process that has forked counts the memory of the one it was forked from, and this
# one has more than what is measured: hence a small process in between
_MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def inserts(rows: int, width: int) -> Iterator[str]:
    """One statement for each row."""
    body = "x" * width
    for n in range(rows):
        yield f"INSERT INTO big VALUES ({n}, '{body}');\n"


def copied(rows: int, width: int) -> Iterator[str]:
    """One COPY with all rows."""
    body = "x" * width
    yield "COPY big FROM stdin;\n"
    for n in range(rows):
        yield f"{n}\t{body}\n"
    yield "\\.\n"


def mixed(rows: int, width: int) -> Iterator[str]:
    """COPY between statements."""
    yield from inserts(rows // 4, width)
    yield from copied(rows - rows // 4 * 2, width)
    yield from inserts(rows // 4, width)


def large(directory: Path, lines: Iterator[str], *, up: str = _UP) -> Path:
    """Write a migration, and return its path."""
    directory.mkdir()
    path = directory / "1_a.sql"
    with path.open("w") as file:
        file.write(up)
        file.writelines(lines)
        file.write("-- +goose Down\nDROP TABLE big;\n")
    return path


def measured(
    dsn: str, directory: Path, split: Split = Split.GOOSE, **environ: str
) -> tuple[Result, int]:
    """Run the entry point; return what it said, and its peak of memory in MB."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, sys.executable, str(ROOT / "entrypoint.py")],
        env=environment(dsn, directory, MIGRATOR_SPLIT=split.value, **environ),
        capture_output=True,
        text=True,
        check=False,
    )
    peak = int(done.stderr.split()[-1]) * (1 if sys.platform == "darwin" else 1024)
    return parsed(done.returncode, done.stdout), peak // _MB


def rows_in(conn: psycopg.Connection) -> tuple[int, int]:
    """How many rows there are, and how many different ones."""
    row = conn.execute("SELECT count(*), count(DISTINCT id) FROM big").fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("lines", "split"),
    [
        pytest.param(inserts, Split.GOOSE, id="inserts"),
        pytest.param(copied, Split.GOOSE, id="copy"),
        pytest.param(copied, Split.POSTGRES, id="copy-by-the-lexer"),
    ],
)
def test_memory_does_not_grow_with_the_file(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    lines: Lines,
    split: Split,
) -> None:
    """A file of more than 100 MB is applied within less than 100 MB."""
    path = large(tmp_path / "m", lines(_ROWS, _WIDTH))

    result, peak = measured(database, path.parent, split)

    assert path.stat().st_size > 100 * _MB > peak * _MB
    assert (result.exit_code, result.verdict["applied"]) == (0, [1])
    assert rows_in(conn)[0] == _ROWS


@pytest.mark.parametrize("split", Split)
def test_a_large_file_up_and_down(
    database: str, conn: psycopg.Connection, tmp_path: Path, split: Split
) -> None:
    """Statements run in their order, COPY gets its rows, and Down is found."""
    path = large(tmp_path / "m", mixed(4000, 1000))
    files = load(path.parent, split=split, environ={})
    runner(database).run(files, Up())
    found = rows_in(conn)
    runner(database).run(files, Down())

    assert found == (4000, 2000)
    assert conn.execute("SELECT to_regclass('big')").fetchone() == (None,)


def test_the_file_that_was_read_is_the_one_that_runs(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A mount that is swapped in between, as Kubernetes does, changes nothing."""
    path = large(tmp_path / "m", inserts(3000, 1000))
    files = load(path.parent, split=Split.GOOSE, environ={})
    path.unlink()
    path.write_text("-- +goose Up\nSELECT 1;\n")

    runner(database).run(files, Up())

    assert rows_in(conn) == (3000, 3000)


@pytest.mark.parametrize(
    "lines", [pytest.param(inserts, id="inserts"), pytest.param(copied, id="copy")]
)
def test_a_file_that_changes_is_not_recorded(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    lines: Lines,
) -> None:
    """What was sent before the change was met is rolled back."""
    path = large(tmp_path / "m", lines(3000, 1000))
    files = load(path.parent, split=Split.GOOSE, environ={})
    overwrite(path, path.stat().st_size - 1000)

    with pytest.raises(FileChangedError, match=r"1_a\.sql: the file changed"):
        runner(database).run(files, Up())

    assert conn.execute("SELECT to_regclass('big')").fetchone() == (None,)
    assert versions(conn) == [(0, True)]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        pytest.param(inserts, "what follows statement", id="inserts"),
        pytest.param(copied, "statement 2 of 2", id="copy"),
    ],
)
def test_a_file_without_a_transaction_that_changes(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    lines: Lines,
    what: str,
) -> None:
    """What ran before is committed, and the error says where to continue."""
    up = f"-- +goose NO TRANSACTION\n{_UP}"
    path = large(tmp_path / "m", lines(3000, 1000), up=up)
    files = load(path.parent, split=Split.GOOSE, environ={})

    def change(event: Event) -> None:
        if isinstance(event, StatementFinished):
            overwrite(path, path.stat().st_size - 1000)

    with pytest.raises(PartiallyAppliedError, match=f"{what}.* failed: 1_a.sql"):
        runner(database, observe=change).run(files, Up())

    assert conn.execute("SELECT to_regclass('big')").fetchone() == ("big",)
    assert versions(conn) == [(0, True)]


def overwrite(path: Path, offset: int) -> None:
    """Write a byte into the file as it is."""
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"y", offset)
    os.close(descriptor)

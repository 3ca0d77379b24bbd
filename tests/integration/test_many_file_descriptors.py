"""A process that has many files open, as a large one has that uses the library."""

import os
import resource
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from migrator import MigrationRunner
from migrator.errors import StatementFailedError
from tests.helpers.support import run, write


_FD_SETSIZE = 1024
"""What select(2) can take (sys/select.h)."""

_FILES: dict[str, str | bytes] = {
    "1_a.sql": "CREATE TABLE a ();",
    "2_b.sql": "-- +goose Up\n-- +goose NO TRANSACTION\nCREATE TABLE b ();",
    "3_c.py": b"def up(conn):\n    conn.execute('CREATE TABLE c ()')\n",
    "4_d.sql": "CREATE TABLE d (i int);\nCOPY d FROM stdin;\n1\n\\.",
    "5_e.sql": "SELECT pg_sleep(1);",
}


@pytest.fixture(autouse=True)
def _many_files() -> Iterator[None]:
    """More than that are open, so that a new one has a high number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * _FD_SETSIZE, hard))
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        while True:
            fileno = os.open(os.devnull, os.O_RDONLY)
            stack.callback(os.close, fileno)
            if fileno > _FD_SETSIZE:
                break
        yield


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("lock", ["session", "table"])
def test_descriptors_above_1023(database: str, tmp_path: Path, lock: str) -> None:
    """Whatever is waited for: answers, the lock, looks at a statement, COPY, scripts."""
    directory = write(tmp_path / "m", _FILES)

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_LOCK=lock,
        MIGRATOR_LOCK_TIMEOUT="0.5s",
    )

    assert (result.exit_code, len(result.verdict["applied"])) == (0, len(_FILES))


@pytest.mark.usefixtures("both_ways")
def test_the_library_with_descriptors_above_1023(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """It migrates, tells the state, and reports a failure, as ever."""
    directory = write(tmp_path / "m", {**_FILES, "9_z.sql": "SELECT nothing;"})

    with MigrationRunner(database, directory) as runner:
        with pytest.raises(StatementFailedError):
            runner.up()
        assert [each.state for each in runner.status()] == ["applied"] * 5 + ["pending"]
    assert conn.fileno() > _FD_SETSIZE

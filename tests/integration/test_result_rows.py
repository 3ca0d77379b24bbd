"""What a file's statements return, which nobody looks at."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import run, write
from tests.integration.test_large_files import measured


_MOST_MB = 90
_SELECT = "SELECT g, repeat('x', 100) FROM generate_series(1, 1000000) g"
_PREPARED = f"PREPARE p AS {_SELECT};\nEXECUTE p;"
_RETURNING = "INSERT INTO t SELECT * FROM generate_series(1, 1000000) RETURNING *, 'x';"
_BLOCK = f"-- +goose StatementBegin\n{_SELECT}; {_SELECT}\n-- +goose StatementEnd"


@pytest.mark.parametrize("pipeline", ["true", "false"])
@pytest.mark.parametrize("flag", ["", "-- +goose NO TRANSACTION\n"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f"{_SELECT};", id="select"),
        pytest.param(_PREPARED, id="prepared"),
        pytest.param(_RETURNING, id="returning"),
        pytest.param(_BLOCK, id="block"),
    ],
)
def test_result_rows_are_not_buffered(
    database: str,
    conn: psycopg.Connection,
    tmp_path: Path,
    body: str,
    flag: str,
    pipeline: str,
) -> None:
    """A million rows need no more memory than none, however they are asked for."""
    text = f"-- +goose Up\n{flag}CREATE TABLE t (i int);\n{body}\nCREATE TABLE u ();\n"
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result, peak = measured(database, directory, MIGRATOR_PIPELINE=pipeline)

    assert (result.exit_code, peak < _MOST_MB) == (0, True), (result.verdict, peak)
    assert conn.execute("SELECT to_regclass('u')::text").fetchone() == ("u",)


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("n", [0, 1, 32, 50])
@pytest.mark.parametrize("flag", ["", "-- +goose NO TRANSACTION\n"])
def test_an_error_behind_rows_has_its_place(
    database: str, tmp_path: Path, flag: str, n: int
) -> None:
    """Rows that came before it do not hide it; the statement's tag is as ever."""
    failing = "SELECT 1 / (500 - g) FROM generate_series(1, 1000) g;"
    text = f"-- +goose Up\n{flag}SELECT g FROM generate_series(1, {n}) g;\n{failing}\n"
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result = run(
        "-dir", str(directory), "postgres", database, "up", MIGRATOR_LOG_LEVEL="debug"
    )

    tags = [line["command"] for line in result.events("statement.finished")]
    code, line = (14, 4) if flag else (13, 3)
    assert (result.exit_code, tags) == (code, [f"SELECT {n}"])
    assert result.verdict["error"].startswith(f"1_a.sql:{line}:1: ")
    assert "division by zero (SQLSTATE 22012)" in result.verdict["error"]

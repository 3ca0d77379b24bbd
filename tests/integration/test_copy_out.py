"""COPY to and from the client, by either of its names, in a file."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import run


BLOCK = "-- +goose StatementBegin\n{}\n-- +goose StatementEnd"
OUT = "COPY (SELECT g, repeat('x', 100) FROM generate_series(1, {}) g) TO STDOUT;"


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("flag", ["", "-- +goose NO TRANSACTION\n"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("COPY t TO STDOUT;", id="alone"),
        pytest.param("copy t to stdin with (format csv);", id="other-name"),
        pytest.param(OUT.format(200_000), id="many-rows"),
        pytest.param(
            BLOCK.format("SELECT 1; COPY t TO STDOUT; COPY t TO STDOUT; SELECT 2"),
            id="block",
        ),
    ],
)
def test_rows_of_copy_to_stdout_are_discarded(
    database: str, conn: psycopg.Connection, tmp_path: Path, body: str, flag: str
) -> None:
    """What stands before and behind such a COPY takes effect; the run succeeds."""
    (tmp_path / "1_a.sql").write_text(
        f"-- +goose Up\n{flag}CREATE TABLE t AS SELECT 1 AS i;\n{body}\n"
        "INSERT INTO t VALUES (2);\n"
    )

    result = run("-dir", str(tmp_path), "postgres", database, "up")

    assert result.exit_code == 0, result.verdict
    assert conn.execute("SELECT sum(i) FROM t").fetchone() == (3,)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param("COPY (SELECT 1/0) TO STDOUT;", "2:1", id="alone"),
        pytest.param(
            OUT.format("10000") + "\nSELECT 2;\nSELECT nothing;", "4:8", id="later"
        ),
        pytest.param(
            BLOCK.format("COPY (SELECT 1) TO STDOUT;\nSELECT nothing;"),
            "4:8",
            id="block",
        ),
    ],
)
def test_errors_of_copy_to_stdout_have_their_place(
    database: str, tmp_path: Path, body: str, place: str
) -> None:
    """A failure before, in and behind the rows is one like others: 13."""
    (tmp_path / "1_a.sql").write_text(f"-- +goose Up\n{body}\n")

    result = run("-dir", str(tmp_path), "postgres", database, "up")

    assert result.exit_code == 13
    assert result.verdict["error"].startswith(f"1_a.sql:{place}: ")


@pytest.mark.parametrize("split", ["goose", "postgres"])
def test_copy_from_stdout_is_from_stdin(
    database: str, conn: psycopg.Connection, tmp_path: Path, split: str
) -> None:
    """The grammar takes either name; the rows follow the statement."""
    (tmp_path / "1_a.sql").write_text(
        "-- +goose Up\nCREATE TABLE t (i int);\nCOPY t FROM STDOUT;\n1\n2\n\\.\n"
    )

    result = run(
        "-dir", str(tmp_path), "postgres", database, "up", MIGRATOR_SPLIT=split
    )

    assert result.exit_code == 0, result.verdict
    assert conn.execute("TABLE t").fetchall() == [(1,), (2,)]

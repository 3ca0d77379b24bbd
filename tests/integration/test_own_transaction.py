"""A half that is one BEGIN … COMMIT, on a real server."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import run


_LEVEL = "INSERT INTO seen SELECT current_setting('transaction_isolation');"


@pytest.fixture
def directory(tmp_path: Path, conn: psycopg.Connection) -> Path:
    """An empty directory; the database has a table for what a file sees."""
    conn.execute("CREATE TABLE seen (level text)")
    return tmp_path


def written(directory: Path, *ups: str) -> None:
    """Write one file for each Up half."""
    for number, up in enumerate(ups, 1):
        (directory / f"{number}_a.sql").write_text(f"-- +goose Up\n{up}\n")


def up(database: str, directory: Path) -> int:
    """Run `up`; return its exit code."""
    return run("-dir", str(directory), "postgres", database, "up").exit_code


@pytest.mark.usefixtures("both_ways")
def test_own_transaction_has_what_it_asks_for(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """The isolation level of a BEGIN holds for its file, and for no other."""
    written(
        directory,
        _LEVEL,
        f"BEGIN ISOLATION LEVEL SERIALIZABLE;\n{_LEVEL}\nCOMMIT;",
        _LEVEL,
        "-- +goose StatementBegin\nBEGIN ISOLATION LEVEL REPEATABLE READ;\n"
        f"{_LEVEL}\nCOMMIT;\n-- +goose StatementEnd",
        f"BEGIN;\n{_LEVEL}\nCOMMIT;",
    )

    assert up(database, directory) == 0
    assert [level for (level,) in conn.execute("TABLE seen")] == [
        "read committed",
        "serializable",
        "read committed",
        "repeatable read",
        "read committed",
    ]


@pytest.mark.usefixtures("both_ways")
def test_own_transaction_has_the_version_row_inside(
    database: str, conn: psycopg.Connection, directory: Path
) -> None:
    """What fails, at its end too, leaves neither effects nor a version; 13."""
    written(
        directory,
        "BEGIN;\nCREATE TABLE p (i int PRIMARY KEY);\nCREATE TABLE c (i int"
        " REFERENCES p DEFERRABLE INITIALLY DEFERRED);\nCOMMIT;",
        "BEGIN;\nINSERT INTO seen VALUES ('x');\nINSERT INTO c VALUES (1);\nCOMMIT;",
    )

    result = run("-dir", str(directory), "postgres", database, "up")

    assert result.exit_code == 13
    assert result.verdict["error"].startswith("2_a.sql at COMMIT: ")
    assert conn.execute("TABLE seen").fetchall() == []
    versions = conn.execute("SELECT version_id FROM goose_db_version").fetchall()
    assert versions == [(0,), (1,)]


def test_own_transaction_keeps_the_places_of_errors(
    database: str, directory: Path
) -> None:
    """Line and column of an error are the file's, also within a block."""
    written(
        directory,
        "-- +goose StatementBegin\nBEGIN;\n  SELECT 1;\n  SELECT nothing;\nCOMMIT;\n"
        "-- +goose StatementEnd",
    )

    result = run("-dir", str(directory), "postgres", database, "up")

    assert result.verdict["error"].startswith("1_a.sql:5:10: ")

"""standard_conforming_strings in files, on a real server."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import run


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("split", ["goose", "postgres"])
@pytest.mark.parametrize("flag", ["", "-- +goose NO TRANSACTION\n"])
def test_escapes_end_with_their_file(
    database: str, conn: psycopg.Connection, tmp_path: Path, split: str, flag: str
) -> None:
    r"""`\'` is read as the server reads it, and the next file has it as text."""
    (tmp_path / "1_a.sql").write_text(
        f"-- +goose Up\n{flag}CREATE TABLE t (v text);\n"
        "SET standard_conforming_strings = off;\nSET escape_string_warning = off;\n"
        "INSERT INTO t VALUES ('it\\'s; -- x'), ('y\\\\');\n"
        "INSERT INTO t VALUES ('a\\';');\nINSERT INTO t VALUES ('b');\n"
    )
    (tmp_path / "2_b.sql").write_text("-- +goose Up\nINSERT INTO t VALUES ('c\\');\n")

    result = run(
        "-dir", str(tmp_path), "postgres", database, "up", MIGRATOR_SPLIT=split
    )

    assert result.exit_code == 0, result.verdict
    values = [value for (value,) in conn.execute("TABLE t")]
    assert values == ["it's; -- x", "y\\", "a';", "b", "c\\"]

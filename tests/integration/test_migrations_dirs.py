"""Migrations from several directories and archives, applied."""

import gzip
import io
import tarfile
from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import run, write


pytestmark = pytest.mark.usefixtures("both_ways")

SCRIPT = """\
def up(conn):
    conn.execute("INSERT INTO a VALUES (2)")
"""
ROWS = 100_000


def archive(path: Path, contents: dict[str, str]) -> Path:
    """An archive as `tar --gzip` makes it of a folder."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content.encode())
            tar.addfile(info, io.BytesIO(content.encode()))
    path.write_bytes(gzip.compress(out.getvalue()))
    return path


def test_a_directory_and_an_archive(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """They are one set: SQL and Python, small files and large ones, by version."""
    rows = "".join(f"{number}\n" for number in range(3, ROWS + 3)) * 3
    copy = f"-- +goose Up\nCOPY a FROM stdin;\n{rows}\\.\n"
    packed = archive(tmp_path / "m.tar.gz", {"2_b.py": SCRIPT, "4_d.sql": copy})
    directory = write(
        tmp_path / "m",
        {"1_a.sql": "CREATE TABLE a (n int);", "3_c.sql": "INSERT INTO a VALUES (3);"},
    )
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": f"{packed}:{directory}",
        "MIGRATOR_SPLIT": "postgres",
    }

    result = run("up", **environ)
    again = run("up", **environ)

    assert result.verdict["applied"] == [1, 2, 3, 4], result.verdict
    assert again.verdict["applied"] == []
    assert result.lines[0]["migrations_dir"] == f"{packed}:{directory}"
    assert conn.execute("SELECT count(*) FROM a").fetchone() == (ROWS * 3 + 2,)


def test_a_script_in_an_archive_that_fails(database: str, tmp_path: Path) -> None:
    """The error has its place, as for any file."""
    packed = archive(tmp_path / "m.tgz", {"1_a.py": "def up(conn):\n    1 / 0\n"})

    result = run(
        "up", MIGRATOR_DATABASE_URL=database, MIGRATOR_MIGRATIONS_DIR=str(packed)
    )

    assert result.exit_code == 13
    assert result.verdict["error"].startswith("1_a.py:2:")

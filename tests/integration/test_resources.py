"""A server that lacks disk, memory or locks, or may not write, each for real."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import psycopg
import pytest

from tests.helpers.limited_server import LimitedServer, limited_server
from tests.helpers.support import Result, run, write
from tests.image.engine import engine_answers


pytestmark = pytest.mark.usefixtures("both_ways")
_numbers = count(1)


@pytest.fixture(scope="module")
def limited() -> Iterator[LimitedServer]:
    """One such server for all tests here."""
    if not engine_answers():
        pytest.skip("no container engine answers; tests/image/machine starts one")
    with limited_server() as server:
        yield server


@pytest.fixture
def dsn(limited: LimitedServer) -> Iterator[str]:
    """An empty database there, and an empty disk."""
    name = f"little_{next(_numbers)}"
    admin = limited.dsn("postgres")
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
        yield limited.dsn(name)
        limited.empty()
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def up(dsn: str, directory: Path, *argv: str) -> Result:
    """Run `up`, or what *argv* says."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_CONNECT_WAIT="200ms",
    )


def versions(dsn: str) -> list[int]:
    """What the tracking table says."""
    with closing(psycopg.connect(dsn)) as conn:
        rows = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
        return [version for (version,) in rows]


def five(tmp_path: Path, third: str) -> Path:
    """Five migrations, of which the third one says *third*."""
    files = {f"{n}_{n}.sql": f"CREATE TABLE t{n} ();" for n in (1, 2, 4, 5)}
    return write(tmp_path / "m", {**files, "3_3.sql": third})


ROOM = "give the server more memory (for locks: max_locks_per_transaction), or let a"
FILLING = "CREATE TABLE t3 TABLESPACE small AS SELECT * FROM generate_series(1, 9999);"


def test_a_full_disk(limited: LimitedServer, dsn: str, tmp_path: Path) -> None:
    """A human has to make room: each new attempt would fill the disk once more."""
    directory = five(tmp_path, FILLING)
    limited.fill()

    result = up(dsn, directory)
    between = versions(dsn)
    limited.empty()
    again = up(dsn, directory)

    verdict = result.verdict
    assert (result.exit_code, verdict["failed"]["sqlstate"]) == (13, "53100")
    assert verdict["error"].endswith(
        "the migration was rolled back; free space on the server's disk or enlarge it,"
        " then re-run"
    )
    assert (verdict["retryable"], verdict["hint"]) == (False, "Check free disk space.")
    assert between == [0, 1, 2]
    assert (again.exit_code, versions(dsn)) == (0, [0, 1, 2, 3, 4, 5])


def test_a_full_disk_without_a_transaction(
    limited: LimitedServer, dsn: str, tmp_path: Path
) -> None:
    """What ran before is in effect and noted: with room again the run goes on there."""
    content = "CREATE TABLE first ();\nCREATE INDEX CONCURRENTLY i ON t2 ((1))"
    head = "-- +goose Up\n-- +goose NO TRANSACTION\n"
    directory = five(tmp_path, f"{head}{content} TABLESPACE small;\n")
    limited.fill()

    result = up(dsn, directory)
    between = versions(dsn)
    limited.empty()
    again = up(dsn, directory)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (14, "53100")
    assert "statement 2 of 2 of a NO TRANSACTION" in result.verdict["error"]
    assert between == [0, 1, 2]
    assert (again.exit_code, versions(dsn)) == (0, [0, 1, 2, 3, 4, 5])


def test_a_full_disk_under_the_tracking_table(
    limited: LimitedServer, dsn: str, tmp_path: Path
) -> None:
    """It is not made, and nothing is applied."""
    directory = five(tmp_path, "CREATE TABLE t3 ();")
    limited.fill()

    result = up(f"{dsn}?default_tablespace=small", directory)
    limited.empty()
    again = up(f"{dsn}?default_tablespace=small", directory)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (13, "53100")
    assert result.verdict["error"].endswith(
        "while reading or writing goose_db_version; fix what the server names and"
        " re-run"
    )
    assert (again.exit_code, versions(dsn)) == (0, [0, 1, 2, 3, 4, 5])


THOUSAND = "\n".join(f"CREATE TABLE many{n} ();" for n in range(1000))


@pytest.mark.parametrize(
    ("third", "fixed"),
    [
        pytest.param(THOUSAND, "CREATE TABLE t3 ();", id="locks for a thousand tables"),
        pytest.param(
            "SELECT length(repeat('x', 500000000));", "SELECT 1;", id="half a gigabyte"
        ),
    ],
)
def test_no_memory(dsn: str, tmp_path: Path, third: str, fixed: str) -> None:
    """Neither for a value nor for locks; the latter would hit everybody else too."""
    directory = five(tmp_path, third)

    result = up(dsn, directory)
    between = versions(dsn)
    write(directory, {"3_3.sql": fixed})
    again = up(dsn, directory)

    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (13, "53200")
    assert f"the migration was rolled back; {ROOM}" in result.verdict["error"]
    assert between == [0, 1, 2]
    assert (again.exit_code, versions(dsn)) == (0, [0, 1, 2, 3, 4, 5])


def test_a_hot_standby(limited: LimitedServer, dsn: str, tmp_path: Path) -> None:
    """It may be looked at; to migrate it waits for a failover, or for another URL."""
    directory = five(tmp_path, "CREATE TABLE t3 ();")
    standby = limited.dsn(dsn.rpartition("/")[2], standby=True)
    applied = up(dsn, directory, "up-to", "2")

    with limited.followed():
        looked = [
            up(standby, directory, *argv)
            for argv in (("version",), ("status",), ("plan",), ("up-to", "2"))
        ]
        result = up(standby, directory)
        limited.promote()
        again = up(standby, directory)

    assert [each.exit_code for each in (applied, *looked)] == [0] * 5
    assert looked[0].events("version.read")[0]["version"] == 2
    assert (result.exit_code, result.verdict["failed"]["sqlstate"]) == (20, "25006")
    assert (result.verdict["retryable"], result.verdict["applied"]) == (True, [])
    assert result.verdict["error"].endswith(
        "connect to the primary, or re-run after the failover"
    )
    assert (again.exit_code, again.verdict["applied"]) == (0, [3, 4, 5])

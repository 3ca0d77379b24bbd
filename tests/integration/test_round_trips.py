"""What a run costs over distance: round trips, counted on the wire."""

from pathlib import Path

import psycopg
import pytest

from tests.helpers.round_trips import count_round_trips
from tests.helpers.support import run, write


def connecting(database: str) -> int:
    """What it costs to connect, without asking for encryption."""
    with count_round_trips(database) as (dsn, wire):
        psycopg.connect(dsn, sslmode="disable", gssencmode="disable").close()
    return wire.round_trips


def costs(
    database: str, directory: Path, *argv: str, **environ: str
) -> tuple[int, ...]:
    """The round trips of each connection of one run, which succeeds."""
    with count_round_trips(database) as (dsn, wire):
        result = run(
            *argv,
            MIGRATOR_DATABASE_URL=f"{dsn} sslmode=disable gssencmode=disable",
            MIGRATOR_MIGRATIONS_DIR=str(directory),
            **environ,
        )
    assert result.exit_code == 0, result.verdict
    return wire.connections


@pytest.fixture
def hundred(tmp_path: Path) -> Path:
    """A hundred files of three statements each."""
    body = (
        "-- +goose Up\nCREATE TABLE t{n} (id int PRIMARY KEY);\n"
        "CREATE INDEX i{n} ON t{n} (id);\nINSERT INTO t{n} VALUES (1), (2);\n"
        "-- +goose Down\nDROP TABLE t{n};\n"
    )
    names = {f"{n:05d}_t.sql": body.replace("{n}", str(n)) for n in range(1, 101)}
    return write(tmp_path / "m", names)


def test_a_hundred_migrations_cost_connecting_and_nine(
    database: str, hundred: Path
) -> None:
    """
    On an empty database: look, lock, make the tables, one stream, unlock.

    The lock has a connection of its own: connecting costs four round trips more.
    """
    plain = connecting(database)

    assert costs(database, hundred, "up") == (plain + 3, plain + 2)


def test_a_second_tracking_table_costs_what_the_first_one_does(
    database: str, tmp_path: Path
) -> None:
    """The history is there by then, and nothing is sent that would create it again."""
    one = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    first = costs(database, one, "up")

    assert costs(database, one, "up", MIGRATOR_TABLE="other") == first


def test_nothing_to_do_costs_connecting_and_one(database: str, hundred: Path) -> None:
    """The look is all there is."""
    plain = connecting(database)
    costs(database, hundred, "up")

    assert costs(database, hundred, "up") == (plain + 1,)


@pytest.mark.parametrize("command", ["status", "version", "plan", "wait"])
def test_reading_commands_cost_connecting_and_one(
    database: str, hundred: Path, command: str
) -> None:
    """However many files there are."""
    plain = connecting(database)
    costs(database, hundred, "up")

    assert costs(database, hundred, command) == (plain + 1,)


def test_rolling_back_a_hundred_is_one_stream_too(database: str, hundred: Path) -> None:
    """Down as up: look, lock, look again, one stream, unlock."""
    plain = connecting(database)
    costs(database, hundred, "up")

    assert costs(database, hundred, "reset") == (plain + 3, plain + 2)

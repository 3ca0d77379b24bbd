"""What a failed statement means, by its SQLSTATE."""

import psycopg
import pytest
from psycopg import errors

from migrator.domain.facts import RECORDING, Place, ServerMessage
from migrator.domain.model import Statement
from migrator.errors import (
    MigratorError,
    NotRecordedError,
    OutOfResourcesError,
    StatementFailedError,
)
from migrator.exit_codes import exit_code
from migrator.pg.errors.sqlstates import is_contention
from migrator.pg.errors.translate import translate


PLACE = Place(1, "1.sql", 2, 1, 1)


def meaning(error: psycopg.Error, place: Place = PLACE) -> MigratorError:
    """What *error* of a statement means."""
    conn = psycopg.Connection.__new__(psycopg.Connection)
    return translate(error, place, Statement("SELECT 1", 2), conn, timed_out=False)


@pytest.mark.parametrize(
    ("kind", "todo"),
    [
        (errors.DiskFull, "free space on the server's disk or enlarge it"),
        (errors.OutOfMemory, "max_locks_per_transaction"),
        (errors.TooManyConnections, "raise the limit that the server names"),
        (errors.ConfigurationLimitExceeded, "raise the limit that the server names"),
        (errors.IoError, "check the server's disk and its log"),
    ],
)
@pytest.mark.parametrize("phase", ["", RECORDING])
def test_a_server_without_room_says_what_to_enlarge(
    kind: type[psycopg.Error], todo: str, phase: str
) -> None:
    """Classes 53 and 58, also while the version is recorded; nothing is retried."""
    found = meaning(kind("no room"), PLACE._replace(phase=phase))

    assert type(found) is OutOfResourcesError
    assert todo in str(found)
    assert str(found).endswith(", then re-run")
    assert int(exit_code(found)) == 13


@pytest.mark.parametrize("phase", ["", RECORDING])
def test_an_error_without_a_sqlstate_is_the_statement_s_own(phase: str) -> None:
    """psycopg refuses some things itself, such as a wrong number of parameters."""
    found = meaning(
        psycopg.ProgrammingError("1 placeholder"), PLACE._replace(phase=phase)
    )

    assert type(found) is (NotRecordedError if phase else StatementFailedError)
    assert "1 placeholder" in str(found)


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        (ServerMessage("55P03", "m"), True),
        (ServerMessage("40P01", "m"), True),
        (ServerMessage("40001", "m"), True),
        (ServerMessage("XX000", "tuple concurrently updated"), True),
        (ServerMessage("XX000", "cache lookup failed"), False),
        (ServerMessage("23505", "m", schema="pg_catalog"), True),
        (ServerMessage("23505", "m", schema="public"), False),
        (ServerMessage("23503", "m", schema="pg_catalog"), False),
        (ServerMessage(None, "m"), False),
    ],
)
def test_contention_is_what_another_session_does(
    server: ServerMessage, *, expected: bool
) -> None:
    """Locks, serialization, and two sessions at one row of a catalog; nothing else."""
    assert is_contention(server) is expected


def test_other_classes_are_the_statement_s_own() -> None:
    """54 is a limit of PostgreSQL's, which no room heals."""
    found = meaning(errors.StatementTooComplex("too deep"))

    assert type(found) is StatementFailedError

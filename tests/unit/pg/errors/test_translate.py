"""What a failed statement means, by its SQLSTATE."""

import psycopg
import pytest
from psycopg import errors

from migrator.domain.facts import RECORDING, Place
from migrator.domain.model import Statement
from migrator.errors import (
    MigratorError,
    OutOfResourcesError,
    StatementFailedError,
)
from migrator.exit_codes import exit_code
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


def test_other_classes_are_the_statement_s_own() -> None:
    """54 is a limit of PostgreSQL's, which no room heals."""
    found = meaning(errors.StatementTooComplex("too deep"))

    assert type(found) is StatementFailedError

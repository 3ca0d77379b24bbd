"""PostgreSQL is the oracle: it says how many statements a text has."""

import random

import psycopg
import pytest
from psycopg.pq import ExecStatus

from migrator.sql.split import Stop, parts
from tests.property import sqltext


_SCRIPTS = 1500
_NOISES = 4000
_DONE = {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}


@pytest.fixture(scope="module")
def asked(server: str) -> psycopg.Connection:
    """A connection for many questions; everything asked for is temporary."""
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute("SET client_min_messages = error")
        conn.execute("CREATE TEMPORARY TABLE t (a int)")
        yield conn


def _results(conn: psycopg.Connection, text: str) -> tuple[int, str]:
    """Return how many statements the server ran in one simple query, and its error."""
    conn.pgconn.send_query(text.encode())
    done, error = 0, ""
    while result := conn.pgconn.get_result():
        done += result.status in _DONE
        error = error or result.error_message.decode()
    return done, error


@pytest.mark.parametrize("seed", range(4))
def test_as_many_statements_as_the_server_returns_results(
    asked: psycopg.Connection, seed: int
) -> None:
    """One simple query returns one result for each statement that we see in it."""
    rng = random.Random(seed)
    for _ in range(_SCRIPTS):
        text = sqltext.script(rng)
        found = [text[part.start : part.end] for part in parts(text)]

        assert _results(asked, text) == (len(found), ""), (text, found)

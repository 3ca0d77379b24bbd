"""PostgreSQL is the oracle: it says how many statements a text has."""

import random
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.pq import ExecStatus

from migrator.sql.split import Stop, split_statements
from tests.property import sqltext


_SCRIPTS = 1500
_NOISES = 4000
_DONE = {ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK}


@pytest.fixture(scope="module")
def asked(server: str) -> Iterator[psycopg.Connection]:
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
        found = [text[part.start : part.end] for part in split_statements(text)]

        assert _results(asked, text) == (len(found), ""), (text, found)


def test_each_statement_stands_alone(asked: psycopg.Connection) -> None:
    """What we cut out of a text is one whole statement to the server."""
    rng = random.Random(5)
    for _ in range(_SCRIPTS // 3):
        text = sqltext.script(rng)
        for part in split_statements(text):
            statement = text[part.start : part.end]

            assert _results(asked, statement) == (1, ""), (text, statement)


def test_what_the_server_calls_unterminated_is_open(asked: psycopg.Connection) -> None:
    """Where the server misses a closing quote, we do; where it runs noise, we agree."""
    rng = random.Random(6)
    for _ in range(_NOISES):
        text = sqltext.near_sql(rng)
        done, error = _results(asked, text)
        found = list(split_statements(text))

        if "unterminated" in error:
            assert found[-1].stop is Stop.OPEN, (text, error)
        if not error:
            assert done == len(found), text

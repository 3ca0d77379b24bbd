"""PostgreSQL is the oracle: it says which parts a qualified name has."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from migrator.domain.identifiers import parse_identifier


ALPHABET = st.sampled_from([*"ab_Z9$-. \t\n\"'", "ä", "Ä", "名"])


@pytest.fixture(scope="module")
def asked(server: str) -> Iterator[psycopg.Connection]:
    """A connection for many questions."""
    with psycopg.connect(server, autocommit=True) as conn:
        yield conn


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example('"My.Schema"."t""x"')
@example('a . "B" .c')
@example("a..b")
@example(".a")
@example("a.")
@example("")
@example('""')
@example('a."b')
@example('"a"b')
@example("1a")
@example("a b")
@example('U&"a"')
@given(st.text(ALPHABET, max_size=12))
def test_names_have_the_parts_that_postgresql_reads(
    asked: psycopg.Connection, text: str
) -> None:
    """What parse_ident refuses is refused, and what it takes has the same parts."""
    try:
        (expected,) = asked.execute("SELECT parse_ident(%s)", [text]).fetchone() or ()
    except psycopg.errors.InvalidParameterValue:
        expected = None

    try:
        found = list(parse_identifier(text))
    except ValueError:
        found = None

    assert found == expected

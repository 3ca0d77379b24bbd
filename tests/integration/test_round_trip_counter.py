"""The counter of round trips counts what a client waits for, with a known client."""

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.round_trips import count_round_trips


_NO_NEGOTIATION = {"sslmode": "disable", "gssencmode": "disable"}


def _asks_for_password(dsn: str) -> bool:
    """Whether the server wants SCRAM, as over TCP, or trusts, as on its own socket."""
    with psycopg.connect(dsn) as conn:
        return conn.pgconn.used_password


@pytest.fixture
def plain(database: str) -> str:
    """The DSN of a database to which nothing but the login is negotiated."""
    return make_conninfo("", **{**conninfo_to_dict(database), **_NO_NEGOTIATION})


@pytest.fixture
def login(plain: str) -> int:
    """The round trips of a connect: handshake, start, and two of SCRAM."""
    return 4 if _asks_for_password(plain) else 2


def test_a_connect_and_a_query(plain: str, login: int) -> None:
    """A connect costs four with SCRAM, a query one more, and the goodbye none."""
    counts = []
    with count_round_trips(plain) as (dsn, wire):
        with psycopg.connect(dsn, autocommit=True) as conn:
            counts.append(wire.connections)
            conn.execute("SELECT 1")
            counts.append(wire.connections)
        counts.append(wire.connections)

    assert counts == [(login,), (login + 1,), (login + 1,)]
    assert wire.connections == (login + 1,)


def test_each_connection_has_its_own_count(plain: str, login: int) -> None:
    """Connections are counted separately, in the order they were opened, and summed up."""
    with count_round_trips(plain) as (dsn, wire):
        with (
            psycopg.connect(dsn, autocommit=True) as first,
            psycopg.connect(dsn, autocommit=True) as second,
        ):
            for conn in (second, first, second):
                conn.execute("SELECT 1")
        found = wire.connections, wire.round_trips

    assert found == ((login + 1, login + 2), 2 * login + 3)


def test_negotiation_counts(database: str) -> None:
    """Asking for TLS is a round trip of its own, also when the server has none."""
    parameters = {**conninfo_to_dict(database), **_NO_NEGOTIATION}
    dsns = [
        make_conninfo("", **{**parameters, "sslmode": s}) for s in ("disable", "prefer")
    ]
    counts = []
    for each in dsns:
        with count_round_trips(each) as (dsn, wire), psycopg.connect(dsn):
            counts.append(wire.round_trips)

    assert counts[1] > counts[0]


def test_a_pipeline_is_one_flight(plain: str, login: int) -> None:
    """What is sent without waiting is one round trip, though answers come meanwhile."""
    with (
        count_round_trips(plain) as (dsn, wire),
        psycopg.connect(dsn, autocommit=True) as conn,
        conn.pipeline() as pipeline,
    ):
        for n in range(100):
            conn.execute("SELECT %s::text", ["x" * n])
        pipeline.sync()
        found = wire.round_trips

    assert found == login + 1


def test_large_messages_pass(plain: str, login: int) -> None:
    """Megabytes in both directions arrive unchanged, and are one round trip."""
    text = "0123456789abcdef" * 250_000
    with (
        count_round_trips(plain) as (dsn, wire),
        psycopg.connect(dsn, autocommit=True) as conn,
    ):
        found = conn.execute("SELECT %s::text", [text]).fetchone()

    assert found == (text,)
    assert wire.connections == (login + 1,)


def test_a_server_that_is_not_there() -> None:
    """A client of a proxy without a server is cut off, as by a broken network."""
    nowhere = make_conninfo("", host="127.0.0.1", port=1, **_NO_NEGOTIATION)

    with (
        count_round_trips(nowhere) as (dsn, wire),
        pytest.raises(psycopg.OperationalError),
    ):
        psycopg.connect(dsn)

    assert wire.connections == ()

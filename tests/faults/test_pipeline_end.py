"""The end of a session, between the last answer and the end of the stream."""

import psycopg

from migrator.pg.execution.pipeline import Pipeline
from migrator.process.cancellation import Cancellation
from tests.faults.proxy import Direction, Fault, Plan, Proxy, proxied
from tests.faults.server import Server
from tests.helpers.support import Query


def nothing() -> None:
    """Hold what needs no holding."""


def answers(dsn: str) -> int:
    """How many of three statements were answered."""
    sent = iter([Query(b"SELECT 1")] * 3)
    with psycopg.connect(dsn, autocommit=True) as conn:
        pipeline = Pipeline(conn, sent, cancellation=Cancellation(), check_lock=nothing)
        return len(list(pipeline.results()))


def test_all_answers_are_kept(roomy: Server) -> None:
    """Every statement was answered, so it is no error that the session has ended."""

    def end(proxy: Proxy) -> None:
        with psycopg.connect(roomy.dsn("postgres"), autocommit=True) as conn:
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", [proxy.pids[1]])

    with proxied(roomy.port) as proxy:
        undisturbed = answers(roomy.dsn("postgres", proxy.port))
    sync = proxy.counts[Direction.TO_SERVER] - 1  # the last one is the goodbye
    with proxied(roomy.port, Plan(Fault.ACT, message=sync, act=end)) as proxy:
        ended = answers(roomy.dsn("postgres", proxy.port))

    assert proxy.at == f"to_server {sync}: 1/S"
    assert (undisturbed, ended) == (3, 3)

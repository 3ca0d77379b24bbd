"""The proxy itself: what it hands on, what it counts, and what it does."""

import psycopg
import pytest

from tests.faults.proxy import Afterwards, Direction, Fault, Plan, Proxy, proxied
from tests.faults.server import Server


_LAST = {Direction.TO_SERVER: 1, Direction.TO_CLIENT: 0}
"""How many messages come after the last query's: the goodbye."""


def answers(server: Server, proxy: Proxy) -> list[int]:
    """Answers to three queries through the proxy, as far as they come."""
    found = []
    with psycopg.connect(server.dsn("postgres", proxy.port), autocommit=True) as conn:
        for number in range(3):
            try:
                conn.execute(f"SELECT {number}".encode())
            except psycopg.OperationalError:
                break
            found.append(number)
    return found


def test_messages_are_counted(roomy: Server) -> None:
    """Each one once, also where many come in one packet; requests to cancel are not."""
    with proxied(roomy.port) as proxy:
        found = answers(roomy, proxy)
        plain = f"{roomy.dsn('postgres', proxy.port)}?sslmode=disable"
        with psycopg.connect(plain) as conn:
            conn.cancel_safe()
    tls, start, goodbye = 1, 1, 1

    assert found == [0, 1, 2]
    assert (
        proxy.counts[Direction.TO_SERVER] == tls + start + 3 + goodbye + start + goodbye
    )
    assert proxy.pids.keys() == {1, 2}


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.RESET, Fault.DROP])
@pytest.mark.parametrize(
    ("direction", "heard"), [(Direction.TO_SERVER, {2}), (Direction.TO_CLIENT, {2, 3})]
)
def test_a_connection_ends_at_its_message(
    roomy: Server, fault: Fault, direction: Direction, heard: set[int]
) -> None:
    """Before it all is as ever, after it nothing comes."""
    with proxied(roomy.port) as proxy:
        answers(roomy, proxy)
    message = proxy.counts[direction] - _LAST[direction]
    with proxied(roomy.port, Plan(fault, direction, message)) as proxy:
        found = answers(roomy, proxy)

    assert proxy.fired
    assert len(found) in heard


@pytest.mark.parametrize(
    ("afterwards", "error"),
    [(Afterwards.REFUSE, "refused"), (Afterwards.MUTE, "timeout")],
)
def test_what_comes_afterwards(
    roomy: Server, afterwards: Afterwards, error: str
) -> None:
    """Further connections are refused, or nobody answers them."""
    plan = Plan(Fault.CUT, message=2, afterwards=afterwards)
    with proxied(roomy.port, plan) as proxy:
        through = f"{roomy.dsn('postgres', proxy.port)}?connect_timeout=2"
        with pytest.raises(psycopg.OperationalError, match="closed"):
            psycopg.connect(through)
        with pytest.raises(psycopg.OperationalError, match=error):
            psycopg.connect(through)

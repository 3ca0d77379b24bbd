"""What follows a lost session: how soon another one, and when the run ends."""

import pytest

from migrator.domain.backoff import Backoff
from migrator.domain.facts import ServerMessage
from migrator.engine.reconnect_policy import Lost, Position, ReconnectPolicy
from migrator.engine.wait_budget import WaitBudget
from migrator.errors import (
    ConnectionLostError,
    LockLostError,
    MigratorError,
    ReadOnlyServerError,
    TrackingTableLockedError,
    UnavailableError,
)


SERVER = ServerMessage(sqlstate=None, message="gone")
LOST = ConnectionLostError(SERVER, doing="running 1.sql")
STOLEN = LockLostError("it is with somebody else")
UNAVAILABLE = UnavailableError(SERVER, waited_s=1)
READ_ONLY = ReadOnlyServerError(SERVER)
BUSY = TrackingTableLockedError(SERVER, doing="reading goose_db_version")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def losses(total_s: float = 1000) -> ReconnectPolicy:
    """Those of one run, with pauses of 0 s, 0.5 to 1 s, 1 to 2 s and so on."""
    return ReconnectPolicy(WaitBudget(Backoff(total_s=total_s, initial_s=1, max_s=100)))


def test_pauses_grow_at_one_step_and_start_again_at_the_next() -> None:
    """A step that is done says that the server is well."""
    policy = losses()
    least = {(0, 1): 0, (0, 2): 0.5, (0, 3): 1, (0, 4): 2, (1, 1): 0, (1, 2): 0.5}

    pauses = {at: policy.delay(LOST, Position(at[0], executing=False)) for at in least}

    assert {at: least[at] <= pauses[at] <= 2 * least[at] for at in least} == (
        dict.fromkeys(least, True)
    )


def test_three_sessions_that_die_at_one_step_end_the_run() -> None:
    """Each step counts by itself, and what dies before or between steps does not."""
    policy = losses()
    for done, executing in ((0, True), (0, True), (1, True), (1, False), (1, True)):
        policy.delay(LOST, Position(done, executing=executing))

    with pytest.raises(ConnectionLostError, match="that was attempt 3"):
        policy.delay(LOST, Position(1, executing=True))


@pytest.mark.parametrize(
    ("before", "error", "executing"),
    [([], BUSY, False), ([LOST], BUSY, True), ([], STOLEN, True)],
)
def test_what_another_session_does_not_heal_ends_the_run(
    before: list[Lost], error: Lost, *, executing: bool
) -> None:
    """A table of ours that is locked, unless a lost session may lock it; a theft."""
    policy = losses()
    for each in before:
        policy.delay(each, Position(0, executing=False))

    with pytest.raises(MigratorError) as caught:
        policy.delay(error, Position(0, executing=executing))

    assert caught.value is error


def test_a_lost_session_may_still_lock_our_table() -> None:
    """Then another session is tried."""
    policy = losses()
    policy.delay(LOST, Position(0, executing=True))

    pause = policy.delay(BUSY, Position(0, executing=False))

    assert 0.5 <= pause <= 1


@pytest.mark.parametrize(
    ("error", "applied_any", "ended", "text"),
    [
        (LOST, True, ConnectionLostError, "while running 1.sql: gone; what was not"),
        (UNAVAILABLE, True, UnavailableError, "no connection within 1 s: gone"),
        (READ_ONLY, False, ReadOnlyServerError, "the server is read-only: gone"),
        (READ_ONLY, True, ConnectionLostError, "waiting for a server that takes"),
    ],
)
def test_a_wait_budget_that_is_spent_ends_the_run(
    error: Lost,
    ended: type[MigratorError],
    text: str,
    *,
    applied_any: bool,
) -> None:
    """With what was met; where something was taken, as a lost connection."""
    with pytest.raises(ended) as caught:
        losses(total_s=0).delay(
            error, Position(0, executing=True, applied_any=applied_any)
        )

    assert type(caught.value) is ended
    assert text in str(caught.value)


def test_a_session_that_is_not_replaced_is_reported_with_the_reason() -> None:
    """Both are in the error: what was lost, and why there is no other one."""
    clock = Clock()
    budget = WaitBudget(Backoff(total_s=60), clock=clock)
    policy = ReconnectPolicy(budget)
    policy.delay(LOST, Position(0, executing=True, applied_any=True))
    with budget.waiting():
        clock.now += 61

    with pytest.raises(ConnectionLostError) as caught:
        policy.delay(UNAVAILABLE, Position(0, executing=False, applied_any=True))

    assert str(caught.value) == (
        "the connection was lost while running 1.sql: gone; no other one within 61 s:"
        " gone; what was not committed is rolled back; re-run"
    )

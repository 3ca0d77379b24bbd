"""One allowance for all waits of a run."""

from migrator.domain.backoff import Backoff
from migrator.engine.wait_budget import WaitBudget


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_waiting_spends() -> None:
    """Time that passes outside of a wait is the run's own."""
    clock = Clock()
    allowance = WaitBudget(Backoff(total_s=60, max_s=5), spent_s=10, clock=clock)

    clock.now += 1000
    with allowance.waiting():
        clock.now += 20
        within = allowance.spent_s
    clock.now += 1000

    assert (within, allowance.spent_s) == (30, 30)
    assert allowance.remaining == Backoff(total_s=30, max_s=5)


def test_delays_end_with_the_budget() -> None:
    """The first attempt comes at once; what other waits take counts too."""
    clock = Clock()
    allowance = WaitBudget(Backoff(total_s=10, initial_s=1, max_s=4), clock=clock)
    delays = allowance.delays()

    first, second = next(delays), next(delays)
    with allowance.waiting():
        clock.now += 11

    assert first == 0.0
    assert 0.5 <= second <= 1
    assert list(delays) == []


def test_what_the_first_attempt_waits_counts() -> None:
    """An attempt that has spent all of it is the last one."""
    clock = Clock()
    allowance = WaitBudget(Backoff(total_s=10, initial_s=1, max_s=4), clock=clock)
    delays = allowance.delays()

    first = next(delays)
    with allowance.waiting():
        clock.now += 10

    assert (first, next(delays, None)) == (0.0, None)


def test_nothing_left_is_no_attempt() -> None:
    """Neither is an allowance of nothing."""
    assert list(WaitBudget(Backoff(total_s=0)).delays()) == []
    assert list(WaitBudget(Backoff(total_s=5), spent_s=6).delays()) == []

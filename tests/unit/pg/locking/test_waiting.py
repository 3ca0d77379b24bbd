"""Delays and cancellation."""

import socket
from collections.abc import Iterator
from itertools import islice

import pytest

from migrator.domain.backoff import Backoff
from migrator.errors import DeadlineError, InterruptedRunError
from migrator.process.cancellation import Cancellation, Interruption


REASON = InterruptedRunError(15, name="SIGTERM")


class End:
    """One end of a connection, as psycopg's is."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.closed = self.failed = False

    def fileno(self) -> int:
        """Return its socket."""
        return self.end.fileno()

    def over(self) -> bool:
        """Whether reading would find the end; nothing was ever sent."""
        self.end.setblocking(False)
        try:
            return self.end.recv(1) == b""
        except BlockingIOError:
            return False


@pytest.fixture
def ends() -> Iterator[tuple[End, End]]:
    """The near ends of two connections."""
    pairs = [socket.socketpair() for _ in range(2)]
    yield End(pairs[0][0]), End(pairs[1][0])
    for end in (end for pair in pairs for end in pair):
        end.close()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_delays_double_up_to_the_most() -> None:
    """And the last one ends with the patience."""
    clock, delays = Clock(), []

    for delay in Backoff(total_s=10, initial_s=1, max_s=4).delays(
        clock=clock, jitter=lambda low, high: high
    ):
        delays.append(delay)
        clock.now += delay

    assert delays == [1, 2, 4, 3]


def test_jitter_is_between_half_and_the_whole() -> None:
    """Pods that started together drift apart."""
    delays = Backoff(total_s=10, initial_s=4).delays(
        clock=Clock(), jitter=lambda low, high: low
    )

    assert next(delays) == 2


def test_a_delay_is_as_long_as_is_asked_for() -> None:
    """Half of the step at least, but the step itself no longer than the most."""
    clock, stalls = Clock(), iter([0, 5, 3, 50])
    delays = Backoff(total_s=100, initial_s=1, max_s=30).delays(
        minimum_s=lambda: next(stalls), clock=clock, jitter=lambda low, high: low
    )

    assert list(islice(delays, 4)) == [0.5, 5, 10, 15]


def test_time_that_attempts_take_counts() -> None:
    """The patience is a time, not a number of attempts."""
    clock = Clock()
    delays = Backoff(total_s=10).delays(clock=clock)
    next(delays)
    clock.now += 10

    assert next(delays, None) is None


def test_without_patience_there_is_one_attempt() -> None:
    """0 yields nothing."""
    assert list(Backoff(total_s=0).delays()) == []


def test_a_request_outside_of_an_armed_block_waits_for_a_check() -> None:
    """Rollback and unlock are let finish."""
    cancellation = Cancellation()
    cancellation.request(REASON)

    with pytest.raises(InterruptedRunError):
        cancellation.check()


def test_a_request_inside_an_armed_block_raises_there() -> None:
    """As a KeyboardInterrupt, which psycopg answers by cancelling the statement."""
    cancellation, seen = Cancellation(), []

    def wait() -> None:
        try:
            cancellation.request(REASON)
        except KeyboardInterrupt as interruption:
            seen.append(type(interruption))
            raise

    with pytest.raises(InterruptedRunError) as caught, cancellation.interruptible():
        wait()

    assert caught.value is REASON
    assert seen == [Interruption]


def test_an_armed_block_is_not_entered_after_a_request() -> None:
    """Nothing new begins."""
    cancellation, entered = Cancellation(), False
    cancellation.request(REASON)

    with pytest.raises(InterruptedRunError), cancellation.interruptible():
        entered = True

    assert not entered


def test_the_first_reason_counts() -> None:
    """A deadline during a rollback does not rename the signal."""
    cancellation = Cancellation()
    cancellation.request(REASON)
    cancellation.request(DeadlineError(1))

    with pytest.raises(InterruptedRunError):
        cancellation.check()


def test_a_sleep_is_not_begun_after_a_request() -> None:
    """It would be slept through otherwise."""
    cancellation = Cancellation()
    cancellation.request(REASON)

    with pytest.raises(InterruptedRunError):
        cancellation.sleep(3600)


def test_a_cut_ends_what_is_attached(ends: tuple[End, End]) -> None:
    """Whoever reads from it finds its end; other connections are left alone."""
    attached, other = ends
    cancellation = Cancellation()
    cancellation.attach(attached)
    cancellation.request(REASON)
    cancellation.cut_off()

    assert (attached.over(), other.over()) == (True, False)


def test_a_cut_leaves_alone_what_is_closed(ends: tuple[End, End]) -> None:
    """Its number may belong to another one by now."""
    closed, _ = ends
    cancellation = Cancellation()
    cancellation.attach(closed)
    closed.closed = True
    cancellation.cut_off()

    assert not closed.over()


def test_connections_that_were_closed_change_the_reason() -> None:
    """Nobody has answered: also the error that was raised before says it from then on."""
    cancellation = Cancellation()
    cancellation.request(REASON)
    before, said = cancellation.cut_off_reason, str(REASON)
    cancellation.cut_off()

    assert (before, cancellation.cut_off_reason) == (None, REASON)
    assert said == "stopped by SIGTERM: rolled back and unlocked; re-run"
    assert str(REASON) == (
        "stopped by SIGTERM: the server did not answer, so its connections were closed:"
        " what was in flight is committed as a whole or not at all, and the next run"
        " detects which; re-run"
    )


@pytest.mark.parametrize(
    ("failed", "said"), [("before", "rolled back"), ("after", "did not answer")]
)
def test_no_rollback_is_claimed_of_a_connection_that_failed(
    ends: tuple[End, End], failed: str, said: str
) -> None:
    """One that was lost before the request is another matter."""
    cancellation, line = Cancellation(), ends[0]
    cancellation.attach(line)
    line.failed = failed == "before"
    cancellation.request(REASON)
    line.failed = True

    assert said in str(REASON)

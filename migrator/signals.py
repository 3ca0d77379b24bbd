"""Signals and the deadline stop a run, also where the server does not answer."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

from migrator.cancellation import PATIENCE_S, Cancellation
from migrator.errors import (
    ConnectionLostError,
    DeadlineError,
    InterruptedRunError,
    MigratorError,
    UnavailableError,
)


_AGAIN_S = 1.0
"""How often connections are cut that were opened since."""

_OF_A_CUT = (
    ConnectionLostError,
    DeadlineError,
    InterruptedRunError,
    UnavailableError,
)


def why(error: BaseException, cancellation: Cancellation) -> BaseException:
    """Return what ended the run: a connection that we cut ourselves was not lost."""
    cut = cancellation.cut
    return cut if cut is not None and isinstance(error, _OF_A_CUT) else error


@contextmanager
def signals(
    cancellation: Cancellation, deadline_s: float, verdict: list[int] | None = None
) -> Iterator[None]:
    """
    Let SIGTERM, SIGINT and the deadline cancel the block.

    Five seconds later the connections of a run that has not ended are cut. Handlers are
    needed also because the kernel does not apply a signal's default action to PID 1. A
    second signal ends the process at once.

    *verdict* is given for a process that ends with the block, and gets its exit code as
    soon as that is known. Then a second signal ends it with this one, and behind the
    block the first one does.
    """
    unanswered: list[MigratorError] = []

    def ask(reason: Callable[..., MigratorError]) -> None:
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, _AGAIN_S)
        unanswered.append(reason(answered=False))
        cancellation.request(reason())

    def end(signum: int, frame: FrameType | None) -> None:
        os._exit(verdict[0] if verdict else 128 + signum)

    def stop(signum: int, frame: FrameType | None) -> None:
        if cancellation.requested:
            end(signum, frame)
        name = signal.Signals(signum).name
        ask(partial(InterruptedRunError, signum, name=name))

    def late(signum: int, frame: FrameType | None) -> None:
        if cancellation.requested:
            cancellation.cut_off(unanswered[0])
        else:
            ask(partial(DeadlineError, deadline_s))

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: late}
    before = {signum: signal.signal(signum, h) for signum, h in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, deadline_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler if verdict is None else end)

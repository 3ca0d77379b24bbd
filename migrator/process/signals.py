"""Signals and the deadline stop a run, also where the server does not answer."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from migrator.errors import (
    ConnectionLostError,
    DeadlineError,
    InterruptedRunError,
    StoppedRunError,
    UnavailableError,
)
from migrator.process.cancellation import PATIENCE_S, Cancellation, Interruption


_AGAIN_S = 1.0
"""How often connections are cut that were opened since."""

_SOON_S = 0.05


def why(error: BaseException, cancellation: Cancellation) -> BaseException:
    """Return what ended the run: once it was asked to stop, no lost connection did."""
    stopped, cut = cancellation.reason, cancellation.cut
    if stopped is not None and isinstance(error, ConnectionLostError):
        return stopped
    return cut if cut is not None and isinstance(error, UnavailableError) else error


@contextmanager
def _swallowed(again: Callable[[], None]) -> Iterator[None]:
    """Call *again* for an interruption that libpq's callbacks cannot hand on."""
    ignore, show = sys.unraisablehook, sys.excepthook

    def ignored(what: "sys.UnraisableHookArgs") -> None:
        if what.exc_type is Interruption:
            again()
        else:
            ignore(what)

    def shown(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if kind is not Interruption:  # Cython shows it before
            show(kind, error, trace)

    sys.unraisablehook, sys.excepthook = ignored, shown
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = ignore, show


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
    cut_at, lost = math.inf, False

    def ask(reason: StoppedRunError) -> None:
        nonlocal cut_at
        cut_at = time.monotonic() + PATIENCE_S
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S, _AGAIN_S)
        cancellation.request(reason)

    def again() -> None:
        nonlocal lost
        lost = True
        signal.setitimer(signal.ITIMER_REAL, _SOON_S, _AGAIN_S)

    def end(signum: int, frame: FrameType | None) -> None:
        os._exit(verdict[0] if verdict else 128 + signum)

    def stop(signum: int, frame: FrameType | None) -> None:
        if cancellation.requested:
            end(signum, frame)
        name = signal.Signals(signum).name
        ask(InterruptedRunError(signum, name=name))

    def late(signum: int, frame: FrameType | None) -> None:
        nonlocal lost
        left_s = cut_at - time.monotonic()
        if not cancellation.requested:
            ask(DeadlineError(deadline_s))
        elif lost and left_s > _SOON_S:
            lost = False
            signal.setitimer(signal.ITIMER_REAL, left_s, _AGAIN_S)
            cancellation.repeat()
        else:
            cancellation.cut_off()

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: late}
    before = {signum: signal.signal(signum, h) for signum, h in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, deadline_s)
    try:
        with _swallowed(again):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler if verdict is None else end)

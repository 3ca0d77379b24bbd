"""Stops a run by a signal or its deadline, also if the server does not answer."""

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
from migrator.process.cancellation import GRACE_S, Cancellation, Interruption


_CUT_OFF_INTERVAL_S = 1.0
"""How often to shut down connections that were opened meanwhile."""

_REPEAT_S = 0.05
"""When to interrupt again after an exception was lost."""


def error_to_report(error: BaseException, cancellation: Cancellation) -> BaseException:
    """
    Return the error that ended the run.

    After a request to stop it is that one, not the loss of a connection that was shut
    down because of it.
    """
    stopped, cut_off = cancellation.reason, cancellation.cut_off_reason
    if stopped is not None and isinstance(error, ConnectionLostError):
        return stopped
    return cut_off if cut_off and isinstance(error, UnavailableError) else error


@contextmanager
def _unraisable_interruptions(repeat: Callable[[], None]) -> Iterator[None]:
    """Call *repeat* if an Interruption is raised in a callback of libpq, and lost."""
    unraisablehook, excepthook = sys.unraisablehook, sys.excepthook

    def on_unraisable(args: "sys.UnraisableHookArgs") -> None:
        if args.exc_type is Interruption:
            repeat()
        else:
            unraisablehook(args)

    def on_exception(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if kind is not Interruption:  # Cython calls this hook before the other one
            excepthook(kind, error, trace)

    sys.unraisablehook, sys.excepthook = on_unraisable, on_exception
    try:
        yield
    finally:
        sys.unraisablehook, sys.excepthook = unraisablehook, excepthook


@contextmanager
def signals(
    cancellation: Cancellation, deadline_s: float, verdict: list[int] | None = None
) -> Iterator[None]:
    """
    Let SIGTERM, SIGINT and the deadline cancel the block.

    If the run has not ended five seconds later, its connections are shut down. A second
    signal ends the process immediately. Handlers are also needed because the kernel
    does not apply a signal's default action to PID 1.

    *verdict*, for a process that ends with the block, is a list to which the exit code
    is appended as soon as it is known. From then on a second signal ends the process
    with this code, and after the block the first one does.
    """
    cut_off_at, is_lost = math.inf, False

    def request(reason: StoppedRunError) -> None:
        nonlocal cut_off_at
        cut_off_at = time.monotonic() + GRACE_S
        signal.setitimer(signal.ITIMER_REAL, GRACE_S, _CUT_OFF_INTERVAL_S)
        cancellation.request(reason)

    def repeat() -> None:
        nonlocal is_lost
        is_lost = True
        signal.setitimer(signal.ITIMER_REAL, _REPEAT_S, _CUT_OFF_INTERVAL_S)

    def exit_now(signum: int, frame: FrameType | None) -> None:
        os._exit(verdict[0] if verdict else 128 + signum)

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if cancellation.is_requested:
            exit_now(signum, frame)
        name = signal.Signals(signum).name
        request(InterruptedRunError(signum, name=name))

    def on_timer(signum: int, frame: FrameType | None) -> None:
        nonlocal is_lost
        left_s = cut_off_at - time.monotonic()
        if not cancellation.is_requested:
            request(DeadlineError(deadline_s))
        elif is_lost and left_s > _REPEAT_S:
            is_lost = False
            signal.setitimer(signal.ITIMER_REAL, left_s, _CUT_OFF_INTERVAL_S)
            cancellation.repeat()
        else:
            cancellation.cut_off()

    previous = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, on_signal),
        signal.SIGINT: signal.signal(signal.SIGINT, on_signal),
        signal.SIGALRM: signal.signal(signal.SIGALRM, on_timer),
    }
    signal.setitimer(signal.ITIMER_REAL, deadline_s)
    try:
        with _unraisable_interruptions(repeat):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in previous.items():
            signal.signal(signum, handler if verdict is None else exit_now)

"""
How a signal or the deadline stops a run: at once where we wait, never in between.

`request` is called from a signal handler. Inside `armed` it raises there and then,
which psycopg answers by cancelling the running statement on the server and waiting
for its end (`Connection.wait`, on KeyboardInterrupt); outside, the next `check` or
`armed` raises. Rollback and unlock are not armed: they are let finish. A COMMIT is
cancelled too, but its answer counts (`migrator.pg.command`).
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from migrator.errors import DeadlineError, InterruptedRunError, MigratorError


class Interruption(KeyboardInterrupt):
    """Carries the reason from the signal handler to the end of the armed block."""

    def __init__(self, reason: MigratorError) -> None:
        self.reason = reason
        super().__init__(str(reason))


class Cancellation:
    """Whether this run shall stop, and why; one for each run."""

    def __init__(self) -> None:
        self._reason: MigratorError | None = None
        self._depth = 0

    @property
    def requested(self) -> bool:
        """Tell whether somebody has asked the run to stop."""
        return self._reason is not None

    def request(self, reason: MigratorError) -> None:
        """Stop the run with *reason*; of several the first one counts."""
        if self._reason is None:
            self._reason = reason
            if self._depth:
                raise Interruption(reason)

    def check(self) -> None:
        """
        Go on, or stop here.

        Raises:
            MigratorError: The reason, when the run was asked to stop.
        """
        if self._reason is not None:
            raise self._reason

    @contextmanager
    def armed(self) -> Iterator[None]:
        """
        Let `request` interrupt the block.

        Raises:
            MigratorError: The reason, when the run was asked to stop.
        """
        self._depth += 1
        try:
            self.check()
            yield
        except Interruption as interruption:
            raise interruption.reason from None
        finally:
            self._depth -= 1

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the moment when the run is asked to stop."""
        with self.armed():
            time.sleep(seconds)


@contextmanager
def signals(cancellation: Cancellation, deadline_s: float) -> Iterator[None]:
    """
    Let SIGTERM, SIGINT and the deadline cancel the block.

    Handlers are needed also because the kernel does not apply a signal's default
    action to PID 1. A second signal ends the process at once.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        if cancellation.requested:
            os._exit(128 + signum)
        name = signal.Signals(signum).name
        cancellation.request(InterruptedRunError(signum, name=name))

    def late(signum: int, frame: FrameType | None) -> None:
        cancellation.request(DeadlineError(deadline_s))

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGALRM: late}
    before = {signum: signal.signal(signum, h) for signum, h in handlers.items()}
    signal.setitimer(signal.ITIMER_REAL, deadline_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for signum, handler in before.items():
            signal.signal(signum, handler)

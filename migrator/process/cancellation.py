"""
How a signal or the deadline stops a run: at once where we wait, never in between.

`request` is called from a signal handler. Inside `interruptible` it raises there and
then, which psycopg answers by cancelling the running statement on the server and
waiting for its end (`Connection.wait`, on KeyboardInterrupt); outside, the next `check`
or `interruptible` raises. Rollback and unlock are not armed: they are let finish. A
COMMIT is cancelled too, but its answer counts (`migrator.pg.connection.queries`).

A server that does not answer lets nothing finish. `cut_off` ends all waits for it, in
whichever phase: connections are shut, and whoever reads from one finds its end. What it
has done by then nobody knows: `StoppedRunError.answered`.
"""

import os
import socket
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from migrator.errors import StoppedRunError


PATIENCE_S = 5.0
"""How long a run that was asked to stop waits for a server that does not answer."""


LOOK_UP_S = 0.5
"""Python's handler of a signal that comes just before a wait runs only after it."""


class Socket(Protocol):
    """What has a socket."""

    def fileno(self) -> int:
        """Return it."""
        ...


class Line(Socket, Protocol):
    """A connection to a server, such as psycopg's."""

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        ...

    @property
    def failed(self) -> bool:
        """Whether it has ended otherwise than by our own goodbye."""
        ...


def shut_down(line: Socket) -> None:
    """End *line* for whoever waits for it; its owner still has to close it."""
    # whatever it is, it must not come out of a signal handler
    with suppress(Exception), socket.socket(fileno=os.dup(line.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


class Interruption(KeyboardInterrupt):
    """Carries the reason from the signal handler to the end of the armed block."""

    def __init__(self, reason: StoppedRunError) -> None:
        self.reason = reason
        super().__init__(str(reason))


class Cancellation:
    """Whether this run shall stop, and why; one for each run."""

    def __init__(self) -> None:
        self._reason: StoppedRunError | None = None
        self._depth = 0
        self._lines: tuple[weakref.ref[Line], ...] = ()
        self._open: list[Line] = []
        """What was open when the run was asked to stop, or opened since."""

        self._cut = False

    @property
    def reason(self) -> StoppedRunError | None:
        """Return why the run was asked to stop; None while it was not."""
        return self._reason

    @property
    def cut(self) -> StoppedRunError | None:
        """Return why the run was cut off; None while it was not."""
        return self._reason if self._cut else None

    @property
    def requested(self) -> bool:
        """Return whether somebody has asked the run to stop."""
        return self._reason is not None

    def request(self, reason: StoppedRunError) -> None:
        """Stop the run with *reason*; of several the first one counts."""
        if self._reason is None:
            lines = (ref() for ref in self._lines)
            self._open += [line for line in lines if line and not line.failed]
            reason.answered = self._answered
            self._reason = reason
            if self._depth:
                raise Interruption(reason)

    def repeat(self) -> None:
        """Raise in the armed block: the first time nobody could be interrupted."""
        if self._reason is not None and self._depth:
            raise Interruption(self._reason)

    def attach(self, line: Line) -> None:
        """Let `cut_off` end *line*, for as long as there is one."""
        self._lines = (*(ref for ref in self._lines if ref()), weakref.ref(line))
        if self._reason is not None:
            self._open.append(line)

    def cut_off(self) -> None:
        """End all waits for the server: the run was asked to stop, and goes on."""
        self._cut = True
        for ref in self._lines:
            line = ref()
            if line is not None and not line.closed:
                shut_down(line)

    def _answered(self) -> bool:
        return not self._cut and not any(line.failed for line in self._open)

    def check(self) -> None:
        """
        Go on, or stop here.

        Raises:
            StoppedRunError: The reason, when the run was asked to stop.
        """
        if self._reason is not None:
            raise self._reason

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """
        Let `request` interrupt the block.

        Raises:
            StoppedRunError: The reason, when the run was asked to stop.
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
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with self.interruptible():
                time.sleep(min(left, LOOK_UP_S))

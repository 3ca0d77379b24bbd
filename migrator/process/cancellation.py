"""
Stops a run by a signal or its deadline: at once while it waits, else at the next wait.

`request` is called from a signal handler. Inside `interruptible` it raises immediately,
and psycopg cancels the running statement on the server and waits for its end
(`Connection.wait`, on KeyboardInterrupt); outside, the next `check` or `interruptible`
raises. Rollback and unlock are not interruptible. A COMMIT is cancelled too, but the
server's answer decides (`migrator.pg.connection.queries`).

If the server does not answer, `cut_off` ends all waits for it: it shuts the connections
down, so that each read finds the end of its connection. What the server has done by
then is unknown: `StoppedRunError.answered`.
"""

import os
import socket
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from migrator.errors import StoppedRunError


GRACE_S = 5.0
"""How long a run that was asked to stop waits for a server that does not answer."""

SIGNAL_CHECK_S = 0.5
"""The longest wait without a check for signals: Python runs the handler of a signal
that arrives just before a wait only after it."""


class HasSocket(Protocol):
    """A connection with a socket."""

    def fileno(self) -> int:
        """Return the socket's file descriptor."""
        ...


class Connection(HasSocket, Protocol):
    """A connection to a server, such as psycopg's."""

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        ...

    @property
    def failed(self) -> bool:
        """Whether it ended without a Terminate message of the client."""
        ...


def shut_down(conn: HasSocket) -> None:
    """Shut down the socket of *conn*, which ends all waits; its owner closes it."""
    # called from a signal handler, which must not raise
    with suppress(Exception), socket.socket(fileno=os.dup(conn.fileno())) as copy:
        copy.shutdown(socket.SHUT_RDWR)


class Interruption(KeyboardInterrupt):
    """Carries the reason from the signal handler to the end of the `interruptible`."""

    def __init__(self, reason: StoppedRunError) -> None:
        self.reason = reason
        super().__init__(str(reason))


class Cancellation:
    """Whether the run has to stop, and why; one for each run."""

    def __init__(self) -> None:
        self._reason: StoppedRunError | None = None
        self._depth = 0
        self._connections: tuple[weakref.ref[Connection], ...] = ()
        self._open: list[Connection] = []
        """The connections that were open at the request, or opened since."""

        self._is_cut_off = False

    @property
    def reason(self) -> StoppedRunError | None:
        """Return why the run was asked to stop; None if it was not."""
        return self._reason

    @property
    def cut_off_reason(self) -> StoppedRunError | None:
        """Return why the run was cut off; None if it was not."""
        return self._reason if self._is_cut_off else None

    @property
    def is_requested(self) -> bool:
        """Return whether the run was asked to stop."""
        return self._reason is not None

    def request(self, reason: StoppedRunError) -> None:
        """Stop the run with *reason*; only the first request counts."""
        if self._reason is None:
            connections = (ref() for ref in self._connections)
            self._open += [conn for conn in connections if conn and not conn.failed]
            reason.answered = self._answered
            self._reason = reason
            if self._depth:
                raise Interruption(reason)

    def repeat(self) -> None:
        """Raise again inside `interruptible`, if the first exception was lost."""
        if self._reason is not None and self._depth:
            raise Interruption(self._reason)

    def attach(self, conn: Connection) -> None:
        """Let `cut_off` shut *conn* down; only a weak reference is kept."""
        alive = (ref for ref in self._connections if ref())
        self._connections = (*alive, weakref.ref(conn))
        if self._reason is not None:
            self._open.append(conn)

    def cut_off(self) -> None:
        """Shut all connections down: the run was asked to stop and has not ended."""
        self._is_cut_off = True
        for ref in self._connections:
            conn = ref()
            if conn is not None and not conn.closed:
                shut_down(conn)

    def _answered(self) -> bool:
        return not self._is_cut_off and not any(conn.failed for conn in self._open)

    def check(self) -> None:
        """
        Raise if the run was asked to stop.

        Raises:
            StoppedRunError: The reason.
        """
        if self._reason is not None:
            raise self._reason

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """
        Let `request` interrupt the block.

        Raises:
            StoppedRunError: The reason, if the run was asked to stop.
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
        """Sleep; raises StoppedRunError as soon as the run is asked to stop."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            with self.interruptible():
                time.sleep(min(left_s, SIGNAL_CHECK_S))

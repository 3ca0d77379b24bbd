"""
Detects a connection whose server process is gone or no longer serves it.

A proxy, a load balancer or a NAT gateway may drop a connection and keep the client's
end open: TCP reports no error and the client waits forever. pg_stat_activity, read on
another connection, shows that the process is gone, or idle while the client waits.
"""

import math
import os
import socket
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg.pq import PipelineStatus

from migrator.pg.connection.tcp_liveness import is_awaiting_answer


if TYPE_CHECKING:
    from migrator.pg.monitor.activity import SessionActivity


CONFIRM_S = 5.0
"""How long the state has to last: an answer may be in transit or retransmitted."""

_INFO: int | None = getattr(socket, "TCP_INFO", None)
# struct tcp_info (linux/tcp.h): eight bytes, then numbers of four bytes each;
# tcpi_last_data_sent and tcpi_last_data_recv are how many milliseconds ago that was
_NUMBERS = struct.Struct("8x13I")
_LAST_SENT, _LAST_RECEIVED = 9, 11
_GONE = "its server process is gone"
_IDLE = "its server process is {} while an answer is awaited"


class _IdleState(NamedTuple):
    """A server process that is gone or idle while an answer is awaited."""

    reason: str
    state_change: str | None
    """When it began; None of a process that is gone."""


class SessionLiveness:
    """Decides from successive checks of pg_stat_activity whether *conn* is lost."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._silence: _IdleState | None = None
        self._since = 0.0

    @property
    def due_s(self) -> float:
        """Return the seconds until the next check; infinite without a suspicion."""
        if self._silence is None:
            return math.inf
        return max(CONFIRM_S / 5, self._since + CONFIRM_S - time.monotonic())

    def loss_reason(self, sight: "SessionActivity") -> str | None:
        """
        Return why *conn* is considered lost, given the current activity; else None.

        It is lost if two checks CONFIRM_S apart show the same idle state, and neither
        side has sent anything in between.
        """
        now, silence = time.monotonic(), self._find_silence(sight)
        if silence is None or silence != self._silence:
            self._silence, self._since = silence, now
        elif now - self._since >= CONFIRM_S:
            if _is_quiet(self._conn, now - self._since):
                return silence.reason
            self._since = now
        return None

    def _find_silence(self, sight: "SessionActivity") -> _IdleState | None:
        if not is_awaiting_answer(self._conn):
            return None
        if sight.gone:
            return _IdleState(_GONE, None)
        if sight.state is not None and self._is_waiting_for_us(sight):
            return _IdleState(_IDLE.format(sight.state), sight.state_change)
        return None

    def _is_waiting_for_us(self, sight: "SessionActivity") -> bool:
        """
        Tell whether the server process waits for the client's next message.

        In a pipeline it is active up to the Sync. So it is where rows of a COPY are
        awaited, which is never part of a pipeline.
        """
        if str(sight.state).startswith("idle"):
            return True
        pipeline = self._conn.pgconn.pipeline_status != PipelineStatus.OFF
        return pipeline and sight.wait_event == "Client: ClientRead"


def _is_quiet(conn: psycopg.Connection, seconds: float) -> bool:
    """Tell whether *conn* had no traffic for *seconds*; True if that is unknown."""
    if _INFO is None:
        return True
    try:
        with socket.socket(fileno=os.dup(conn.fileno())) as line:
            info = line.getsockopt(socket.IPPROTO_TCP, _INFO, _NUMBERS.size)
    except (OSError, psycopg.Error):  # no TCP, or closed by now
        return True
    numbers = _NUMBERS.unpack(info)
    latest_ms: int = min(numbers[_LAST_SENT], numbers[_LAST_RECEIVED])
    return latest_ms >= seconds * 1000

"""
Whether the server process of a connection still answers it.

A proxy, a load balancer or a NAT gateway may forget a connection and keep our end open:
TCP finds nothing wrong, and the wait for an answer has no end. Another connection shows
what the server knows: that the process is gone, or idle while we wait for it.
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
"""How long the same has to be seen: an answer may be on its way, or sent again."""

_INFO: int | None = getattr(socket, "TCP_INFO", None)
# struct tcp_info (linux/tcp.h): eight bytes, then numbers of four bytes each;
# tcpi_last_data_sent and tcpi_last_data_recv are how many milliseconds ago that was
_NUMBERS = struct.Struct("8x13I")
_LAST_SENT, _LAST_RECEIVED = 9, 11
_GONE = "its server process is gone"
_IDLE = "its server process is {} while an answer is awaited"


class _Silence(NamedTuple):
    """What was seen of a server process that owes an answer and does nothing."""

    reason: str
    state_change: str | None
    """When it began; None of a process that is gone."""


class SessionLiveness:
    """Decides, look by look at the server process of *conn*, whether that is lost."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._silence: _Silence | None = None
        self._since = 0.0

    @property
    def due_s(self) -> float:
        """Return in how many seconds to look again; infinite without a doubt."""
        if self._silence is None:
            return math.inf
        return max(CONFIRM_S / 5, self._since + CONFIRM_S - time.monotonic())

    def loss_reason(self, sight: "SessionActivity") -> str | None:
        """
        Return why *conn* counts as lost, by what was seen of it just now.

        It does when looks that are CONFIRM_S apart show the same silence, and neither
        side has sent anything in between. None is no proof of the contrary.
        """
        now, silence = time.monotonic(), self._find_silence(sight)
        if silence is None or silence != self._silence:
            self._silence, self._since = silence, now
        elif now - self._since >= CONFIRM_S:
            if _is_quiet(self._conn, now - self._since):
                return silence.reason
            self._since = now
        return None

    def _find_silence(self, sight: "SessionActivity") -> _Silence | None:
        if not is_awaiting_answer(self._conn):
            return None
        if sight.gone:
            return _Silence(_GONE, None)
        if sight.state is not None and self._is_waiting_for_us(sight):
            return _Silence(_IDLE.format(sight.state), sight.state_change)
        return None

    def _is_waiting_for_us(self, sight: "SessionActivity") -> bool:
        """
        Tell whether the server process waits for our next message.

        In a pipeline it is active up to the Sync. So it is where rows of a COPY are
        awaited, which is never part of a pipeline.
        """
        if str(sight.state).startswith("idle"):
            return True
        pipeline = self._conn.pgconn.pipeline_status != PipelineStatus.OFF
        return pipeline and sight.wait_event == "Client: ClientRead"


def _is_quiet(conn: psycopg.Connection, seconds: float) -> bool:
    """Tell whether nothing went over *conn* for so long, as far as that is known."""
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

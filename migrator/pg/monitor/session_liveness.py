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
from typing import NamedTuple

import psycopg
from psycopg.pq import PipelineStatus

from migrator.pg.connection.tcp_liveness import is_awaiting_answer
from migrator.pg.monitor.activity import SessionActivity


CONFIRM_S = 5.0
"""How long the state has to last: an answer may be in transit or retransmitted."""

_INFO: int | None = getattr(socket, "TCP_INFO", None)
# struct tcp_info (linux/tcp.h): eight bytes, then numbers of four bytes each;
# tcpi_last_data_sent and tcpi_last_data_recv are how many milliseconds ago that was
_FIELDS = struct.Struct("8x13I")
_LAST_SENT, _LAST_RECEIVED = 9, 11
_GONE = "its server process is gone"
_IDLE = "its server process is {} while an answer is awaited"


class _IdleState(NamedTuple):
    """A server process that is gone or idle while an answer is awaited."""

    reason: str
    state_change: str | None
    """The time of the last change of state; None if the process is gone."""


class SessionLiveness:
    """Decides from successive checks of pg_stat_activity whether *conn* is lost."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._idle: _IdleState | None = None
        self._idle_since = 0.0

    @property
    def due_s(self) -> float:
        """Return the seconds until the next check; infinite without a suspicion."""
        if self._idle is None:
            return math.inf
        return max(CONFIRM_S / 5, self._idle_since + CONFIRM_S - time.monotonic())

    def loss_reason(self, activity: SessionActivity) -> str | None:
        """
        Return why *conn* is considered lost, given the current activity; else None.

        It is lost if two checks CONFIRM_S apart show the same idle state, and neither
        side has sent anything in between.
        """
        now, idle = time.monotonic(), self._find_idle_state(activity)
        if idle is None or idle != self._idle:
            self._idle, self._idle_since = idle, now
        elif now - self._idle_since >= CONFIRM_S:
            if _is_quiet(self._conn, now - self._idle_since):
                return idle.reason
            self._idle_since = now
        return None

    def _find_idle_state(self, activity: SessionActivity) -> _IdleState | None:
        if not is_awaiting_answer(self._conn):
            return None
        if activity.is_gone:
            return _IdleState(_GONE, None)
        if activity.state is not None and self._is_waiting_for_client(activity):
            return _IdleState(_IDLE.format(activity.state), activity.state_change)
        return None

    def _is_waiting_for_client(self, activity: SessionActivity) -> bool:
        """
        Tell whether the server process waits for the client's next message.

        In a pipeline the state is `active` until the Sync arrives, so the wait event
        decides. Outside of one, ClientRead is also the wait for the rows of a COPY,
        which is never part of a pipeline.
        """
        if str(activity.state).startswith("idle"):
            return True
        pipeline = self._conn.pgconn.pipeline_status != PipelineStatus.OFF
        return pipeline and activity.wait_event == "Client: ClientRead"


def _is_quiet(conn: psycopg.Connection, seconds: float) -> bool:
    """Tell whether *conn* had no traffic for *seconds*; True if that is unknown."""
    if _INFO is None:
        return True
    try:
        with socket.socket(fileno=os.dup(conn.fileno())) as copy:
            info = copy.getsockopt(socket.IPPROTO_TCP, _INFO, _FIELDS.size)
    except (OSError, psycopg.Error):  # no TCP, or closed by now
        return True
    fields = _FIELDS.unpack(info)
    latest_ms: int = min(fields[_LAST_SENT], fields[_LAST_RECEIVED])
    return latest_ms >= seconds * 1000

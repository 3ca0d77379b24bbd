"""
Distinguishes a server that is slow to read from one that is dead.

Linux closes a connection with a TCP_USER_TIMEOUT also if the peer acknowledges every
probe but does not read (tcp_timer.c: tcp_probe_timer). A server that runs a long
statement does not read the statements that were pipelined after it. So the limit is
disabled while much is sent, and TCP_INFO is read instead.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg.pq import TransactionStatus

from migrator.pg.connection.pooler import Link
from migrator.process.cancellation import shut_down


CHECK_INTERVAL_S = 2.0
"""How often to read TCP_INFO while waiting for the peer."""

_LIMIT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_INFO: int | None = getattr(socket, "TCP_INFO", None)
# struct tcp_info (linux/tcp.h) begins with a byte each for state, ca_state, retransmits
# and probes; the last two count what was sent in a row without an acknowledgement
_HEAD, _COUNTS = 8, slice(2, 4)


class SlowReader:
    """The peer of a connection, without a limit on when it reads."""

    def __init__(self, sock: socket.socket, limit_s: float) -> None:
        self._sock = sock
        self._limit_s = limit_s
        self._unanswered_since: float | None = None

    def check(self) -> None:
        """
        Check the peer; to be called every CHECK_INTERVAL_S while waiting.

        Raises:
            psycopg.OperationalError: Nothing was acknowledged for longer than the
                connection's TCP_USER_TIMEOUT.
        """
        now = time.monotonic()
        if not self._is_silent():
            self._unanswered_since = None
        elif self._unanswered_since is None:
            self._unanswered_since = now
        elif 0 < self._limit_s <= now - self._unanswered_since:
            raise psycopg.OperationalError(
                f"the server has confirmed nothing for {self._limit_s:g} s"
            )

    def note_activity(self) -> None:
        """Record that data has arrived."""
        self._unanswered_since = None

    def _is_silent(self) -> bool:
        if _INFO is None:
            return False
        info = self._sock.getsockopt(socket.IPPROTO_TCP, _INFO, _HEAD)
        return any(info[_COUNTS])


@contextmanager
def allow_slow_reader(conn: psycopg.Connection) -> Iterator[SlowReader]:
    """Disable TCP_USER_TIMEOUT on *conn* within the block."""
    with socket.socket(fileno=os.dup(conn.fileno())) as sock:
        limit_ms = _limit(sock)
        if limit_ms:
            _set_limit(sock, 0)
        try:
            yield SlowReader(sock, limit_ms / 1000)
        finally:
            if limit_ms:
                _set_limit(sock, limit_ms)


def _limit(sock: socket.socket) -> int:
    if _LIMIT is None or sock.family == socket.AF_UNIX:
        return 0
    return sock.getsockopt(socket.IPPROTO_TCP, _LIMIT)


def _set_limit(sock: socket.socket, limit_ms: int) -> None:
    if _LIMIT is not None:
        with suppress(OSError):  # it may be closed by now
            sock.setsockopt(socket.IPPROTO_TCP, _LIMIT, limit_ms)


def mark_lost(conn: psycopg.Connection, reason: str) -> None:
    """Shut *conn* down; a wait on it fails with *reason* as the error."""
    if isinstance(conn, Link):
        conn.loss_reason = reason
    shut_down(conn)


def is_awaiting_answer(conn: psycopg.Connection) -> bool:
    """Tell whether an answer of the server is awaited on *conn*."""
    return conn.info.transaction_status is TransactionStatus.ACTIVE

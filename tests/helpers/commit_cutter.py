"""A TCP proxy before a test's server that cuts its clients off at a COMMIT, once."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum

from psycopg.conninfo import conninfo_to_dict

from tests.helpers.round_trips import dsn_through, server_of


_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST

# A COMMIT of ours in a message of its own, and every answer to one; the message that
# makes the tables has more behind its COMMIT
_COMMIT = b"COMMIT\0"


class CutPoint(Enum):
    """Where the COMMIT is when the line breaks."""

    ANSWERED = "the server has answered, and nobody hears it"
    TABLES = "the same, but it was the one that makes our tables"
    CLOSED = "the server never gets it, and hears that the line is broken"
    NEVER = "the server never gets it"
    LATE = "the server gets it a second later, if it still listens"


_BEFORE = {CutPoint.CLOSED, CutPoint.NEVER, CutPoint.LATE}


class CommitCutter:
    """The proxy: where it listens, and whether it has cut."""

    def __init__(self, dsn: str, when: CutPoint, *, stays: bool) -> None:
        self._parameters = conninfo_to_dict(dsn)
        self._when = when
        self._stays = stays
        """Whether it takes connections after the cut."""

        self._asked = False
        """Whether a COMMIT of a migration was sent."""

        self._done = threading.Lock()
        self._gone: set[socket.socket] = set()
        """Clients that were cut off, of which the server does not hear."""

        self._sockets: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []

    @property
    def dsn(self) -> str:
        """The same database through the proxy."""
        return dsn_through(self._listener, self._parameters)

    @property
    def happened(self) -> bool:
        """Whether it has cut."""
        return self._done.locked()

    def serve(self) -> None:
        """Take connections until it is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = server_of(self._parameters)
                self._sockets.append((client, server))
                for carry in (self._out, self._back):
                    thread = threading.Thread(target=carry, args=(client, server))
                    thread.start()
                    self._threads.append(thread)

    def close(self) -> None:
        """End it all."""
        self._stop_listening()
        for pair in self._sockets:
            for each in pair:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for pair in self._sockets:
            for each in pair:
                each.close()

    def _out(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                self._asked = self._asked or _COMMIT in data
                if _COMMIT in data and self._when in _BEFORE:
                    cut = self._cut()
                    if cut and self._when is CutPoint.LATE:
                        time.sleep(1)
                    elif cut:
                        return
                server.sendall(data)
            if client not in self._gone:
                server.shutdown(socket.SHUT_WR)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                asked = self._asked or self._when is CutPoint.TABLES
                if _COMMIT in data and asked:
                    self._cut()
                client.sendall(data)
            client.shutdown(socket.SHUT_WR)

    def _cut(self) -> bool:
        """Reset all clients, the first time; the server's ends stay as they are."""
        if not self._done.acquire(blocking=False):
            return False
        if not self._stays:
            self._stop_listening()
        self._gone = {client for client, _ in self._sockets}
        for client in self._gone:
            with suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                client.shutdown(socket.SHUT_RD)  # or close() would wait for recv()
            client.close()
        if self._when is CutPoint.CLOSED:
            for _, server in self._sockets:
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
        return True

    def _stop_listening(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def cut_at_commit(
    dsn: str, when: CutPoint, *, stays: bool = True
) -> Iterator[CommitCutter]:
    """Run the proxy for the length of the block."""
    cut = CommitCutter(dsn, when, stays=stays)
    thread = threading.Thread(target=cut.serve)
    thread.start()
    try:
        yield cut
    finally:
        cut.close()
        thread.join()

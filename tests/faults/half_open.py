"""
A TCP proxy whose connections can die on one side only.

What `Proxy` of `tests.faults.proxy` does at a message, this one does when a test calls
`kill`, and the client's socket stays open: what the client sends is swallowed, and nothing
comes back.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from threading import Event, Thread

from psycopg.conninfo import conninfo_to_dict

from tests.helpers.round_trips import dsn_through, server_of


_CHUNK = 1 << 16


class Death(Enum):
    """What the server notices of it."""

    FORGOTTEN = "the server finds its end closed"
    SILENT = "the server waits, too"


class HalfOpenProxy:
    """The proxy; connections are numbered from 1 in the order they were opened."""

    def __init__(self, dsn: str) -> None:
        self.mute = 0
        """Of which connection the answer to the first query is lost; 0 for none."""

        self._parameters = conninfo_to_dict(dsn)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lines: list[tuple[socket.socket, socket.socket, Event]] = []
        self._threads = [Thread(target=self._serve)]
        self._threads[0].start()

    @property
    def dsn(self) -> str:
        """The same database through the proxy."""
        return dsn_through(self._listener, self._parameters)

    @property
    def opened(self) -> int:
        """How many connections there have been."""
        return len(self._lines)

    def kill(self, *numbers: int, death: Death) -> None:
        """Let these connections die."""
        for number in numbers:
            _, server, dead = self._lines[number - 1]
            dead.set()
            if death is Death.FORGOTTEN:
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it all."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        ends = [end for client, server, _ in self._lines for end in (client, server)]
        for each in ends:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        for each in ends:
            each.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = server_of(self._parameters)
                dead = Event()
                self._lines.append((client, server, dead))
                mute = len(self._lines) == self.mute
                for ends, query in (
                    ((client, server), mute),
                    ((server, client), False),
                ):
                    thread = Thread(
                        target=_copy, args=(*ends, dead), kwargs={"until_query": query}
                    )
                    self._threads.append(thread)
                    thread.start()


def _copy(
    source: socket.socket, sink: socket.socket, dead: Event, *, until_query: bool
) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            if until_query and data[:1] == b"Q":
                sink.sendall(data)
                dead.set()
            if not dead.is_set():
                sink.sendall(data)
        if not dead.is_set():
            sink.shutdown(socket.SHUT_WR)


@contextmanager
def half_open_proxy(dsn: str) -> Iterator[HalfOpenProxy]:
    """Run the proxy for the length of the block."""
    proxy = HalfOpenProxy(dsn)
    try:
        yield proxy
    finally:
        proxy.close()

"""
Round trips on the wire, counted by a TCP proxy before a test's server.

A round trip is what a client waits for: the TCP handshake, and each flight of its bytes
that the server answers. Negotiating TLS or GSS is a flight too. The last flight,
with which a client says goodbye and goes, is none.

The server's bytes are held until the client has sent nothing for a while, and only then
handed on. A client that does not wait for them, as in a pipeline, has sent all it can
by then, so its statements are one flight however fast the server is.
"""

import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Lock, Thread

from psycopg.conninfo import conninfo_to_dict, make_conninfo


_CHUNK = 1 << 16
_NAP_S = 0.05


class RoundTripCounter:
    """What has been counted so far; it may be read at any time."""

    def __init__(self) -> None:
        self._connections: list[_Connection] = []

    @property
    def connections(self) -> tuple[int, ...]:
        """The round trips of each connection, in the order they were opened."""
        return tuple(each.round_trips for each in self._connections)

    @property
    def round_trips(self) -> int:
        """Of all connections together."""
        return sum(self.connections)

    def _take(
        self, client: socket.socket, parameters: Mapping[str, object], quiet_s: float
    ) -> None:
        try:
            server = server_of(parameters)
        except OSError:
            client.close()
        else:
            self._connections.append(_Connection(client, server, quiet_s))

    def _close(self) -> None:
        for each in self._connections:
            each.close()


@contextmanager
def count_round_trips(
    dsn: str, *, quiet_s: float = 0.1
) -> Iterator[tuple[str, RoundTripCounter]]:
    """
    Yield the DSN of the same database through a counting proxy, and its counter.

    The yielded DSN is one of TCP, also where *dsn* names a Unix socket. After the block
    its connections are gone.

    Args:
        quiet_s: How long a client has to be silent to be one that waits. Only for
            a client that pipelines does the count depend on it: one that computes
            for longer between two statements has begun another flight.
    """
    parameters = conninfo_to_dict(dsn)
    wire, over = RoundTripCounter(), Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_NAP_S)

        def accept() -> None:
            while not over.is_set():
                with suppress(TimeoutError):
                    wire._take(listener.accept()[0], parameters, quiet_s)

        thread = Thread(target=accept)
        thread.start()
        try:
            yield dsn_through(listener, parameters), wire
        finally:
            over.set()
            thread.join()
            wire._close()


def server_of(parameters: Mapping[str, object]) -> socket.socket:
    """A connection to where the DSN says; libpq's variables are not asked."""
    host = str(parameters.get("hostaddr") or parameters.get("host") or "localhost")
    port = int(str(parameters.get("port") or 5432))
    if not host.startswith("/"):
        return socket.create_connection((host, port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{host}/.s.PGSQL.{port}")
    return server


def dsn_through(listener: socket.socket, parameters: Mapping[str, object]) -> str:
    """The database of *parameters* through a proxy on this machine."""
    port = listener.getsockname()[1]
    here = {"host": "127.0.0.1", "hostaddr": None, "port": port}
    return make_conninfo("", **{**parameters, **here})


class _Connection:
    """One client and its server, with a thread for each direction."""

    def __init__(
        self, client: socket.socket, server: socket.socket, quiet_s: float
    ) -> None:
        self.round_trips = 1  # the handshake
        self._client, self._server = client, server
        self._quiet_s = quiet_s
        self._lock = Lock()
        self._asked = False
        self._left = False
        self._sent_at = time.monotonic()
        self._threads = (Thread(target=self._out), Thread(target=self._back))
        for each in (client, server):
            each.settimeout(None)
            if each.family != socket.AF_UNIX:
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Cut both sides off and wait for the threads."""
        for each in (self._client, self._server):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._client.close()
        self._server.close()

    def _out(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(_CHUNK):
                with self._lock:
                    self._asked, self._sent_at = True, time.monotonic()
                self._server.sendall(data)
        self._left = True
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def _back(self) -> None:
        with suppress(OSError):
            while answer := self._answer():
                self._client.sendall(answer)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)

    def _answer(self) -> bytes:
        """All that the server sends until the client waits; nothing at the end."""
        parts = [self._server.recv(_CHUNK)]
        while not self._waits():
            if parts[-1] and select.select([self._server], [], [], self._patience())[0]:
                parts.append(self._server.recv(_CHUNK))
            elif not parts[-1]:
                time.sleep(self._patience())
        return b"".join(parts)

    def _patience(self) -> float:
        return max(0.0, self._sent_at + self._quiet_s - time.monotonic())

    def _waits(self) -> bool:
        """Tell whether the client is silent or gone; count what it has waited for."""
        with self._lock:
            waits = self._left or not self._patience()
            if waits and self._asked and not self._left:
                self.round_trips += 1
                self._asked = False
            return waits

"""The benchmark's delaying proxy changes nothing but time."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Thread

from tests.benchmarks.delay import delayed


_MB = 1_000_000
Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve) -> Iterator[int]:
    """A server for one connection, in a thread; its port."""

    def accept() -> None:
        connection, _ = listener.accept()
        with connection:
            serve(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        thread = Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@contextmanager
def connected(serve: Serve, rtt_ms: float) -> Iterator[socket.socket]:
    """A client of such a server, through the proxy."""
    with (
        served(serve) as port,
        delayed("127.0.0.1", port, rtt_ms) as proxy,
        socket.create_connection(("127.0.0.1", proxy), timeout=20) as client,
    ):
        yield client


def received(connection: socket.socket) -> bytes:
    """All bytes up to the end of the stream."""
    parts = []
    while part := connection.recv(65536):
        parts.append(part)
    return b"".join(parts)


def test_bytes_arrive_unchanged_in_both_directions() -> None:
    """Megabytes that go and come at the same time arrive whole and in order."""
    there, back = (bytes([n]) + bytes(range(251)) * 32_000 for n in (1, 2))
    arrived = []

    def serve(connection: socket.socket) -> None:
        sender = Thread(target=connection.sendall, args=(back,))
        sender.start()
        arrived.append(received(connection))
        sender.join()

    with connected(serve, 2) as client:
        sender = Thread(target=client.sendall, args=(there,))
        sender.start()
        found = b""
        while len(found) < len(back):
            found += client.recv(_MB)
        sender.join()
        client.shutdown(socket.SHUT_WR)
        rest = received(client)

    assert [hashlib.sha256(each).digest() for each in (*arrived, found)] == [
        hashlib.sha256(each).digest() for each in (there, back)
    ]
    assert rest == b""


def test_a_client_that_has_said_all_still_listens() -> None:
    """The end of one direction is handed on, and leaves the other one open."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"answer to " + received(connection))

    with connected(serve, 1) as client:
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)

        assert received(client) == b"answer to question"


def test_a_server_that_has_said_all_still_listens() -> None:
    """The same from the other side."""
    arrived: Queue[bytes] = Queue()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"hello")
        connection.shutdown(socket.SHUT_WR)
        arrived.put(received(connection))

    with connected(serve, 1) as client:
        heard = received(client)
        client.sendall(b"still here")
        client.shutdown(socket.SHUT_WR)
        found = arrived.get(timeout=20)

    assert (heard, found) == (b"hello", b"still here")


def test_a_server_that_is_not_there() -> None:
    """The client is cut off."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        delayed("127.0.0.1", port, 1) as proxy,
        socket.create_connection(("127.0.0.1", proxy), timeout=20) as client,
    ):
        assert received(client) == b""

"""
A real PostgreSQL that says that it is another database.

A proxy before a test's server rewrites what a client learns of it: the parameters of
the start-up phase, and the answer of `version()`. It may refuse every message but the
one that asks for nothing else, as a server does that lacks a function.
"""

import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.round_trips import server_of


_CHUNK = 1 << 16
_TLS, _GSS = 80877103, 80877104
_ASKING = b"SELECT pg_catalog.version()\0"
_REFUSED = (b"SERROR\0VERROR\0C0A000\0Mfunction set_config not supported\0\0", b"I")


@dataclass(frozen=True)
class ProductAnswers:
    """What the server says of itself, and what it was sent."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    """Empty: its own."""

    refuses: bool = False
    sent: list[str] = field(default_factory=list, compare=False)
    """The text of each query, by the simple protocol or the extended one."""


@contextmanager
def product_proxy(dsn: str, answers: ProductAnswers) -> Iterator[str]:
    """Yield the DSN of the same database, through the proxy and without TLS."""
    parameters = conninfo_to_dict(dsn)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=_serve, args=(listener, parameters, answers))
        thread.start()
        place = {"host": "127.0.0.1", "hostaddr": None}
        port = listener.getsockname()[1]
        try:
            yield make_conninfo("", **{**parameters, **place, "port": port})
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    listener: socket.socket, parameters: Mapping[str, object], answers: ProductAnswers
) -> None:
    threads = []
    with suppress(OSError):
        while True:
            client, server = listener.accept()[0], server_of(parameters)
            _start(client, server)
            pair = (client, server, answers)
            threads += [Thread(target=each, args=pair) for each in (_out, _back)]
            for thread in threads[-2:]:
                thread.start()
    for thread in threads:
        thread.join()


def _start(client: socket.socket, server: socket.socket) -> None:
    """Hand on the start-up packet; TLS and GSS are refused before it."""
    while True:
        (size, code) = struct.unpack("!II", _exactly(client, 8))
        if code not in {_TLS, _GSS}:
            rest = _exactly(client, size - 8)
            server.sendall(struct.pack("!II", size, code) + rest)
            return
        client.sendall(b"N")


def _out(client: socket.socket, server: socket.socket, answers: ProductAnswers) -> None:
    with suppress(OSError, EOFError):
        while True:
            kind, body = _message(client)
            if kind in {b"Q", b"P"}:
                text = body.split(b"\0")[kind == b"P"]
                answers.sent.append(text.decode())
            if kind == b"Q" and answers.refuses and body != _ASKING:
                error, ready = _REFUSED
                client.sendall(_framed(b"E", error) + _framed(b"Z", ready))
            else:
                server.sendall(_framed(kind, body))
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)


def _back(
    client: socket.socket, server: socket.socket, answers: ProductAnswers
) -> None:
    sent = False
    with suppress(OSError, EOFError):
        while True:
            kind, body = _message(server)
            if kind == b"Z" and not sent:
                for name, value in answers.parameters.items():
                    client.sendall(_framed(b"S", f"{name}\0{value}\0".encode()))
                sent = True
            if kind == b"D" and answers.version:
                body = _renamed(body, answers.version.encode())
            client.sendall(_framed(kind, body))
    for each in (client, server):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _renamed(row: bytes, version: bytes) -> bytes:
    """Return a DataRow with *version* where the server's own one is."""
    (columns,), at = struct.unpack_from("!H", row), 2
    rewritten = row[:2]
    for _ in range(columns):
        (size,) = struct.unpack_from("!i", row, at)
        value = row[at + 4 : at + 4 + max(size, 0)]
        at += 4 + len(value)
        if value.startswith(b"PostgreSQL ") and b"compiled by" in value:
            value, size = version, len(version)
        rewritten += struct.pack("!i", size) + value
    return rewritten


def _message(sender: socket.socket) -> tuple[bytes, bytes]:
    kind = _exactly(sender, 1)
    (size,) = struct.unpack("!I", _exactly(sender, 4))
    return kind, _exactly(sender, size - 4)


def _framed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


def _exactly(sender: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = sender.recv(min(_CHUNK, size - len(found)))
        if not part:
            raise EOFError
        found += part
    return found

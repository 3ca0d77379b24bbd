"""Servers that answer as no real one can be made to, and what carries bytes to one."""

import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


def fatal(sqlstate: str, message: str) -> bytes:
    """An ErrorResponse in German, as a server with translations sends it."""
    fields = {b"S": "FATAL", b"C": sqlstate, b"M": message}
    fields[b"S"] = "SCHWERWIEGEND"
    body = b"".join(k + v.encode() + b"\0" for k, v in fields.items()) + b"\0"
    return b"E" + struct.pack("!I", len(body) + 4) + body


def speaking(message: bytes) -> Callable[[socket.socket], None]:
    """Refuse encryption, read the startup packet, say *message*."""

    def answer(peer: socket.socket) -> None:
        first = peer.recv(1024)
        while first[4:8] in {struct.pack("!I", 80877103), struct.pack("!I", 80877104)}:
            peer.sendall(b"N")
            first = peer.recv(1024)
        peer.sendall(message)

    return answer


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """A port whose every connection gets *answer*: failures that no server repeats."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer:
                answer(peer)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"postgresql://u:secret@127.0.0.1:{listener.getsockname()[1]}/db"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def relay(peer: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until one side closes."""
    with suppress(OSError):
        while ready := select.select([peer, server], [], [])[0]:
            for source in ready:
                data = source.recv(65536)
                (server if source is peer else peer).sendall(data)
                if not data:
                    return

"""
A server that speaks PostgreSQL's protocol to do harm: a script for each client.

A script is a generator function: it is given what reads the client's messages, and
yields what is sent. Where it ends, the server says nothing more and keeps the line.
"""

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread


Read = Callable[[], bytes]
"""Waits for the client's next message, and returns it with its type."""

Script = Callable[[Read], Iterator[bytes]]

_NO_TLS = b"N"
_TLS, _GSS = 80877103, 80877104
_GIGABYTE = 1 << 30


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message as protocol-message-formats has them."""
    return kind + struct.pack("!i", len(body) + 4) + body


def _asked(code: int, rest: bytes = b"") -> bytes:
    return message(b"R", struct.pack("!i", code) + rest)


def _fields(**fields: str) -> bytes:
    return b"".join(n.encode() + v.encode() + b"\0" for n, v in fields.items()) + b"\0"


def _parameter(name: str, value: str) -> bytes:
    return message(b"S", f"{name}\0{value}\0".encode())


READY = message(b"Z", b"I")
NOTICE = message(b"N", _fields(S="NOTICE", V="NOTICE", C="00000", M="x" * 1000))
_ROW_TYPE = message(
    b"T", struct.pack("!h", 1) + b"a\0" + bytes(6) + struct.pack("!ihih", 25, -1, -1, 0)
)
_ROW = message(b"D", struct.pack("!hi", 1, 1000) + b"x" * 1000)
_DONE = message(b"C", b"SELECT 1\0")
_WELCOME = b"".join(
    (
        _asked(0),
        _parameter("server_version", "17.0"),
        _parameter("client_encoding", "UTF8"),
        _parameter("standard_conforming_strings", "on"),
        message(b"K", struct.pack("!ii", 4711, 1)),
    )
)


def _endless(*parts: bytes) -> Iterator[bytes]:
    block = b"".join(parts) * 64
    while True:
        yield block


def _start(*sent: bytes, then: tuple[bytes, ...] = ()) -> Script:
    """Answer the start-up packet with *sent*, and go on with *then* for ever."""

    def script(read: Read) -> Iterator[bytes]:
        read()
        yield from sent
        if then:
            yield from _endless(*then)

    return script


def _query(*sent: bytes, then: tuple[bytes, ...] = ()) -> Script:
    """Welcome the client, and answer each of its queries so."""

    def script(read: Read) -> Iterator[bytes]:
        read()
        yield _WELCOME + READY
        while read():
            yield from sent
            if then:
                yield from _endless(*then)

    return script


def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(4096)


def _connect(*sent: bytes) -> Script:
    """Send at once, whatever the client says."""
    return lambda read: iter(sent)


def _sasl(read: Read) -> Iterator[bytes]:
    """Ask for another round of SCRAM each time."""
    read()
    yield _asked(10, b"SCRAM-SHA-256\0\0")
    while answer := read():
        nonce = answer.partition(b"r=")[2] or b"x"
        yield _asked(11, b"r=" + nonce + b"y,s=c2FsdA==,i=4096")


def _passwords(read: Read) -> Iterator[bytes]:
    """Ask for the password again each time."""
    while read():
        yield _asked(3)


SCRIPTS: dict[str, Script] = {
    "noise at once": _connect(_noise(1)),
    "noise after the start-up packet": _start(_noise(2)),
    "noise after the handshake": _start(_asked(0), _noise(3)),
    "noise for an answer": _query(_noise(4)),
    "a negative length": _query(b"T" + struct.pack("!i", -5)),
    "a length of zero": _start(b"R" + struct.pack("!i", 0)),
    "a huge length": _query(b"D" + struct.pack("!i", _GIGABYTE)),
    "endless rows": _query(_ROW_TYPE, then=(_ROW,)),
    "endless results": _query(then=(_ROW_TYPE, _ROW, _DONE)),
    "endless command tags": _query(then=(_DONE,)),
    "endless notices": _query(then=(NOTICE,)),
    "endless notices at the start": _start(_asked(0), then=(NOTICE,)),
    "endless notifications": _query(
        then=(message(b"A", struct.pack("!i", 1) + b"c\0p\0"),)
    ),
    "endless parameters": _query(then=(_parameter("application_name", "x" * 1000),)),
    "silence at once": _connect(),
    "silence after the start-up packet": _start(),
    "silence after authentication": _start(_asked(0)),
    "silence after a query": _query(),
    "silence in a message": _query(_ROW_TYPE[:7]),
    "an unknown authentication": _start(_asked(99)),
    "no authentication that we know": _start(_asked(10, b"SCRAM-NONE\0\0")),
    "endless authentication": _sasl,
    "endless password requests, and nobody reads": _start(then=(_asked(3),)),
    "endless password requests": _passwords,
    "a huge notice at the start": _start(
        _asked(0), b"N" + struct.pack("!i", _GIGABYTE), then=(b"x" * 1000,)
    ),
    "a huge notice": _query(b"N" + struct.pack("!i", _GIGABYTE), then=(b"x" * 1000,)),
    "a huge row": _query(
        _ROW_TYPE + b"D" + struct.pack("!i", _GIGABYTE), then=(b"x" * 1000,)
    ),
    "a short salt": _start(_asked(5, b"ab")),
    "a wrong parameter": _start(_asked(0), message(b"S", b"no end")),
    "an error without fields": _query(message(b"E", b"\0") + READY),
    "an error without fields at the start": _start(message(b"E", b"\0")),
    "no answer but ready": _query(READY),
    "an empty query": _query(message(b"I") + READY),
    "a tag out of turn": _query(_DONE + READY),
    "a row out of turn": _query(_ROW + READY),
    "another type of row": _query(
        _ROW_TYPE + message(b"D", struct.pack("!h", 7)) + READY
    ),
    "rows that mean nothing": _query(_ROW_TYPE + _ROW + _DONE + READY),
    "copy in": _query(message(b"G", struct.pack("!bh", 0, 0))),
    "copy out": _query(
        message(b"H", struct.pack("!bh", 0, 0)), then=(message(b"d", b"x" * 1000),)
    ),
}


@contextmanager
def hostile(script: Script) -> Iterator[str]:
    """Serve every client by *script* for the length of the block; yield its DSN."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        # what is not read fills the line soon
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lines: list[socket.socket] = []
        threads = [Thread(target=_serve, args=(listener, script, lines))]
        threads[0].start()
        try:
            yield f"postgresql://u:p@127.0.0.1:{listener.getsockname()[1]}/db"
        finally:
            for each in (listener, *lines):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            threads[0].join()


def _serve(listener: socket.socket, script: Script, lines: list[socket.socket]) -> None:
    threads = []
    with suppress(OSError):
        while True:
            line, _ = listener.accept()
            lines.append(line)
            threads.append(Thread(target=_play, args=(line, script)))
            threads[-1].start()
    for thread in threads:
        thread.join()
    for line in lines:
        line.close()


def _play(line: socket.socket, script: Script) -> None:
    with suppress(OSError):
        for part in script(lambda: _read(line)):
            line.sendall(part)
        while line.recv(1 << 16):
            pass


def _read(line: socket.socket) -> bytes:
    """Return a message; a client's first one has no type, and no TLS comes of it."""
    head = line.recv(1, socket.MSG_PEEK)
    if head != b"\0":
        kind = line.recv(1)
        return kind and kind + _exactly(line, int.from_bytes(_exactly(line, 4)) - 4)
    body = _exactly(line, int.from_bytes(_exactly(line, 4)) - 4)
    if int.from_bytes(body[:4]) in {_TLS, _GSS}:
        line.sendall(_NO_TLS)
        return _read(line)
    return body


def _exactly(line: socket.socket, size: int) -> bytes:
    return line.recv(size, socket.MSG_WAITALL) if size > 0 else b""

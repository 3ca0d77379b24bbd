"""
A proxy that speaks PostgreSQL's protocol and does harm at one message.

It hands on whole messages, and counts them in each direction over all connections, in
the order in which they come. At the chosen one the fault happens, once; what is there
and what comes afterwards is served undisturbed, or as `Afterwards` says.

A message is what protocol-message-formats calls one: a type and a length. The first one
of a client has no type, and a request for TLS is answered by one byte. Requests to
cancel are handed on and not counted: an undisturbed run has none.
"""

import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from threading import Event, Thread


class Direction(Enum):
    """Which way a message goes."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"


class Fault(Enum):
    """What happens to the message, and to its connection."""

    CUT = "cut"
    """The message arrives; then both sides are closed."""

    RESET = "reset"
    """The message is sent; then both sides are reset, which may overtake it."""

    DROP = "drop"
    """The message is lost; then both sides are closed."""

    STALL = "stall"
    """The message is lost, and nothing arrives any more in either direction."""

    ACT = "act"
    """Something is done elsewhere before the message arrives."""


class Afterwards(Enum):
    """What happens to connections that are opened after the fault."""

    SERVE = "serve"
    REFUSE = "refuse"
    MUTE = "mute"
    """They are taken, and nobody answers: requests to cancel are lost, too."""


Act = Callable[["Proxy"], None]


def _nothing(proxy: "Proxy") -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens, and when; message 0 never comes."""

    fault: Fault = Fault.ACT
    direction: Direction = Direction.TO_SERVER
    message: int = 0
    afterwards: Afterwards = Afterwards.SERVE
    act: Act = _nothing


_CHUNK = 1 << 16
_HEADER = struct.Struct("!II")
_CANCEL, _TLS, _GSS = 80877102, 80877103, 80877104
_KEY = b"K"


@dataclass(eq=False, slots=True)
class Line:
    """One client's connection."""

    number: int
    client: socket.socket
    server: socket.socket
    silent: bool = False
    """Whether nothing is handed on any more."""

    begun: bool = False
    """Whether the client's first message, which has no type, has come."""

    cancels: bool = False
    pid: int = 0
    """The pid of the server's session; 0 before the server has sent it."""

    bytes_due: int = 0
    """How many answers of one byte are to come."""

    unread: dict[Direction, bytearray] = field(
        default_factory=lambda: {direction: bytearray() for direction in Direction}
    )

    def ends(self, direction: Direction) -> tuple[socket.socket, socket.socket]:
        """Return where messages of that direction come from, and where they go."""
        pair = (self.client, self.server)
        return pair if direction is Direction.TO_SERVER else pair[::-1]

    def messages(self, direction: Direction) -> Iterator[tuple[str, bytes]]:
        """Yield the whole messages that are here, each with its type."""
        unread = self.unread[direction]
        while (size := self._size(direction, unread)) and size <= len(unread):
            message = bytes(unread[:size])
            del unread[:size]
            yield self._kind(direction, message), message

    def _size(self, direction: Direction, unread: bytearray) -> int:
        if direction is Direction.TO_CLIENT and self.bytes_due:
            return 1
        typed = int(self.begun or direction is Direction.TO_CLIENT)
        if len(unread) < typed + 4:
            return 0
        return typed + int.from_bytes(unread[typed : typed + 4], "big")

    def _kind(self, direction: Direction, message: bytes) -> str:
        if direction is Direction.TO_CLIENT and self.bytes_due:
            self.bytes_due -= 1
            return f"byte {message.decode()}"
        if direction is Direction.TO_SERVER and not self.begun:
            return self._first(message)
        if direction is Direction.TO_CLIENT and message[:1] == _KEY:
            self.pid = int.from_bytes(message[5:9], "big")
        return message[:1].decode()

    def _first(self, message: bytes) -> str:
        code = _HEADER.unpack(message[:8])[1]
        if code in {_TLS, _GSS}:
            self.bytes_due += 1
            return "TLS?"
        self.begun, self.cancels = True, code == _CANCEL
        return "cancel" if self.cancels else "start-up"


class Proxy:
    """A proxy before 127.0.0.1:*port*; see `proxied`."""

    def __init__(self, listener: socket.socket, port: int, plan: Plan) -> None:
        self.fired = False
        self.moment = Event()
        """Set when the fault has happened; whoever waits for that may set it, too."""

        self.seen: dict[Direction, list[str]] = {each: [] for each in Direction}
        """Connection and type of each message, up to the fault."""

        self.pids: dict[int, int] = {}
        """The server's process of each connection, by its number from 1."""

        self._listener = listener
        self._port = port
        self._plan = plan
        self._lines: list[Line] = []
        self._number = 0
        self._over, self._waker = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._thread = Thread(target=self._serve, daemon=True)

    @property
    def counts(self) -> dict[Direction, int]:
        """Return how many messages have come, up to the fault."""
        return {direction: len(seen) for direction, seen in self.seen.items()}

    @property
    def at(self) -> str:
        """Return where the fault happens, for people."""
        direction = self._plan.direction
        last = self.seen[direction][-1:]
        return f"{direction.value} {len(self.seen[direction])}: {', '.join(last)}"

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        """Serve from now on."""
        self._selector.register(self._over, selectors.EVENT_READ, None)
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._thread.start()

    def stop(self) -> None:
        """Close everything."""
        self._waker.send(b"x")
        self._thread.join()
        ends = [end for line in self._lines for end in (line.client, line.server)]
        for each in (*ends, self._over, self._waker):
            each.close()
        self._selector.close()

    def cut(self) -> None:
        """End all connections."""
        for line in list(self._lines):
            for each in (line.client, line.server):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._over:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif not key.data[0].silent:
                    self._read(*key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        mute = self._over_and_is(Afterwards.MUTE)
        try:
            server = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            client.close()
            return
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number += 1
        line = Line(self._number, client, server, silent=mute)
        self._lines.append(line)
        if not mute:
            for direction in Direction:
                self._register(line, direction)

    def _register(self, line: Line, direction: Direction) -> None:
        source = line.ends(direction)[0]
        self._selector.register(source, selectors.EVENT_READ, (line, direction))

    def _over_and_is(self, afterwards: Afterwards) -> bool:
        return self.fired and self._plan.afterwards is afterwards

    def _read(self, line: Line, direction: Direction) -> None:
        source, sink = line.ends(direction)
        try:
            data = source.recv(_CHUNK)
            line.unread[direction] += data
            for kind, message in line.messages(direction):
                if self._is_it(line, direction, kind):
                    self._fire(line, sink, message)
                else:
                    sink.sendall(message)
                if line.silent:
                    return
        except OSError:
            data = b""
        if not data:
            self._end(line)

    def _is_it(self, line: Line, direction: Direction, kind: str) -> bool:
        if line.pid:
            self.pids[line.number] = line.pid
        if self.fired or line.cancels:
            return False
        seen, plan = self.seen[direction], self._plan
        seen.append(f"{line.number}/{kind}")
        return (direction, len(seen)) == (plan.direction, plan.message)

    def _fire(self, line: Line, sink: socket.socket, message: bytes) -> None:
        fault = self._plan.fault
        if fault is Fault.ACT:
            self._plan.act(self)
        if fault not in {Fault.DROP, Fault.STALL}:
            with suppress(OSError):
                sink.sendall(message)
        if self._plan.afterwards is Afterwards.REFUSE:
            self._selector.unregister(self._listener)
            self._listener.close()
        if fault is Fault.STALL:
            self._silence(line)
        elif fault is not Fault.ACT:
            self._end(line, reset=fault is Fault.RESET)
        self.fired = True
        self.moment.set()

    def _silence(self, line: Line) -> None:
        line.silent = True
        for each in (line.client, line.server):
            self._selector.unregister(each)

    def _end(self, line: Line, *, reset: bool = False) -> None:
        self._silence(line)
        for each in (line.client, line.server):
            if reset:
                linger = struct.pack("ii", 1, 0)
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                each.close()
            else:  # closed with the proxy: what comes until then would be answered by RST
                with suppress(OSError):
                    each.shutdown(socket.SHUT_WR)


@contextmanager
def proxied(port: int, plan: Plan | None = None) -> Iterator[Proxy]:
    """Run a proxy before 127.0.0.1:*port* for the length of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = Proxy(listener, port, plan or Plan())
        proxy.start()
        try:
            yield proxy
        finally:
            proxy.stop()

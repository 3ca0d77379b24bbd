"""
A TCP proxy that makes a server on this machine as far away as one wishes.

It is a process of its own and knows the standard library only:
`python delay.py HOST PORT RTT_MS` prints the port it listens on, and ends when its
standard input does.

Each direction is a queue of (due, bytes), so nothing but time is changed: bytes are never
held back for those before them, and the queue has no bound. accept() on loopback is
immediate, so the first bytes of a client are held for a further round trip, which
is the one that the TCP handshake would have taken.
"""

import os
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path


_CHUNK = 1 << 18

# What waking up, reading and writing take for each direction: measured, so that a round
# trip of 1 ms takes 1.0 ms and not 1.15.
_HOP_S = 60e-6

Ready = set[int | socket.socket]
"""What can be read; 0 is standard input."""


@contextmanager
def delayed(host: str, port: int, rtt_ms: float) -> Iterator[int]:
    """
    Run the proxy for the length of the block and yield its port on 127.0.0.1.

    A round trip through it takes *rtt_ms* milliseconds longer.
    """
    with subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, host, str(port), str(rtt_ms)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdin:
            yield int(process.stdout.readline())


@dataclass(slots=True)
class Flow:
    """One direction of one connection: what was read and when it is to be written."""

    source: socket.socket
    sink: socket.socket
    delay_s: float
    extra_s: float = 0
    """For the first bytes only."""

    ended: bool = False
    done: bool = False
    blocked: bool = False
    queue: deque[tuple[float, bytes]] = field(default_factory=deque)

    def read(self, now: float) -> None:
        """Take what is there; the end of the stream is taken as empty bytes."""
        data = self.source.recv(_CHUNK)
        due = now + self.delay_s + self.extra_s
        if self.queue:
            due = max(due, self.queue[-1][0])
        self.extra_s = 0
        self.ended = not data
        self.queue.append((due, data))

    def write(self, now: float) -> None:
        """Hand on what is due, as far as the other side takes it."""
        self.blocked = False
        while self.queue and self.queue[0][0] <= now and not self.blocked:
            due, data = self.queue.popleft()
            if data:
                self._send(due, data)
            else:
                self.done = True
                self.sink.shutdown(socket.SHUT_WR)

    def _send(self, due: float, data: bytes) -> None:
        try:
            sent = self.sink.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.blocked = True
            self.queue.appendleft((due, data[sent:]))


@dataclass(frozen=True, slots=True)
class Pair:
    """The two directions of one connection."""

    out: Flow
    back: Flow

    @property
    def flows(self) -> tuple[Flow, Flow]:
        """Both of them."""
        return self.out, self.back

    def step(self, readable: Ready, now: float) -> bool:
        """Read and write what can be; False when the connection is over."""
        try:
            for flow in self.flows:
                if flow.source in readable:
                    flow.read(now)
                flow.write(now)
        except OSError:  # one side is gone, so the other has nobody to talk to
            return False
        return not (self.out.done and self.back.done)

    def close(self) -> None:
        """Close both sockets."""
        self.out.source.close()
        self.out.sink.close()


def accepted(
    listener: socket.socket, server: tuple[str, int], rtt_s: float
) -> Iterator[Pair]:
    """Yield the connection that has come, if the server takes it."""
    client, _ = listener.accept()
    try:
        upstream = socket.create_connection(server)
    except OSError:
        client.close()
        return
    for each in (client, upstream):
        each.setblocking(False)
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    half = max(0.0, rtt_s / 2 - _HOP_S)
    yield Pair(Flow(client, upstream, half, rtt_s), Flow(upstream, client, half))


def forward(listener: socket.socket, server: tuple[str, int], rtt_s: float) -> None:
    """Serve until standard input ends."""
    pairs: list[Pair] = []
    readable: Ready = set()
    while 0 not in readable:
        now = time.monotonic()
        for pair in [pair for pair in pairs if not pair.step(readable, now)]:
            pair.close()
            pairs.remove(pair)
        if listener in readable:
            pairs += accepted(listener, server, rtt_s)
        readable = _ready(listener, [flow for pair in pairs for flow in pair.flows])


def _ready(listener: socket.socket, flows: list[Flow]) -> Ready:
    """Wait until something can be done, and return what can be read."""
    due = [flow.queue[0][0] for flow in flows if flow.queue and not flow.blocked]
    sources: list[int | socket.socket] = [0, listener]
    sources += [flow.source for flow in flows if not flow.ended]
    found, _, _ = select.select(  # unlike epoll, it waits for parts of a millisecond
        sources,
        [flow.sink for flow in flows if flow.blocked],
        [],
        max(0, min(due) - time.monotonic()) if due else None,
    )
    return set(found)


def main() -> None:
    """Listen, say where, and serve."""
    host, port, rtt_ms = sys.argv[1:]
    with suppress(OSError):  # Linux lets timers be late by 50 us by default
        Path("/proc/self/timerslack_ns").write_text("1")
    with suppress(OSError):  # root's: a busy machine is not a distant one
        os.nice(-10)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)  # noqa: T201
        forward(listener, (host, int(port)), float(rtt_ms) / 1000)


if __name__ == "__main__":
    main()

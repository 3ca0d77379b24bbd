"""Many runners that begin at the same moment, round by round."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from migrator.cli import main
from migrator.exit_codes import RETRYABLE
from tests.faults.process_pool import forking


_PATIENCE_S = 120.0
_MOST_RUNS = 20


@dataclass(frozen=True, slots=True)
class Member:
    """What one runner of a round has come to."""

    codes: tuple[int, ...]
    """Of its runs: it tries again as long as the code says that this may help."""

    applied: tuple[int, ...]
    """Versions, in the order in which it has applied them."""

    waited: frozenset[str | None]
    """The SQLSTATEs with which the server did not take a connection."""


class RunnerGroup:
    """Processes that wait for the next round."""

    def __init__(self, context: ForkServerContext, size: int) -> None:
        self._start = context.Barrier(size + 1)
        self._results: Queue[Member] = context.Queue()
        self._work: Queue[Mapping[str, str]] = context.Queue()
        member = (self._work, self._start, self._results)
        self._members = [
            context.Process(target=_member, args=member, daemon=True)
            for _ in range(size)
        ]
        for each in self._members:
            each.start()

    def round(self, environ: Mapping[str, str]) -> list[Member]:
        """Let all of them run at the same moment, and return what they came to."""
        for _ in self._members:
            self._work.put(environ)
        self._start.wait(_PATIENCE_S)
        return [self._results.get(timeout=_PATIENCE_S) for _ in self._members]

    def end(self) -> None:
        """End them; nothing runs, so they need not say goodbye."""
        for each in self._members:
            each.kill()
        for each in self._members:
            each.join(_PATIENCE_S)


@contextmanager
def runner_group(size: int) -> Iterator[RunnerGroup]:
    """Keep *size* processes for the length of the block."""
    found = RunnerGroup(forking(), size)
    try:
        yield found
    finally:
        found.end()


def _member(
    work: "Queue[Mapping[str, str]]", start: Barrier, results: "Queue[Member]"
) -> None:
    while True:
        environ = work.get()
        start.wait(_PATIENCE_S)
        results.put(_ran(environ))


def _ran(environ: Mapping[str, str]) -> Member:
    codes: list[int] = []
    lines: list[dict[str, Any]] = []
    while len(codes) < _MOST_RUNS and (not codes or codes[-1] in RETRYABLE):
        stdout = io.StringIO()
        codes.append(int(main(["up"], environ, stdout)))
        lines += [json.loads(line) for line in stdout.getvalue().splitlines()]
    applied = [
        line["version"] for line in lines if line["event"] == "migration.applied"
    ]
    waits = [
        line.get("sqlstate") for line in lines if line["event"] == "connection.retried"
    ]
    return Member(tuple(codes), tuple(applied), frozenset(waits))

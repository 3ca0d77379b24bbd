"""The application in front: short reads and writes whose latency is recorded."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg


TABLES = (
    "CREATE TABLE accounts (id int PRIMARY KEY, balance int NOT NULL);"
    "CREATE TABLE aside (LIKE accounts INCLUDING ALL);"
    "INSERT INTO accounts SELECT n, 0 FROM generate_series(1, 1000) n;"
    "INSERT INTO aside TABLE accounts"
)
"""What the load works on; nobody else touches `aside`, which shows the machine's noise."""

_PAUSE_S = 0.002
_SESSIONS = 4


@dataclass(frozen=True, slots=True)
class Latency:
    """One transaction: when it began, on the wall clock, and how long it took."""

    began: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """What several sessions have done to a table since they began."""

    seen: list[Latency] = field(default_factory=list)
    aside: list[Latency] = field(default_factory=list)
    """The same on a table of which nobody else knows."""

    @property
    def stall_s(self) -> float:
        """The longest that a transaction took."""
        return max(each.took_s for each in self.seen)

    @property
    def noise_s(self) -> float:
        """The longest that one took which nobody was in the way of."""
        return max(each.took_s for each in self.aside)

    def within(self, begin: float, end: float) -> int:
        """How many transactions began and ended between two moments."""
        return sum(
            begin <= each.began and each.began + each.took_s <= end
            for each in self.seen
        )


@contextmanager
def load(dsn: str) -> Iterator[Load]:
    """Read and write `accounts` from several sessions for the length of the block."""
    result, over = Load(), threading.Event()

    def work(table: str, into: list[Latency]) -> Callable[[], None]:
        return lambda: _work(dsn, table, into, over)

    jobs = [work("accounts", result.seen)] * _SESSIONS + [work("aside", result.aside)]
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    try:
        yield result
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _work(dsn: str, table: str, into: list[Latency], over: threading.Event) -> None:
    choose = random.Random(0)
    with psycopg.connect(dsn, autocommit=True) as conn:
        while not over.wait(_PAUSE_S):
            began, started = time.time(), time.monotonic()
            row = [choose.randint(1, 1000)]
            with conn.transaction():
                conn.execute(f"SELECT balance FROM {table} WHERE id = %s".encode(), row)
                conn.execute(
                    f"UPDATE {table} SET balance = balance + 1 WHERE id = %s".encode(),
                    row,
                )
            into.append(Latency(began, time.monotonic() - started))

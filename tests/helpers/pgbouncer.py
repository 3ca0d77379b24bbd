"""A real PgBouncer before a test's server, as a process."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.postgres import answers, ends_with_us, free_port


_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"
_SETTINGS = """
[databases]
* = {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(dsn: str, *, size: int = 5, mode: str = "transaction") -> Iterator[str]:
    """The DSN of the same database through a PgBouncer with so many sessions."""
    program = shutil.which("pgbouncer", path=_PLACES)
    if program is None:
        pytest.skip("pgbouncer is not installed: apt-get install pgbouncer")
    server, port = conninfo_to_dict(dsn), free_port()
    # without dbname: `*` hands on the one that the client asks for
    named = {k: server[k] for k in ("host", "port", "user", "password") if k in server}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "pgbouncer.ini"
        settings.write_text(
            _SETTINGS.format(
                database=make_conninfo("", **named),
                port=port,
                mode=mode,
                size=size,
                folder=folder,
            )
        )
        client = {"dbname": server["dbname"], "user": server.get("user")}
        with _running(program, settings):
            yield _answering(make_conninfo("", host="127.0.0.1", port=port, **client))


@contextmanager
def _running(program: str, settings: Path) -> Iterator[None]:
    user = None
    if os.geteuid() == 0:  # which PgBouncer refuses to be
        user = "nobody"
        shutil.chown(settings.parent, user)
    command = ends_with_us("KILL", program, "--quiet", settings)
    process = subprocess.Popen(command, user=user)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _answering(dsn: str) -> str:
    end = time.monotonic() + 20
    while not answers(dsn):
        assert time.monotonic() < end, "pgbouncer does not answer"
        time.sleep(0.05)
    return dsn

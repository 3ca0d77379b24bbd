"""A peer that is slow is waited for; one that has gone loses its session and lock."""

import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import cast

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator.domain.backoff import Backoff
from migrator.events.base import ignore_events
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import LIVENESS_SETTINGS, parse_dsn
from migrator.pg.connection.embedded import embedded_server
from migrator.pg.connection.session import accepted_settings
from migrator.pg.connection.tcp_liveness import SlowReader
from migrator.process.cancellation import Cancellation
from tests.helpers.fake_servers import answering, fatal, relay
from tests.helpers.round_trips import server_of
from tests.helpers.support import run, started, until, write


def changed(dsn: str, **parameters: str) -> str:
    """The DSN with other parameters."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), **parameters})


def connect(dsn: str) -> psycopg.Connection:
    """Connect as a run does."""
    database = Database(dsn=parse_dsn(dsn), backoff=Backoff(total_s=0))
    return database.connect(ignore_events, Cancellation())


def sessions(conn: psycopg.Connection) -> int:
    """How many other sessions this database has."""
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
    ).fetchone()
    return row[0] if row else 0


def locked(conn: psycopg.Connection) -> bool:
    """Whether somebody has the migration lock of this database."""
    row = conn.execute(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE locktype = 'advisory' AND datname = current_database() AND granted"
    ).fetchone()
    return row != (0,)


def shown(conn: psycopg.Connection, names: Iterable[str]) -> dict[str, str]:
    """What the session says of settings."""
    rows = [conn.execute(f"SHOW {name}".encode()).fetchone() for name in names]
    return {name: row[0] for name, row in zip(names, rows, strict=True) if row}


def sleeping(conn: psycopg.Connection) -> bool:
    """Whether another session of this database is in pg_sleep."""
    row = conn.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event = 'PgSleep'"
    ).fetchone()
    return row != (0,)


@contextmanager
def napping(dsn: str, *, nap_s: float = 3) -> Iterator[str]:
    """
    The DSN of the same database, through a proxy that does not read for a while.

    It has small buffers, and naps each time that it has read the word NAP: then it
    takes nothing from the client, as a server that is busy.
    """
    parameters = conninfo_to_dict(dsn)

    def serve(client: socket.socket) -> None:
        with client, closing(server_of(parameters)) as server, suppress(OSError):
            while ready := select.select([client, server], [], [])[0]:
                for source in ready:
                    data = source.recv(2048)
                    (server if source is client else client).sendall(data)
                    if source is client and b"NAP" in data:
                        time.sleep(nap_s)
                    if not data:
                        return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    Thread(target=serve, args=listener.accept()[:1]).start()

        Thread(target=accept, daemon=True).start()
        port = str(listener.getsockname()[1])
        yield changed(dsn, host="127.0.0.1", port=port)
        listener.shutdown(socket.SHUT_RDWR)


# behind each NAP is more than the kernel takes for somebody who does not read
ROWS = f"INSERT INTO a VALUES ('{'x' * 100_000}');\n" * 100
STATEMENTS = f"CREATE TABLE a (b text);\nSELECT 'NAP';\n{ROWS}"
LINES = ("x" * 100_000 + "\n") * 100
COPY = f"CREATE TABLE a (b text);\nCOPY a FROM stdin;\nNAP\n{LINES}\\.\n"
SCRIPT = f"""
import time

def up(conn):
    conn.execute("CREATE TABLE a (b text)")
    with conn.cursor().copy("COPY a FROM stdin") as copy:
        copy.write("NAP\\n")
        copy.write({LINES!r})
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [("1_a.sql", STATEMENTS), ("1_a.sql", COPY), ("1_a.py", SCRIPT)],
    ids=["statements", "copy", "script"],
)
def test_a_server_that_does_not_read_is_not_dead(
    database: str, tmp_path: Path, name: str, content: str
) -> None:
    """It may be at work for as long as it takes; Linux alone would give it up."""
    text = content if name.endswith(".py") else f"-- +goose Up\n{content}"
    directory = write(tmp_path / "m", {name: text.encode()})

    with napping(changed(database, tcp_user_timeout="500")) as dsn:
        result = run(
            "up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory)
        )

    assert (result.exit_code, result.verdict["error"]) == (0, None)


READING = """
import time

def up(conn):
    query = "SELECT repeat('x', 100000) FROM generate_series(1, 1000)"
    with conn.cursor().copy(f"COPY ({query}) TO STDOUT") as copy:
        time.sleep(3)
        assert sum(len(row) for row in copy) > 100_000_000
"""


def test_a_script_that_does_not_read_is_not_dead(database: str, tmp_path: Path) -> None:
    """The server waits for it: it may think for as long as it takes."""
    directory = write(tmp_path / "m", {"1_a.py": READING.encode()})
    hasty = changed(database, options="-c tcp_user_timeout=500")

    result = run(
        "up", MIGRATOR_DATABASE_URL=hasty, MIGRATOR_MIGRATIONS_DIR=str(directory)
    )

    assert (result.exit_code, result.verdict["error"]) == (0, None)


@pytest.mark.usefixtures("both_ways")
def test_a_killed_process_leaves_neither_session_nor_lock(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Also out of a statement that would take a minute: the server looks for us."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT pg_sleep(60);"})

    with started(database, directory) as process:
        until(lambda: sleeping(conn))
        there = sessions(conn), locked(conn)
        process.kill()
        since = time.monotonic()
        until(lambda: not locked(conn))
        unlocked_s = time.monotonic() - since
        until(lambda: not sessions(conn))

    gone_s = time.monotonic() - since
    figures = f"unlocked in {unlocked_s:.1f} s, gone in {gone_s:.1f} s"
    print(f"\nafter SIGKILL: {figures}")  # noqa: T201 - figures for who reads the output
    assert there == (2, True)


COURTEOUS = {
    "client_connection_check_interval": "1s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "5",
    "tcp_user_timeout": "20000",
}


def test_both_ends_look_for_each_other(database: str) -> None:
    """The server by settings of our session, we by libpq's; on a socket neither."""
    with connect(database) as conn:
        kept = shown(conn, COURTEOUS)
        with socket.socket(fileno=os.dup(conn.fileno())) as line:
            local = line.family == socket.AF_UNIX
            ours = 0 if local else line.getsockopt(6, socket.TCP_USER_TIMEOUT)

    off = dict.fromkeys(COURTEOUS, "0") | {"client_connection_check_interval": "1s"}
    assert (kept, ours) == ((off, 0) if local else (COURTEOUS, 20_000))


def test_a_unix_socket_knows_no_keepalives(tmp_path: Path) -> None:
    """A server of one's own is reached by one, and what it cannot keep does no harm."""
    with embedded_server(str(tmp_path / "data")) as dsn, connect(dsn) as conn:
        with socket.socket(fileno=os.dup(conn.fileno())) as line:
            family = line.family
        kept = shown(conn, COURTEOUS)

    assert family == socket.AF_UNIX
    assert kept == dict.fromkeys(COURTEOUS, "0") | {
        "client_connection_check_interval": "1s"
    }


def test_the_urls_own_words_win(database: str) -> None:
    """What it says of the server's side, and of ours."""
    own = changed(
        database, tcp_user_timeout="7000", options="-c tcp_keepalives_idle=99"
    )

    with connect(own) as conn, socket.socket(fileno=os.dup(conn.fileno())) as line:
        local = line.family == socket.AF_UNIX
        ours = 7000 if local else line.getsockopt(6, socket.TCP_USER_TIMEOUT)
        idle = shown(conn, ["tcp_keepalives_idle"])

    assert (ours, idle) == (7000, {"tcp_keepalives_idle": "0" if local else "99"})


INHERITED = {
    "statement_timeout": "1",
    "lock_timeout": "1",
    "idle_in_transaction_session_timeout": "1",
    "idle_session_timeout": "1",
    "transaction_timeout": "200",  # looking at all takes a few of these
    "client_connection_check_interval": "0",
    "tcp_keepalives_idle": "7000",
    "tcp_user_timeout": "1",
}


@pytest.mark.parametrize("target", ["ROLE", "DATABASE", "ROLE IN DATABASE"])
@pytest.mark.usefixtures("both_ways")
def test_no_timeout_is_inherited(
    database: str, conn: psycopg.Connection, tmp_path: Path, target: str
) -> None:
    """What an application's role or database sets ends no migration and no lock."""
    login, dbname = f"calm_{conn.info.backend_pid}", conn.info.dbname
    conn.execute(f"CREATE ROLE {login} SUPERUSER LOGIN PASSWORD 'x'")
    known = conn.execute(
        "SELECT array_agg(name) FROM pg_settings WHERE name = ANY(%s)",
        [list(INHERITED)],
    ).fetchone()
    altered = {
        "ROLE": f"ROLE {login}",
        "DATABASE": f"DATABASE {dbname}",
        "ROLE IN DATABASE": f"ROLE {login} IN DATABASE {dbname}",
    }[target]
    for name in known[0] if known else ():
        conn.execute(f"ALTER {altered} SET {name} = {INHERITED[name]}".encode())
    slow = "CREATE TABLE a ();\nSELECT pg_sleep(0.3);"
    directory = write(tmp_path / "m", {"1_a.sql": slow, "2_b.sql": "SELECT 1;"})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=changed(database, user=login, password="x"),
        MIGRATOR_MIGRATIONS_DIR=str(directory),
    )

    conn.execute(f"ALTER DATABASE {dbname} RESET ALL")
    conn.execute(f"DROP OWNED BY {login} CASCADE; DROP ROLE {login}")
    assert (result.exit_code, result.verdict["applied"]) == (0, [1, 2])


def test_a_server_takes_what_it_can(conn: psycopg.Connection) -> None:
    """What its platform does not know is left out, and nothing is set by trying."""
    wanted = {**LIVENESS_SETTINGS, "tcp_user_timeout": "-1", "no_such_setting": "1"}

    taken = accepted_settings(conn, wanted)

    assert taken == {
        n: v for n, v in LIVENESS_SETTINGS.items() if n != "tcp_user_timeout"
    }
    assert shown(conn, ["client_connection_check_interval"]) == {
        "client_connection_check_interval": "0"
    }


REFUSED = 'invalid value for parameter "client_connection_check_interval": "1000"'


def test_a_platform_that_refuses_is_connected_to_without(database: str) -> None:
    """Windows knows no client_connection_check_interval; all else is set there too."""
    parameters = conninfo_to_dict(database)

    def answer(peer: socket.socket) -> None:
        first = peer.recv(4096)
        while first[4:6] == b"\x04\xd2":  # asks for encryption
            peer.sendall(b"N")
            first = peer.recv(4096)
        if b"client_connection_check_interval" in first:
            peer.sendall(fatal("22023", REFUSED))
            return
        with closing(server_of(parameters)) as server:
            server.sendall(first)
            relay(peer, server)

    with answering(answer) as dsn:
        place = conninfo_to_dict(dsn)
        through = changed(database, host="127.0.0.1", port=str(place["port"]))
        with connect(through) as conn:
            kept = shown(conn, ["client_connection_check_interval", "lock_timeout"])

    assert kept == {"client_connection_check_interval": "0", "lock_timeout": "5s"}


class Line:
    """What the kernel says of a line to a server that has died."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        """Three retransmits, and no probe."""
        return bytes((1, 0, 3, 0, 0, 0, 0, 0))


def test_a_server_that_confirms_nothing_is_dead() -> None:
    """Once its time is over, and not before."""
    peer = SlowReader(cast("socket.socket", Line()), 0.2)

    peer.check()
    peer.check()
    time.sleep(0.25)

    with pytest.raises(psycopg.OperationalError) as caught:
        peer.check()
    assert str(caught.value) == "the server has confirmed nothing for 0.2 s"


def test_without_a_limit_a_silent_server_is_waited_for() -> None:
    """`tcp_user_timeout=0` in the URL: the kernel's own limit is all there is."""
    peer = SlowReader(cast("socket.socket", Line()), 0)

    for _ in range(3):
        peer.check()

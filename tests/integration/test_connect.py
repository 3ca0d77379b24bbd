"""Which connection failures are waited for, and which end the run at once."""

import socket
import ssl
import struct
import subprocess
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator.domain.backoff import Backoff
from migrator.domain.model import SessionState
from migrator.errors import AccessDeniedError, UnavailableError, UsageError
from migrator.events.base import Observer
from migrator.events.database import ConnectionRetried
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.connection.pooler import Link
from migrator.pg.connection.session import restore_settings
from migrator.process.cancellation import Cancellation
from tests.helpers.fake_servers import answering, fatal, relay, speaking
from tests.helpers.round_trips import server_of
from tests.helpers.support import Recorder


def connect(
    dsn: str,
    observe: Observer = lambda event: None,
    patience: float = 0.3,
) -> Link:
    """Connect as a run does."""
    database = Database(dsn=parse_dsn(dsn), backoff=Backoff(total_s=patience))
    return database.connect(observe, Cancellation())


def changed(dsn: str, **parameters: str) -> str:
    """The DSN with other parameters."""
    return make_conninfo("", **{**conninfo_to_dict(dsn), **parameters})


def test_a_missing_database_is_not_waited_for(server: str) -> None:
    """It ends at once, with the SQLSTATE that libpq does not give."""
    with pytest.raises(AccessDeniedError) as caught:
        connect(changed(server, dbname="nowhere"), patience=60)

    assert caught.value.server.sqlstate == "3D000"
    assert 'database "nowhere" does not exist' in str(caught.value)


def test_a_missing_role_is_not_waited_for(server: str) -> None:
    """Nor is a wrong password: both are class 28."""
    with pytest.raises(AccessDeniedError) as caught:
        connect(changed(server, user="nobody_here", password="x"), patience=60)

    assert (caught.value.server.sqlstate or "")[:2] == "28"


def test_too_many_connections_are_waited_for(
    server: str, database: str, conn: psycopg.Connection
) -> None:
    """A full server may have room later."""
    role = f"limited_{conn.info.backend_pid}"
    conn.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x' CONNECTION LIMIT 0")
    recorder = Recorder()

    with pytest.raises(UnavailableError) as caught:
        connect(changed(database, user=role, password="x"), recorder)

    conn.execute(f"DROP ROLE {role}")
    assert caught.value.server.sqlstate == "53300"
    assert recorder.names.count("connection.retried") >= 1


@pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "08006"])
def test_a_server_that_starts_is_waited_for_in_any_language(sqlstate: str) -> None:
    """What is transient is read from the SQLSTATE, not from the words."""
    recorder = Recorder()
    message = "das Datenbanksystem startet"

    with (
        answering(speaking(fatal(sqlstate, message))) as dsn,
        pytest.raises(UnavailableError) as caught,
    ):
        connect(dsn, recorder)

    assert caught.value.server.sqlstate == sqlstate
    assert caught.value.server.message == message
    waited = [e for e in recorder.events if isinstance(e, ConnectionRetried)]
    assert {e.sqlstate for e in waited} == {sqlstate}


@pytest.mark.parametrize("sqlstate", ["28P01", "28000", "3D000", "42501"])
def test_a_no_is_a_no_in_any_language(sqlstate: str) -> None:
    """Credentials, database and privileges end the wait at once, after one login."""
    refuse = speaking(fatal(sqlstate, "Passwort-Authentifizierung fehlgeschlagen"))
    logins = []

    def answer(peer: socket.socket) -> None:
        logins.append(peer)
        refuse(peer)

    with answering(answer) as dsn, pytest.raises(AccessDeniedError) as caught:
        connect(f"{dsn}?sslmode=disable&gssencmode=disable", patience=60)

    assert (caught.value.server.sqlstate, len(logins)) == (sqlstate, 1)


def test_a_refused_parameter_is_a_usage_error(server: str) -> None:
    """A misspelt run-time parameter of the URL names itself."""
    with pytest.raises(UsageError) as caught:
        connect(changed(server, options="-c serch_path=x"), patience=60)

    assert "serch_path" in str(caught.value)


@pytest.mark.parametrize(
    "dsn",
    ["postgresql://u@127.0.0.1:1/db", "postgresql://u@no-such-host.invalid/db"],
    ids=["refused", "unresolved"],
)
def test_an_unreachable_host_is_waited_for(dsn: str) -> None:
    """Nobody listens, or nobody has the name: both may change."""
    recorder = Recorder()

    with pytest.raises(UnavailableError) as caught:
        connect(dsn, recorder)

    assert caught.value.server.sqlstate is None
    assert recorder.names.count("connection.retried") >= 1


def test_a_server_that_comes_up_late_is_reached(server: str) -> None:
    """The wait ends when the server takes connections."""
    refusals = iter([fatal("57P03", "startet")] * 2)
    recorder = Recorder()
    parameters = conninfo_to_dict(server)

    def answer(peer: socket.socket) -> None:
        refusal = next(refusals, None)
        if refusal is not None:
            speaking(refusal)(peer)
        else:
            with closing(server_of(parameters)) as upstream:
                relay(peer, upstream)

    with answering(answer) as dsn:
        late = conninfo_to_dict(dsn)
        reached = changed(server, host=str(late["host"]), port=str(late["port"]))
        with connect(reached, recorder, patience=30) as conn:
            row = conn.execute("SELECT 1").fetchone()

    assert row == (1,)
    assert recorder.names == [
        "connection.retried",
        "connection.retried",
        "connection.opened",
    ]


def test_tls_that_is_not_offered_is_not_waited_for() -> None:
    """A server without TLS does not grow it."""
    with answering(speaking(b"")) as dsn, pytest.raises(AccessDeniedError) as caught:
        connect(f"{dsn}?sslmode=require", patience=60)

    assert "does not support SSL" in str(caught.value)


@pytest.fixture
def encrypting(tmp_path: Path) -> ssl.SSLContext:
    """The TLS of a server whose certificate nobody knows."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -days 2"
        f" -keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["postgresql"])
    return context


def test_a_password_refused_under_tls_is_not_sent_without(
    encrypting: ssl.SSLContext,
) -> None:
    """With its default, sslmode=prefer, libpq would log in once more."""
    logins = []

    def answer(peer: socket.socket) -> None:
        asked = peer.recv(1024)
        if asked[4:] == struct.pack("!I", 80877103):
            peer.sendall(b"S")
            peer = encrypting.wrap_socket(peer, server_side=True)
            asked = peer.recv(1024)
        logins.extend([asked] if asked else [])
        peer.sendall(fatal("28P01", "Passwort-Authentifizierung fehlgeschlagen"))
        peer.close()

    with answering(answer) as dsn, pytest.raises(AccessDeniedError) as caught:
        connect(f"{dsn}?gssencmode=disable&sslmode=prefer", patience=60)

    assert (caught.value.server.sqlstate, len(logins)) == ("28P01", 1)


def test_tls_that_cannot_be_verified_is_not_waited_for(
    encrypting: ssl.SSLContext,
) -> None:
    """A certificate of an unknown authority stays unknown."""

    def answer(peer: socket.socket) -> None:
        peer.recv(1024)
        peer.sendall(b"S")
        try:
            encrypting.wrap_socket(peer, server_side=True).close()
        except OSError:
            return

    with answering(answer) as dsn, pytest.raises(AccessDeniedError) as caught:
        connect(f"{dsn}?sslmode=verify-full&sslrootcert=system", patience=60)

    assert "certificate verify failed" in str(caught.value)


@pytest.mark.parametrize("parameter", ["require_auth=md5", "channel_binding=require"])
def test_authentication_that_is_not_strong_enough_is_not_waited_for(
    server: str, parameter: str
) -> None:
    """`require_auth` and `channel_binding` refuse a server, which time does not heal."""
    dsn = f"{changed(server, sslmode='disable')} {parameter}"

    with pytest.raises(AccessDeniedError) as caught:
        connect(dsn)

    assert "check require_auth and channel_binding" in str(caught.value)


def test_our_sessions_are_calm(database: str) -> None:
    """Timeouts that a role or database inherits do not end a migration."""
    with connect(database) as conn:
        admin = conn.info.dbname
        conn.execute(f'ALTER DATABASE "{admin}" SET statement_timeout = 1')
        conn.execute(f'ALTER DATABASE "{admin}" SET idle_session_timeout = 1')

    names = (
        "statement_timeout",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
        "lock_timeout",
    )
    with connect(database) as conn:
        conn.execute("SELECT pg_sleep(0.05)")
        values = [conn.execute(f"SHOW {name}".encode()).fetchone() for name in names]

    assert values == [("0",), ("0",), ("0",), ("5s",)]


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        ("service=nowhere", 'definition of service "nowhere" not found'),
        ("host=127.0.0.1 sslmode=bogus", 'invalid sslmode value: "bogus"'),
        ("host=127.0.0.1 connect_timeout=x", "bad value for connect_timeout"),
        ("host=127.0.0.1,127.0.0.2 port=1,2,3", "could not match 3 port numbers"),
        ("host=127.0.0.1 target_session_attrs=x", "invalid target_session_attrs"),
    ],
)
def test_what_libpq_cannot_use_is_not_waited_for(dsn: str, words: str) -> None:
    """A parameter that no server has refused stays wrong."""
    with pytest.raises(UsageError) as caught:
        connect(dsn, patience=60)

    assert words in str(caught.value)
    assert str(caught.value).endswith("and the service file")


def test_a_service_says_what_the_url_does_not(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its options are the session's, and its other words win over our own defaults."""
    file = tmp_path / "services"
    said = {**conninfo_to_dict(server), "connect_timeout": "7"}
    said |= {"options": "-c work_mem=1MB -c lock_timeout=1"}
    lines = "\n".join(f"{name}={value}" for name, value in said.items())
    file.write_text(f"[here]\n{lines}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))

    with connect("service=here") as conn:
        values = [
            conn.execute(f"SHOW {name}".encode()).fetchone()
            for name in ("work_mem", "lock_timeout", "idle_session_timeout")
        ]

    assert values == [("1MB",), ("5s",), ("0",)]
    assert "connect_timeout=7" in parse_dsn("service=here").conninfo


def test_a_connection_that_was_lost_counts_as_failed(
    database: str, conn: psycopg.Connection
) -> None:
    """Also once it is closed; one that we have closed has not failed."""
    with connect(database) as healthy, connect(database) as lost:
        conn.execute("SELECT pg_terminate_backend(%s, 5000)", [lost.info.backend_pid])
        with pytest.raises(psycopg.OperationalError):
            lost.execute("SELECT 1")
        before = healthy.failed, lost.failed
        healthy.close()
        lost.close()

    assert before == (healthy.failed, lost.failed) == (False, True)


@pytest.mark.parametrize(
    ("state", "path"), [(SessionState.RESET, "a"), (SessionState.KEEP, "b")]
)
def test_settings_without_a_start_up_packet_are_restored(
    database: str, state: SessionState, path: str
) -> None:
    """All of them; where files keep their session, role and search path are theirs."""
    with connect(database) as conn:
        conn.startup_settings = {"lock_timeout": "7s", "search_path": "a"}
        conn.execute("SET lock_timeout = 0; SET search_path = b")

        restore_settings(conn, state)

        shown = "SELECT current_setting('lock_timeout'), current_setting('search_path')"
        assert conn.execute(shown).fetchone() == ("7s", path)

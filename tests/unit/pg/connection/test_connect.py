"""What is said of a connection that failed, at one host or at several."""

from pathlib import Path

import psycopg
import pytest
from psycopg.pq import PGconn

from migrator.errors import MigratorError
from migrator.events.base import Event
from migrator.pg.connection.connect import (
    Session,
    open_connection,
    server_message,
)
from migrator.pg.connection.connection_warnings import warn_of_password_file
from migrator.pg.connection.dsn import parse_dsn
from tests.helpers.postgres import free_port


def failure(dsn: str) -> str:
    """What the error of a connection says."""
    with pytest.raises(MigratorError) as caught:
        open_connection(parse_dsn(dsn), Session())
    return str(caught.value)


def test_each_of_several_hosts_has_a_sentence(tmp_path: Path) -> None:
    """Each once, in their order, without a heading and a list."""
    one, two = free_port(), free_port()
    dsn = f"host=127.0.0.1,127.0.0.1,{tmp_path} port={one},{two},{one} user=u dbname=d"

    said = failure(dsn)

    assert said == (
        f'connection to server at "127.0.0.1", port {one} failed: Connection refused;'
        f' connection to server at "127.0.0.1", port {two} failed: Connection refused;'
        f' connection to server on socket "{tmp_path}/.s.PGSQL.{one}" failed:'
        " No such file or directory"
    )


def test_one_host_has_one_sentence() -> None:
    """Nothing is added to it."""
    port = free_port()

    assert failure(f"postgresql://u@127.0.0.1:{port}/d") == (
        f'connection to server at "127.0.0.1", port {port} failed: Connection refused'
    )


def test_a_refusal_and_a_host_that_is_down_are_both_reported(server: str) -> None:
    """What a server says decides; which of the hosts said what is in the text."""
    found, port = parse_dsn(server), free_port()
    place = dict(found.parameters)
    here = place.get("host", "127.0.0.1"), place.get("port", "5432")

    who = f"user={place['user']} password={place.get('password', 'any')}"
    said = failure(
        f"host={here[0]},127.0.0.1 port={here[1]},{port} {who} dbname=nosuch"
    )

    assert said == (
        f'connection to server at "{here[0]}", port {here[1]} failed: database'
        ' "nosuch" does not exist; connection to server at "127.0.0.1",'
        f" port {port} failed: Connection refused (SQLSTATE 3D000);"
        " create the database, or correct its name in the URL"
    )


@pytest.mark.parametrize("kind", ["file", "directory", "private", "none", "password"])
def test_a_password_file_that_libpq_leaves_out_is_reported(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In libpq's own words, which it prints to stderr."""
    path = tmp_path / "pass"
    if kind == "directory":
        path.mkdir()
    elif kind != "none":
        path.write_text("*:*:*:*:hunter2\n")
        path.chmod(0o600 if kind == "private" else 0o644)
    given = "password='x'" if kind == "password" else ""
    dsn = parse_dsn(f"host=127.0.0.1 port=1 dbname=d user=u passfile={path} {given}")
    warnings: list[Event] = []

    warn_of_password_file(dsn, warnings.append)
    PGconn.connect_start(dsn.conninfo.encode()).finish()

    printed = capfd.readouterr().err
    reasons = "".join(f"WARNING: {vars(each)['reason']}\n" for each in warnings)
    assert reasons == printed
    assert bool(printed) is (kind in {"file", "directory"})
    assert [vars(each)["variable"] for each in warnings] == ["PGPASSFILE"] * len(
        warnings
    )


def test_a_missing_password_has_its_own_sentence() -> None:
    """libpq names a function of its own."""
    place = 'connection to server at "h", port 5432 failed:'
    error = psycopg.OperationalError(
        f"connection failed: {place} fe_sendauth: no password supplied\n"
    )

    assert server_message(error).message == (
        f"{place} the server asked for a password and none was given"
    )

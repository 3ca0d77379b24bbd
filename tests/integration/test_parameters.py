"""Whatever is wrong with a URL, a port or a parameter is 2, and no bug of ours."""

from pathlib import Path

import pytest

from tests.helpers.support import run, write


URL = "postgresql://u@127.0.0.1:1/db"
PARAMETERS = {
    "hostaddr": "bad",
    "connect_timeout": "x",
    "sslmode": "x",
    "gssencmode": "x",
    "target_session_attrs": "x",
    "load_balance_hosts": "x",
    "channel_binding": "x",
    "require_auth": "x",
    "ssl_min_protocol_version": "x",
    "sslcertmode": "x",
    "keepalives": "x",
    "keepalives_idle": "x",
    "keepalives_count": "99999999999999",
    "tcp_user_timeout": "x",
    "service": "nope",
    "port": "99999",
}
URLS = [
    "postgresql://u@127.0.0.1:99999/db",
    "postgresql://u@nobody.invalid:65536/db",
    "postgresql://u@127.0.0.1:0/db",
    "postgresql://u@127.0.0.1:-1/db",
    "postgresql://u@127.0.0.1:abc/db",
    "postgresql://u@127.0.0.1,127.0.0.2/db?port=1,99999",
    "postgresql://u@[::1/db",
    f"postgresql://u@{'a' * 64}/db",
    "postgresql://u@a..b/db",
    "host=127.0.0.1 port=99999",
    "host=127.0.0.1 hostaddr=300.1.1.1",
    "embedded:a\0b",
]
NO_TEXT = "it holds a NUL character, or bytes that are not UTF-8"
VARIABLES = {
    "MIGRATOR_PASSWORD_COMMAND": "a\0b",
    "MIGRATOR_SEARCH_PATH": "\udcff",
    "MIGRATOR_ROLE": "\udcff",
    "MIGRATOR_MIGRATIONS_DIR": "a\0b",
    "PGUSER": "\udcff",
    "PGAPPNAME": "\udcff",
    "AWS_ROLE_ARN": "\udcff",
}


@pytest.fixture
def given(tmp_path: Path) -> dict[str, str]:
    """Settings that are right, but that nobody listens there."""
    directory = write(tmp_path / "m", {"00001_a.sql": "SELECT 1;\n"})
    return {
        "MIGRATOR_DATABASE_URL": URL,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_CONNECT_WAIT": "0",
    }


@pytest.mark.parametrize(("name", "value"), PARAMETERS.items())
def test_a_parameter_that_libpq_refuses_is_2(
    given: dict[str, str], name: str, value: str
) -> None:
    """Also one that it reads only when it connects."""
    result = run("up", **{**given, "MIGRATOR_DATABASE_URL": f"{URL}?{name}={value}"})

    assert result.exit_code == 2, result.verdict


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_leads_nowhere_is_2(given: dict[str, str], url: str) -> None:
    """Before any name is resolved, where it can be known."""
    result = run("up", **{**given, "MIGRATOR_DATABASE_URL": url})

    assert result.exit_code == 2, result.verdict


@pytest.mark.parametrize("port", ["99999", "0", "x"])
def test_pgport_is_a_port(given: dict[str, str], port: str) -> None:
    """Where libpq's variables say where the database is."""
    del given["MIGRATOR_DATABASE_URL"]

    result = run("up", **given, PGHOST="127.0.0.1", PGUSER="u", PGPORT=port)

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        "PGPORT: a port is a number from 1 to 65535",
    )


@pytest.mark.parametrize(("name", "value"), VARIABLES.items())
def test_a_variable_that_is_no_text_is_2(
    given: dict[str, str], name: str, value: str
) -> None:
    """Neither a server nor a file system would take it."""
    result = run("up", **{**given, name: value})

    assert (result.exit_code, result.verdict["error"]) == (2, f"{name}: {NO_TEXT}")


def test_an_address_that_no_http_client_takes_is_2(given: dict[str, str]) -> None:
    """A thread that asks it would crash when the run is over."""
    urls = ("http://[1:2:3]/", f"http://{'a' * 64}/", "http://a..b/")

    codes = [run("up", **given, MIGRATOR_SHUTDOWN_URLS=url).exit_code for url in urls]

    assert codes == [2, 2, 2]

"""Passwords that do not stay the same: from a file, a program, a token."""

import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrator.credentials.file_or_command import FromCommand, FromFile
from migrator.errors import PasswordUnavailableError
from migrator.events.base import ignore_events
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.process.cancellation import Cancellation
from migrator.report.redact import Redactor
from tests.helpers.http_server import serving
from tests.helpers.support import Result, ended, run, started, until, write


HUNTER2 = "hunter2-and-more"


@pytest.fixture
def role(conn: psycopg.Connection) -> Iterator[str]:
    """A role that may do everything here, whose password is known."""
    name = f"rotated_{conn.info.backend_pid}"
    conn.execute(
        sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
            sql.Identifier(name), HUNTER2
        )
    )
    yield name
    conn.execute(
        sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(sql.Identifier(name))
    )
    conn.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


@pytest.fixture
def dsn(database: str, role: str) -> str:
    """How that role connects, without its password."""
    parameters = {**conninfo_to_dict(database), "user": role}
    return make_conninfo("", **{n: v for n, v in parameters.items() if n != "password"})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One migration."""
    return write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})


def up(dsn: str, directory: Path, **environ: str) -> Result:
    """A run that waits for nothing."""
    return run(
        "up",
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{"MIGRATOR_CONNECT_WAIT": "0", **environ},
    )


def printing(code: str) -> str:
    """A command that runs a few words of Python."""
    return shlex.join([sys.executable, "-c", code])


def test_the_password_alone(dsn: str, directory: Path) -> None:
    """A variable of its own, for a URL without one."""
    result = up(dsn, directory, MIGRATOR_PASSWORD=HUNTER2)

    assert result.exit_code == 0
    assert HUNTER2 not in str(result.lines)


def test_it_wins_over_the_urls(dsn: str, directory: Path) -> None:
    """A URL may come from a chart, with a password that nobody has."""
    url = make_conninfo(dsn, password="another")

    assert up(url, directory, MIGRATOR_PASSWORD=HUNTER2).exit_code == 0


def test_a_file_is_read_again_for_each_connection(
    dsn: str, role: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A password that was rotated meanwhile is the right one for the next connection."""
    file = tmp_path / "password"
    file.write_text(f"{HUNTER2}\n")
    database = Database(dsn=parse_dsn(dsn), password=FromFile(file))

    with database.connect(ignore_events, Cancellation()) as first:
        conn.execute(
            sql.SQL("ALTER ROLE {} PASSWORD 'rotated'").format(sql.Identifier(role))
        )
        file.write_text("rotated")
        with database.connect_again(Cancellation()) as second:
            users = [each.info.user for each in (first, second)]

    assert users == [role, role]


def test_a_file_of_the_settings(dsn: str, directory: Path, tmp_path: Path) -> None:
    """`MIGRATOR_PASSWORD_FILE` names it."""
    file = tmp_path / "password"
    file.write_text(f"{HUNTER2}\n")

    result = up(dsn, directory, MIGRATOR_PASSWORD_FILE=str(file))

    assert result.exit_code == 0


def test_a_command_runs_for_each_connection(
    dsn: str, directory: Path, tmp_path: Path
) -> None:
    """One works and one holds the lock; only the first line counts."""
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x'); print({HUNTER2!r}); print('more')"

    result = up(dsn, directory, MIGRATOR_PASSWORD_COMMAND=printing(code))

    assert result.exit_code == 0
    assert count.read_text() == "xx"


def test_what_a_command_prints_is_a_secret(dsn: str, tmp_path: Path) -> None:
    """Also where the server quotes it from a migration."""
    content = f"SELECT '{HUNTER2}'::int;"
    directory = write(tmp_path / "m", {"1_a.sql": content})

    result = up(
        dsn, directory, MIGRATOR_PASSWORD_COMMAND=printing(f"print('{HUNTER2}')")
    )

    assert result.exit_code == 13
    assert 'for type integer: "********"' in result.verdict["error"]
    assert HUNTER2 not in str(result.lines)


def test_a_source_that_has_none_yet_is_waited_for(
    dsn: str, directory: Path, tmp_path: Path
) -> None:
    """Whom the program asks may start at the same time as we do."""
    there = tmp_path / "there"
    code = (
        f"import pathlib, sys; p = pathlib.Path({str(there)!r}); here = p.exists();"
        f" p.touch(); print({HUNTER2!r}) if here else sys.exit('starting up')"
    )

    result = up(
        dsn,
        directory,
        MIGRATOR_PASSWORD_COMMAND=printing(code),
        MIGRATOR_CONNECT_WAIT="30s",
    )

    (waited,) = result.events("connection.retried")
    assert waited["reason"] == (
        f"no password: {sys.executable} ended with code 1: starting up"
    )
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (
            printing("import sys; sys.exit(3)"),
            15,
            "ended with code 3; fix the password",
        ),
        (printing(""), 15, "printed no password; fix the password"),
        (
            printing("print(); print('late')"),
            15,
            "printed no password; fix the password",
        ),
        (printing("print('a\\0b')"), 15, "the password is no text; fix the password"),
        ("/nonexistent/vault", 2, "cannot run /nonexistent/vault: No such file"),
        ("vault 'read", 2, "MIGRATOR_PASSWORD_COMMAND: no closing quotation"),
    ],
)
def test_a_command_that_fails(
    directory: Path, command: str, code: int, message: str
) -> None:
    """Settings that cannot work have another exit code than a password that is refused."""
    dsn = "postgresql://u@127.0.0.1:1/d"

    result = up(dsn, directory, MIGRATOR_PASSWORD_COMMAND=command)

    assert result.exit_code == code
    assert message in result.verdict["error"]


@pytest.mark.parametrize("before", ["", "x" * 181 + " ", "x" * 200])
def test_a_failing_command_that_repeats_the_password(
    directory: Path, before: str
) -> None:
    """What it has printed is known as a secret before its standard error is cut and logged."""
    code = f"import sys; print('{HUNTER2}'); sys.exit('{before}cannot use {HUNTER2}')"

    result = up(
        "postgresql://u@127.0.0.1:1/d",
        directory,
        MIGRATOR_PASSWORD_COMMAND=_from_file(directory, code),
    )

    assert result.exit_code == 15
    assert HUNTER2[:7] not in str(result.lines)


def _from_file(directory: Path, code: str) -> str:
    """A command whose own words have no password."""
    script = directory.parent / "vault"
    script.write_text(code)
    return shlex.join([sys.executable, str(script)])


def test_a_command_that_hangs() -> None:
    """It is ended, and counts as no answer."""
    ask = FromCommand(
        printing("import time; time.sleep(60)"), lambda _: None, timeout_s=0.2
    )

    with pytest.raises(
        PasswordUnavailableError, match=r"did not end within 0\.2 s"
    ) as caught:
        ask()

    assert caught.value.silent


def test_a_file_that_is_gone(directory: Path, tmp_path: Path) -> None:
    """Missing from the start, it is a fault of the settings; later, no password."""
    path = tmp_path / "password"
    result = up("host=h", directory, MIGRATOR_PASSWORD_FILE=str(path))

    with pytest.raises(
        PasswordUnavailableError, match="password: No such file or directory"
    ):
        FromFile(path)()
    assert result.exit_code == 2


def test_only_one_source(directory: Path) -> None:
    """Two of them are a fault."""
    result = up(
        "host=h user=u",
        directory,
        MIGRATOR_PASSWORD="x",
        MIGRATOR_PASSWORD_PROVIDER="rds-iam",
    )

    assert result.exit_code == 2
    assert result.verdict["error"] == (
        "set one of MIGRATOR_PASSWORD and MIGRATOR_PASSWORD_PROVIDER, not both"
    )


def test_sigterm_ends_the_command_too(directory: Path, tmp_path: Path) -> None:
    """Nothing of it is left behind."""
    running = tmp_path / "running"
    code = (
        f"import os, pathlib, time; pathlib.Path({str(running)!r}).write_text("
        "str(os.getpid())); time.sleep(60)"
    )

    with started(
        "postgresql://u@127.0.0.1:1/d",
        directory,
        MIGRATOR_PASSWORD_COMMAND=printing(code),
    ) as process:
        until(lambda: running.exists() and running.read_text())
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143
    assert not Path("/proc", running.read_text()).exists()


def test_a_token_is_the_password(
    dsn: str,
    conn: psycopg.Connection,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is made for the very server, and the server gets it: ours does not know it."""
    aws = {
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "s3cret/key",
        "AWS_REGION": "eu-central-1",
    }
    for name, value in aws.items():
        monkeypatch.setenv(name, value)

    result = up(dsn, directory, MIGRATOR_PASSWORD_PROVIDER="rds-iam", **aws)

    trusted = conn.execute(
        "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'"
        " AND type = 'host' AND address = 'all'"
    ).fetchone()
    assert result.exit_code == (0 if trusted == (1,) else 15)
    assert "X-Amz" not in str(result.lines)
    assert "s3cret" not in str(result.lines)


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (503, 20, "; check the password source and the network to it, or raise"),
        (403, 15, "; fix the password source"),
    ],
)
def test_no_token_without_an_answer(
    directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: int,
    remedy: str,
) -> None:
    """STS that is out of order is something to try again; its no is not."""
    (tmp_path / "token").write_text("header.claims.signature")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/shop")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))

    denied = "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    with serving(lambda _: (status, denied)) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts.url)
        result = up(
            "postgresql://u@127.0.0.1:1/d",
            directory,
            MIGRATOR_PASSWORD_PROVIDER="rds-iam",
        )

    assert result.exit_code == code
    assert remedy in result.verdict["error"]


@pytest.mark.parametrize(
    ("provider", "library", "extra"),
    [
        ("rds-iam", "botocore.session", "aws"),
        ("cloudsql-iam", "google.auth", "gcp"),
        ("entra", "azure.identity", "azure"),
    ],
)
def test_a_provider_without_its_library_is_2(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    provider: str,
    library: str,
    extra: str,
) -> None:
    """The plain image has none of them; nothing is waited for."""
    monkeypatch.setitem(sys.modules, library, None)

    result = up(
        "postgresql://u@127.0.0.1:1/d",
        directory,
        MIGRATOR_PASSWORD_PROVIDER=provider,
        MIGRATOR_CONNECT_WAIT="60s",
    )

    assert result.exit_code == 2
    assert f"--build-arg EXTRAS={extra}, or install" in result.verdict["error"]


def test_sigterm_ends_the_asking(directory: Path, tmp_path: Path) -> None:
    """The libraries wait for an answer; we do not wait for them."""
    (tmp_path / "token").write_text("header.claims.signature")
    with (
        socket.create_server(("127.0.0.1", 0)) as sts,
        started(
            "postgresql://u@127.0.0.1:1/d",
            directory,
            MIGRATOR_PASSWORD_PROVIDER="rds-iam",
            AWS_ROLE_ARN="arn:aws:iam::123456789012:role/shop",
            AWS_REGION="eu-central-1",
            AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
            AWS_ENDPOINT_URL_STS=f"http://127.0.0.1:{sts.getsockname()[1]}",
        ) as process,
    ):
        asking, _ = sts.accept()
        with asking:
            asking.recv(1)
            result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143


def test_no_database_needs_no_password(directory: Path) -> None:
    """`validate` asks nobody for one."""
    result = run(
        "validate",
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_PASSWORD_COMMAND="/nonexistent/vault",
    )

    assert result.exit_code == 0


def test_secrets_that_are_learned() -> None:
    """The last hundred are masked, beside those that were there from the start."""
    redactor = Redactor(["given-secret"])
    for number in range(150):
        redactor.learn(f"learned-{number:03d}")

    masked = redactor.text("given-secret learned-149 learned-050 learned-049")

    assert masked == "******** ******** ******** learned-049"

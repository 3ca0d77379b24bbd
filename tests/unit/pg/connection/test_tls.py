"""A password that goes to a server whose certificate nobody verifies is warned about."""

from pathlib import Path

import pytest

from migrator.cli import main
from tests.helpers.support import run, write


URL = "postgresql://app:s3cret-password@db.invalid/shop?"
"""No network has this host (RFC 6761), so each run ends with 20 at once."""


@pytest.fixture(autouse=True)
def _no_root_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq finds one in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))


def warned(url: str, tmp_path: Path, **environ: str) -> list[str]:
    """The sslmodes that a run warns about before it connects."""
    result = run(
        "up",
        MIGRATOR_DATABASE_URL=url,
        MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})),
        MIGRATOR_CONNECT_WAIT="0",
        **environ,
    )
    assert "s3cret-password" not in str(result.lines)
    return [line["sslmode"] for line in result.events("tls.unverified")]


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", ["prefer"]),
        ("sslmode=disable", ["disable"]),
        ("sslmode=allow", ["allow"]),
        ("sslmode=prefer", ["prefer"]),
        ("sslmode=require", ["require"]),
        ("sslmode=require&require_auth=scram-sha-256", ["require"]),
        ("sslmode=require&channel_binding=require", []),
        ("sslmode=verify-ca&sslrootcert=/nonexistent", []),
        ("sslmode=verify-full&sslrootcert=/nonexistent", []),
        ("sslrootcert=system", []),
    ],
)
def test_a_password_over_unverified_tls_is_warned_about(
    parameters: str, expected: list[str], tmp_path: Path
) -> None:
    """Once a run, whatever `sslmode` is called, unless it verifies the server."""
    assert warned(URL + parameters, tmp_path) == expected


def test_require_with_a_root_certificate_verifies(tmp_path: Path) -> None:
    """libpq takes it as verify-ca where the file exists."""
    (tmp_path / "root.pem").touch()

    named = warned(f"{URL}sslmode=require&sslrootcert={tmp_path}/root.pem", tmp_path)
    missing = warned(f"{URL}sslmode=require&sslrootcert={tmp_path}/no.pem", tmp_path)
    found_before = tmp_path / ".postgresql/root.crt"
    found_before.parent.mkdir()
    found_before.touch()
    at_home = warned(f"{URL}sslmode=require", tmp_path)

    assert (named, missing, at_home) == ([], ["require"], [])


@pytest.mark.parametrize(
    "environ",
    [
        {"MIGRATOR_PASSWORD": "s3cret-password"},
        {"MIGRATOR_PASSWORD_FILE": "{folder}/password"},
        {"MIGRATOR_PASSWORD_COMMAND": "cat {folder}/password"},
        {
            "MIGRATOR_PASSWORD_PROVIDER": "rds-iam",
            "AWS_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "s3cret-password",
        },
    ],
    ids=lambda environ: next(iter(environ)),
)
def test_every_source_of_passwords_is_warned_about(
    environ: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL's own is not the only one."""
    (tmp_path / "password").write_text("s3cret-password")
    variables = {name: text.format(folder=tmp_path) for name, text in environ.items()}
    for name, text in variables.items():
        monkeypatch.setenv(name, text)

    found = warned("postgresql://app@db.invalid/shop", tmp_path, **variables)

    assert found == ["prefer"]


@pytest.mark.parametrize("source", ["PGPASSWORD", "PGPASSFILE", "PGSERVICEFILE"])
def test_the_sources_of_libpq_are_warned_about(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with the `sslmode` that its variables and its service file say."""
    contents = {
        "PGPASSFILE": "db.invalid:*:*:*:s3cret-password",
        "PGSERVICEFILE": "[shop]\nhost=db.invalid\npassword=s3cret-password\n",
    }
    file = tmp_path / "file"
    file.write_text(contents.get(source, ""))
    file.chmod(0o600)
    value = str(file) if source in contents else "s3cret-password"
    for name, text in ((source, value), ("PGSSLMODE", "require")):
        monkeypatch.setenv(name, text)
    url = "service=shop" if source == "PGSERVICEFILE" else "host=db.invalid"

    assert warned(url, tmp_path, **{source: value}) == ["require"]


@pytest.mark.parametrize(
    "place",
    [
        "host=127.0.0.1 port=1",
        "host=localhost port=1",
        "host=::1 port=1",
        "host=db.invalid hostaddr=127.0.0.2 port=1",
        "host=/nonexistent",
        "host=@nonexistent",
        "host=127.0.0.1,/nonexistent port=1",
    ],
)
def test_a_password_that_stays_on_the_machine_is_fine(
    place: str, tmp_path: Path
) -> None:
    """A Unix socket, or the loopback address, as a proxy in the same pod has it."""
    assert warned(f"{place} user=app password=s3cret-password", tmp_path) == []


def test_one_host_of_several_is_enough(tmp_path: Path) -> None:
    """libpq may send the password to any of them."""
    url = "host=127.0.0.1,db.invalid port=1 password=s3cret-password"

    assert warned(url, tmp_path) == ["prefer"]


def test_without_a_password_there_is_no_warning(tmp_path: Path) -> None:
    """A client certificate or `trust` sends none."""
    assert warned("host=db.invalid user=app", tmp_path) == []


def test_no_database_is_no_warning(tmp_path: Path) -> None:
    """`validate` connects nowhere."""
    result = run(
        "validate",
        MIGRATOR_DATABASE_URL=URL,
        MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})),
    )

    assert (result.exit_code, result.events("tls.unverified")) == (0, [])


def test_the_console_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence for a person."""
    environ = {
        "MIGRATOR_DATABASE_URL": URL,
        "MIGRATOR_MIGRATIONS_DIR": str(write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})),
        "MIGRATOR_LOG_FORMAT": "console",
        "MIGRATOR_CONNECT_WAIT": "0",
    }
    main(["up"], environ)

    assert capsys.readouterr().out.splitlines()[1] == (
        "warning: sslmode=prefer sends the password to a server that is not verified;"
        " set sslmode=verify-full and sslrootcert in the database URL"
    )

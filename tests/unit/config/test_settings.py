"""The environment becomes settings, or all its faults."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

import pytest

from migrator.config.arguments import Command
from migrator.config.environment import service_links
from migrator.config.settings import Settings, read_settings
from migrator.config.types import Duration
from migrator.domain.model import OnProblem, Split
from migrator.errors import UsageError
from tests.helpers.postgres import as_nobody, let_through


NOWHERE = Path("/nonexistent")
*_FIRST, _LAST = (f"'{name}'" for name in get_args(Command))
COMMANDS = f"{', '.join(_FIRST)} or {_LAST}"


def read(**environ: str) -> Settings:
    """Settings of an environment without a secrets directory."""
    return read_settings(environ, secrets_dir=NOWHERE)


def faults(arguments: dict[str, str] | None = None, /, **environ: str) -> list[str]:
    """The faults of an environment."""
    with pytest.raises(UsageError) as caught:
        read_settings(environ, arguments, secrets_dir=NOWHERE)
    return list(caught.value.faults)


def url(settings: Settings) -> str | None:
    """The database URL in clear."""
    given = settings.database_url
    return None if given is None else given.get_secret_value()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("90", 90.0),
        ("0.25", 0.25),
        ("0", 0.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Go's units, or plain seconds."""
    assert read(MIGRATOR_LOCK_WAIT=text).lock_wait == seconds


DURATIONS = [field.name for field in fields(Settings) if field.type == Duration]
NO_DURATION = (
    *("5x", "-1", "1m30", "nan", "inf", "-inf", "1e400", "1 h", "m", "-1ms"),
    *("0.4ms", "0.0009", "1e-400", "1e-9", "0.9ms"),
    *("2147483648ms", "25d", "597h", "99999999999", "9" * 400, "9" * 400 + "h"),
)


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("text", NO_DURATION)
def test_a_duration_has_bounds(name: str, text: str) -> None:
    """The fault names the variable, how to write one, and the least and the most."""
    variable = f"MIGRATOR_{name.upper()}"

    assert faults(**{variable: text}) == [
        (
            f"{variable}: write a duration such as 30s, 5m, 1h30m, or seconds:"
            " 0, or from 1ms to 2147483647ms (24 days)"
        )
    ]


@pytest.mark.parametrize("name", DURATIONS)
def test_the_bounds_of_a_duration_are_allowed(name: str) -> None:
    """None, one millisecond, and PostgreSQL's longest timeout."""
    variable = f"MIGRATOR_{name.upper()}"
    texts = ("0", "-0", "0.0ms", "1ms", "0.001", "2147483647ms", "2147483.647", "596h")

    read_ = [getattr(read(**{variable: text}), name) for text in texts]

    assert read_ == [0, 0, 0, 0.001, 0.001, *[2147483.647] * 2, 2145600.0]


@pytest.mark.parametrize(
    "name", ["TABLE", "ROLE", "SEARCH_PATH", "PASSWORD", "PASSWORD_COMMAND", "NAME"]
)
def test_a_text_that_is_not_utf_8(name: str) -> None:
    """No server takes it."""
    assert faults(**{f"MIGRATOR_{name}": "a\udcff"}) == [
        f"MIGRATOR_{name}: it holds a NUL character, or bytes that are not UTF-8"
    ]


def test_all_faults_are_reported_at_once() -> None:
    """An operator mends them in one go."""
    messages = faults(
        {"command": "upp"},
        MIGRATOR_LOCK_WAITS="1s",
        MIGRATOR_ON_DB_AHEAD="panic",
        MIGRATOR_TARGET="x",
        MIGRATOR_TABLE_FILE="/nonexistent/table",
        GOOSE_DRIVER="mysql",
    )

    assert messages == [
        "MIGRATOR_TABLE_FILE: cannot read /nonexistent/table: No such file or directory",
        "MIGRATOR_LOCK_WAITS is not a setting; did you mean MIGRATOR_LOCK_WAIT?",
        "GOOSE_DRIVER=mysql: only PostgreSQL is migrated; unset it",
        f"MIGRATOR_COMMAND: input should be {COMMANDS}",
        (
            "MIGRATOR_TARGET: input should be a valid integer, unable to parse string as"
            " an integer"
        ),
        "MIGRATOR_ON_DB_AHEAD: input should be 'warn', 'fail' or 'ignore'",
    ]


def test_up_to_needs_its_version() -> None:
    """From the argument or the environment."""
    messages = faults({"command": "up-to"})

    assert messages == ["up-to needs a version: `up-to 42`, or MIGRATOR_TARGET"]
    assert read(MIGRATOR_COMMAND="up-to", MIGRATOR_TARGET="42").target == 42


def test_arguments_override_the_environment() -> None:
    """`docker run image status` beats MIGRATOR_COMMAND."""
    settings = read_settings(
        {"MIGRATOR_COMMAND": "up"}, {"command": "status"}, secrets_dir=NOWHERE
    )

    assert settings.command == "status"


def test_texts_become_enums() -> None:
    """Choices are written in lower case."""
    settings = read(MIGRATOR_SPLIT="postgres", MIGRATOR_ON_DB_AHEAD="fail")

    assert (settings.split, settings.on_db_ahead) == (Split.POSTGRES, OnProblem.FAIL)


def test_an_empty_variable_is_unset() -> None:
    """As goose reads it; surrounding white space is not part of a value."""
    settings = read(MIGRATOR_TABLE="", MIGRATOR_DATABASE_URL="postgresql://h/db\n")

    assert (settings.table, url(settings)) == ("goose_db_version", "postgresql://h/db")


def test_every_variable_has_a_file_twin(tmp_path: Path) -> None:
    """Its text is the value, without the newline that editors add."""
    secret = tmp_path / "url"
    secret.write_text("postgresql://h/db\n")

    assert url(read(MIGRATOR_DATABASE_URL_FILE=str(secret))) == "postgresql://h/db"


def test_a_variable_and_its_twin_exclude_each_other(tmp_path: Path) -> None:
    """Neither wins silently."""
    messages = faults(MIGRATOR_TABLE="a", MIGRATOR_TABLE_FILE=str(tmp_path / "b"))

    assert messages == ["set MIGRATOR_TABLE or MIGRATOR_TABLE_FILE, not both"]


@pytest.mark.parametrize("name", ["migrator_database_url", "MIGRATOR_DATABASE_URL"])
def test_the_secrets_directory_is_read(tmp_path: Path, name: str) -> None:
    """Docker and compose mount secrets there."""
    (tmp_path / name).write_text("postgresql://h/db\n")

    assert url(read_settings({}, secrets_dir=tmp_path)) == "postgresql://h/db"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"MIGRATOR_DATABASE_URL": "postgresql://a"}, "postgresql://a"),
        ({"GOOSE_DBSTRING": "postgresql://b"}, "postgresql://b"),
        ({"DATABASE_URL": "postgresql://c"}, "postgresql://c"),
        (
            {"DATABASE_URL": "postgresql://c", "GOOSE_DBSTRING": "postgresql://b"},
            "postgresql://b",
        ),
        (
            {"MIGRATOR_DATABASE_URL": "postgresql://a", "GOOSE_DBSTRING": "x"},
            "postgresql://a",
        ),
        ({}, None),
    ],
)
def test_fallbacks_of_the_url(environ: dict[str, str], expected: str | None) -> None:
    """Ours, then goose's, then everybody's."""
    assert url(read(**environ)) == expected


def test_gooses_variables() -> None:
    """A team that swaps the image keeps its environment."""
    settings = read(
        GOOSE_DRIVER="postgres",
        GOOSE_MIGRATION_DIR="/db",
        GOOSE_TABLE="ops.versions",
        GOOSE_COMMAND="up-to",
        GOOSE_COMMAND_ARG="7",
    )

    assert (
        asdict(settings).items()
        >= {
            "migrations_dir": (Path("/db"),),
            "table": "ops.versions",
            "command": "up-to",
            "target": 7,
        }.items()
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/migrations", ("/migrations",)),
        ("/a:/b/c.tar.gz", ("/a", "/b/c.tar.gz")),
        (":/a::", ("/a",)),
    ],
)
def test_places(text: str, expected: tuple[str, ...]) -> None:
    """Colons stand between them, as in PATH."""
    found = read(MIGRATOR_MIGRATIONS_DIR=text).migrations_dir

    assert found == tuple(map(Path, expected))


def test_no_place() -> None:
    """Colons alone name none."""
    assert faults(MIGRATOR_MIGRATIONS_DIR=":") == [
        "MIGRATOR_MIGRATIONS_DIR: name a directory, or several with ':' between them"
    ]


def test_service_links_are_no_faults() -> None:
    """Kubernetes sets them for a Service called migrator, or migrator-db."""
    links = {
        "MIGRATOR_PORT": "tcp://10.0.0.1:80",
        "MIGRATOR_PORT_80_TCP_ADDR": "10.0.0.1",
        "MIGRATOR_SERVICE_HOST": "10.0.0.1",
        "MIGRATOR_SERVICE_PORT_HTTP": "80",
        "MIGRATOR_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432",
    }

    assert read(**links) == Settings()
    assert service_links({**links, "MIGRATOR_TABLE": "x"}) == tuple(sorted(links))


def test_no_secret_is_shown() -> None:
    """Neither by the settings nor by their faults."""
    messages = faults(
        MIGRATOR_DATABASE_URL="postgresql://u:hunter2@h/db", MIGRATOR_X="hunter2"
    )

    assert "hunter2" not in "".join(messages)
    assert "hunter2" not in repr(
        read(MIGRATOR_DATABASE_URL="postgresql://u:hunter2@h/db")
    )


def test_a_secrets_directory_that_cannot_be_searched_is_a_fault(tmp_path: Path) -> None:
    """It is said once, whatever settings it might hold."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o000)
    let_through(tmp_path)
    with as_nobody(), pytest.raises(UsageError) as caught:
        read_settings({}, secrets_dir=secrets)

    assert caught.value.faults == (f"cannot search {secrets}: Permission denied",)

"""The command line in goose's forms, and the file of variables."""

import io
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from migrator import __version__
from migrator.cli import main
from migrator.config.arguments import FLAGS, parse_arguments
from migrator.config.dotenv import read_env_file
from migrator.config.settings import Settings, read_settings
from migrator.errors import UsageError
from tests.helpers.support import ROOT, run, write


NOWHERE = Path("/nonexistent")
DSN = "postgresql://u:hunter2@h:1/d"


def read(line: str, **environ: str) -> Settings:
    """Settings of a command line and an environment."""
    return read_settings(environ, parse_arguments(line.split()), secrets_dir=NOWHERE)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", {}),
        ("up", {"command": "up"}),
        ("up-to 42", {"command": "up-to", "target": "42"}),
        ("-dir d -table t up", {"migrations_dir": "d", "table": "t", "command": "up"}),
        ("up --dir d --table=t", {"migrations_dir": "d", "table": "t", "command": "up"}),
        ("down-to -dir=a=b 3", {"migrations_dir": "a=b", "command": "down-to", "target": "3"}),
        ("-dir -x", {"migrations_dir": "-x"}),
        ("-dir a -dir b", {"migrations_dir": "b"}),
        ("-dir= -table=", {}),
        ("-allow-missing", {"allow_missing": "true"}),
        ("--allow-missing=T up", {"allow_missing": "true", "command": "up"}),
        ("-allow-missing=0", {"allow_missing": "false"}),
        ("-no-versioning redo", {"no_versioning": "true", "command": "redo"}),
        ("-timeout 1h13m", {"deadline": "1h13m"}),
        ("-v", {"log_level": "debug"}),
        ("-v=false", {}),
        ("-env none", {"env_file": "none"}),
        ("-no-color up", {"command": "up"}),
        ("status --check", {"command": "status", "check": "true"}),
        ("-h", {"help": "true"}),
        ("up -help", {"help": "true", "command": "up"}),
        ("--version", {"version": "true"}),
        ("version", {"command": "version"}),
        ("-s create add_users sql", {"sequential": "true", "command": "create", "name": "add_users", "kind": "sql"}),
        ("up-to -- 7 ", {"command": "up-to", "target": "7"}),
        ("create -- -dir", {"command": "create", "name": "-dir"}),
        ("help", {"help": "true"}),
        ("help up-to", {"help": "true"}),
        (f"postgres {DSN} up", {"database_url": DSN, "command": "up"}),
        (f"pgx {DSN} up-to 5 -v", {"database_url": DSN, "command": "up-to", "target": "5", "log_level": "debug"}),
        (f"-table t postgres -dir d {DSN} status", {"table": "t", "migrations_dir": "d", "database_url": DSN, "command": "status"}),
        (f"{DSN} up", {"database_url": DSN, "command": "up"}),
        ("postgres dbname=d down", {"database_url": "dbname=d", "command": "down"}),
        ("postgres up", {"command": "up"}),
    ],
)  # fmt: skip
def test_lines_that_goose_accepts(line: str, expected: Mapping[str, str]) -> None:
    """Flags stand anywhere, have one dash or two; words are recognised by their shape."""
    assert parse_arguments(line.split()) == expected


def test_an_empty_dsn_leaves_the_connection_to_libpq() -> None:
    """`goose postgres "" up`: the variables of libpq say where."""
    assert parse_arguments(["postgres", "", "up"]) == {"command": "up"}


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("up --dry", "unknown flag --dry; see `migrator help`"),
        ("-drr=secret up", "unknown flag -drr; see `migrator help`"),
        (
            "--alow-mising up",
            "unknown flag --alow-mising; did you mean -allow-missing?",
        ),
        ("---dir x up", "unknown flag ---dir; did you mean -dir?"),
        ("up -certfile x", "unknown flag -certfile; see `migrator help`"),
        ("up -dir", "-dir needs a value: -dir DIR"),
        ("statsu", "unknown command statsu; did you mean status?"),
        ("migrate", "unknown command migrate; see `migrator help`"),
        ("hunter2", "unknown command; see `migrator help`"),
        (
            "up-to x",
            "the version has to be a number, such as up-to 42; see `migrator help`",
        ),
        ("up -v=loud", "-v is on or off: write -v or -v=false"),
        ("mysql u:hunter2@/d up", "mysql: only PostgreSQL is migrated; write postgres"),
        ("redshift x up", "redshift: only PostgreSQL is migrated; write postgres"),
        (f"up 1 {DSN}", "too many arguments; expected up [N]; see `migrator help`"),
    ],
)
def test_lines_that_are_refused(line: str, fault: str) -> None:
    """They are reported like every error, with exit code 2 and without any value."""
    result = run(*line.split())

    assert (result.exit_code, result.verdict["error"]) == (2, fault)
    assert "hunter2" not in str(result.lines)


def test_flags_override_variables() -> None:
    """The line is nearer than the environment; goose has the same order."""
    environ = {
        "MIGRATOR_TABLE": "b",
        "GOOSE_EXTRA_ARGS": "-table c",
        "GOOSE_TABLE": "d",
    }
    order = []

    for name in ("", *environ):
        environ.pop(name, None)
        order.append(read("" if name else "-table a", **environ).table)

    assert order == ["a", "c", "d", "goose_db_version"]


def test_extra_arguments_of_gooses_image() -> None:
    """GOOSE_EXTRA_ARGS is split as a shell does it, GOOSE_VERBOSE is on when set."""
    settings = read(
        "",
        GOOSE_EXTRA_ARGS="-allow-missing -dir '/my files' --timeout=1m",
        GOOSE_VERBOSE="true",
    )

    assert settings == Settings(
        allow_missing=True,
        migrations_dir=(Path("/my files"),),
        deadline=60.0,
        log_level="debug",
    )


@pytest.mark.parametrize(
    ("extra", "fault"),
    [
        ("-dry", "GOOSE_EXTRA_ARGS: unknown flag -dry; see `migrator help`"),
        ("-dir 'x", "GOOSE_EXTRA_ARGS: no closing quotation"),
    ],
)
def test_extra_arguments_that_cannot_be_read(extra: str, fault: str) -> None:
    """The fault names the variable."""
    result = run("up", GOOSE_EXTRA_ARGS=extra)

    assert (result.exit_code, result.verdict["error"]) == (2, fault)


@pytest.mark.parametrize("command", ["status", "version", "wait", "baseline 1"])
def test_commands_that_need_versions(command: str) -> None:
    """Without versioning there is nothing that they could tell or write."""
    name = command.split(maxsplit=1)[0]
    result = run(*command.split(), "-no-versioning")

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        f"{name} asks the tracking table: leave MIGRATOR_NO_VERSIONING out",
    )


@pytest.mark.parametrize("line", ["help", "help up", "-h", "up --help"])
def test_help_names_every_flag(line: str) -> None:
    """It goes to stdout as plain text of 80 columns, and is no run."""
    stdout = io.StringIO()

    exit_code = main(line.split(), {}, stdout)

    lines = stdout.getvalue().splitlines()
    flags = [
        name
        for line in lines
        if line[:3] == "  -"
        for name in re.findall(r"(?<![\w-])-[\w-]+", line.partition("   ")[0])
    ]
    assert (exit_code, flags) == (0, [f"-{name}" for name in FLAGS])
    assert [line for line in lines if len(line) > 80] == []


def test_version_is_printed() -> None:
    """The migrator's own; `version` without dashes asks the database."""
    stdout = io.StringIO()

    exit_code = main(["-version"], {}, stdout)

    assert (exit_code, stdout.getvalue()) == (0, f"{__version__}\n")


@pytest.mark.parametrize(
    ("argv", "environ"),
    [
        (["-env", "{}"], {}),
        ([], {"MIGRATOR_ENV_FILE": "{}"}),
        ([], {"GOOSE_EXTRA_ARGS": "-env={}"}),
    ],
)
def test_a_file_of_variables(
    argv: list[str], environ: dict[str, str], tmp_path: Path
) -> None:
    """It sets what the environment lacks; ENVSUB sees it too."""
    content = "-- +goose Up\n-- +goose ENVSUB ON\nSELECT '${NAME?}', '${OTHER?}';\n"
    directory = write(tmp_path / "m", {"1_a.sql": content})
    file = tmp_path / "env"
    file.write_text(f"NAME=n\nGOOSE_MIGRATION_DIR={directory}\nMIGRATOR_TABLE=''\n")
    named = {name: value.format(file) for name, value in environ.items()}

    result = run("validate", *(a.format(file) for a in argv), OTHER="o", **named)

    assert (result.exit_code, result.verdict["error"]) == (0, None)


def test_a_set_variable_stays(tmp_path: Path) -> None:
    """Also when it is empty; a flag `-env none` wins over the variable."""
    file = tmp_path / "env"
    file.write_text("MIGRATOR_LOCK=no-such\n")
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    line = ("validate", "-dir", str(directory))

    taken = run(*line, MIGRATOR_ENV_FILE=str(file))
    kept = run(*line, MIGRATOR_ENV_FILE=str(file), MIGRATOR_LOCK="")
    off = run(*line, "-env", "none", MIGRATOR_ENV_FILE=str(file))

    assert [r.exit_code for r in (taken, kept, off)] == [2, 0, 0]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"A=1\n\nB\nC=1\n", ":3: this is no NAME=value"),
        (b"A='x\n", ":1: this is no NAME=value"),
        (b"A=\xff\n", "it is not UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_read(
    content: bytes | None, fault: str, tmp_path: Path
) -> None:
    """It is a usage error, which names the line and none of its text."""
    file = tmp_path / "env"
    if content is not None:
        file.write_bytes(content)

    result = run("up", MIGRATOR_ENV_FILE=str(file))

    assert result.exit_code == 2
    assert result.verdict["error"].endswith(fault)
    with pytest.raises(UsageError):
        read_env_file(file)


@pytest.mark.parametrize("module", ["entrypoint", "migrator.cli"])
def test_without_libpq_a_sentence_says_what_to_install(module: str) -> None:
    """psycopg's own traceback names neither our extra nor a system's package."""
    program = (
        "import sys, ctypes.util; sys.modules.update(psycopg_binary=None, psycopg_c=None);"
        " ctypes.util.find_library = lambda name: None;"
        f" import runpy; runpy.run_module({module!r}, run_name='__main__')"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        (
            "migrator: psycopg cannot load libpq, PostgreSQL's client library; install"
            " migrator[binary], or the system's libpq (Debian: libpq5)\n"
        ),
    )

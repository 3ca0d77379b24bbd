"""The log goes where it can: closed, full or without letters, it changes no code."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import ROOT, environment, write


ASCII = (
    {"PYTHONIOENCODING": "ascii"},
    {"PYTHONIOENCODING": "ascii:strict", "LC_ALL": "C.UTF-8"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
)
NOWHERE = (">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full")
ARGUMENTS = (("up", 0), ("plan", 0), ("--help", 0), ("--version", 0), ("--wrong", 2))


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """Two migrations, one with an umlaut in its name, the other with a byte alone."""
    directory = write(
        tmp_path / "m",
        {"1_ä.sql": "CREATE TABLE a (); COMMENT ON TABLE a IS 'ö';"},
    )
    (directory / os.fsdecode(b"2_\xe4.sql")).write_text("-- +goose Up\nSELECT 1;")
    return environment(database, directory)


def ended(
    argument: str, environ: Mapping[str, str], redirect: str = "", tail: str = ""
) -> tuple[int, bytes, bytes]:
    """The real process in a shell: its exit code, stdout and stderr."""
    command = f'"$0" "$1" "$2" {redirect}; echo $? >"$3"'
    code = Path(environ["MIGRATOR_MIGRATIONS_DIR"]).with_name("code")
    words = [sys.executable, str(ROOT / "entrypoint.py"), argument, str(code)]
    done = subprocess.run(
        ["sh", "-c", f"({command}) {tail}", *words],
        env=dict(environ),
        capture_output=True,
        check=False,
        timeout=60,
    )
    return int(code.read_text()), done.stdout, done.stderr


@pytest.mark.parametrize("stdio", ASCII)
def test_json_without_letters(
    environ: dict[str, str], stdio: dict[str, str], conn: psycopg.Connection
) -> None:
    """What the encoding has not is an escape of JSON; the log goes on to its end."""
    code, stdout, stderr = ended("up", {**environ, **stdio})

    lines = [json.loads(line) for line in stdout.splitlines()]
    assert (code, stderr) == (0, b"")
    assert lines[-1]["event"] == "run.finished"
    assert lines[-1]["applied"] == [1, 2]
    started = [line for line in lines if line["event"] == "migration.started"]
    assert [line["path"] for line in started] == ["1_ä.sql", "2_\\xe4.sql"]
    assert stdout.isascii()


@pytest.mark.parametrize("stdio", ASCII)
def test_console_without_letters(
    environ: dict[str, str], stdio: dict[str, str]
) -> None:
    """What the encoding has not is an escape of Python."""
    variables = {**environ, **stdio, "MIGRATOR_LOG_FORMAT": "console"}

    code, stdout, stderr = ended("up", variables)

    assert (code, stderr) == (0, b"")
    assert b"\n2 applied, version 0 \\u2192 2, " in stdout
    assert b"2_\\xe4.sql" in stdout


@pytest.mark.parametrize("redirect", NOWHERE)
@pytest.mark.parametrize(("argument", "expected"), ARGUMENTS)
def test_a_stream_that_takes_nothing(
    environ: dict[str, str], argument: str, expected: int, redirect: str
) -> None:
    """Closed from the start, or full: no traceback, and the code is that of the run."""
    code, stdout, stderr = ended(argument, environ, redirect)

    assert (code, stderr) == (expected, b"")
    assert bool(stdout) == redirect.startswith("2>")


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("reader", ["head -1", "true"])
@pytest.mark.parametrize(("argument", "expected"), ARGUMENTS)
def test_a_reader_that_leaves(
    environ: dict[str, str], argument: str, expected: int, reader: str, log_format: str
) -> None:
    """After the first line, or before it."""
    variables = {**environ, "MIGRATOR_LOG_FORMAT": log_format}

    code, _, stderr = ended(argument, variables, tail=f"| {reader}")

    assert (code, stderr) == (expected, b"")


@pytest.mark.parametrize("redirect", ["", "2>&-", "2>/dev/full"])
def test_an_answer_is_alone_on_stdout(environ: dict[str, str], redirect: str) -> None:
    """In plain format; whether stderr takes the rest changes neither text nor code."""
    variables = {**environ, "MIGRATOR_LOG_FORMAT": "plain"}

    code, stdout, stderr = ended("version", variables, redirect)

    assert (code, stdout, bool(stderr)) == (0, b"0\n", not redirect)


def test_a_closed_stdout_is_no_connection(
    environ: dict[str, str], conn: psycopg.Connection, tmp_path: Path
) -> None:
    """What a script or its child prints then goes nowhere, and not to the server."""
    script = "import os\ndef up(conn):\n    os.write(1, b'x' * 99)\n    os.system('echo x; echo x >&2')\n"
    (tmp_path / "m" / "3_c.py").write_text(script)

    code, *_ = ended("up", environ, "<&- >&- 2>&-")

    assert code == 0
    assert conn.execute("SELECT max(version_id) FROM goose_db_version").fetchone() == (
        3,
    )


def test_the_log_continues_when_there_is_room_again(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """A line that was not taken is lost, and no other one."""
    script = """\
import io, sys
from migrator.cli import main

class Full(io.StringIO):
    room = False
    def write(self, text):
        if "run.started" in text:
            raise OSError(28, "No space left on device")
        return super().write(text)

out = Full()
code = main(["validate"], None, out)
sys.stdout.write(out.getvalue())
sys.exit(code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )

    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (done.returncode, events[-1]) == (0, "run.finished")

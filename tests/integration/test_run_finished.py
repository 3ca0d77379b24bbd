"""Whatever goes wrong, `run.finished` and the termination message say one code of the list."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from migrator import cli, job
from migrator.exit_codes import ExitCode
from migrator.report import log
from migrator.report.summary import RunSummary
from tests.helpers.support import ROOT, Result, run, started, until, write


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Migrations without a fault."""
    return write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})


@pytest.fixture
def message(tmp_path: Path) -> Path:
    """Where the termination message goes."""
    path = tmp_path / "termination-log"
    path.touch()
    return path


def validated(directory: Path, message: Path, **environ: str) -> Result:
    """A run that needs no database; its three verdicts are one."""
    result = run(
        "validate",
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_TERMINATION_LOG=str(message),
        **environ,
    )
    termination = json.loads(message.read_text())
    assert result.exit_code == result.verdict["exit_code"] == termination["exit_code"]
    assert result.exit_code in set(ExitCode)
    return result


def raising(error: BaseException) -> Callable[..., Any]:
    """A function that fails."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


class UnspeakableError(Exception):
    """A bug whose own words fail."""

    def __str__(self) -> str:
        raise RecursionError


ERRORS = (
    *(MemoryError(), RecursionError(), KeyError("x"), OSError(28, "full")),
    *(UnspeakableError(), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x")),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("owner", "name"),
    [
        *((cli, n) for n in ("parse_arguments", "with_env_file", "read_settings")),
        *((cli, n) for n in ("secrets_of", "work_of")),
        *((job, n) for n in ("_started", "_database", "_runner", "command")),
        (RunSummary, "see"),
    ],
    ids=lambda it: getattr(it, "__name__", it),
)
def test_a_bug_anywhere(
    directory: Path,
    message: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    name: str,
    error: Exception,
) -> None:
    """Before the work, within it, and in what listens to it."""
    monkeypatch.setattr(owner, name, raising(error))

    result = validated(directory, message)

    assert result.exit_code == 1
    assert type(error).__name__ in result.verdict["error"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_bug_after_the_work(
    directory: Path, message: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """What calls sidecars and what lingers fail: the verdict of the work stands."""
    monkeypatch.setattr(job, "_stop_sidecars", raising(error))
    monkeypatch.setattr("migrator.cli.linger", raising(error))
    environ = {
        "MIGRATOR_SHUTDOWN_URLS": "http://127.0.0.1:1/",
        "MIGRATOR_LINGER": "true",
    }

    assert validated(directory, message, **environ).exit_code == 0


@pytest.mark.parametrize("name", ["_json", "_in_front"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_line_that_cannot_be_made(
    directory: Path,
    message: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    name: str,
) -> None:
    """The verdict is written all the same, plainly."""
    monkeypatch.setattr(log, name, raising(error))

    result = validated(directory, message)

    assert result.exit_code in {0, 1}


@pytest.mark.parametrize("place", ["/proc/self/nonsense", "/", "/dev/full"])
def test_a_termination_log_that_cannot_be_written(directory: Path, place: str) -> None:
    """It changes nothing."""
    result = run(
        "validate",
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        MIGRATOR_TERMINATION_LOG=place,
    )

    assert result.exit_code == result.verdict["exit_code"] == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (SystemExit(130), 130),
        (SystemExit(143), 143),
        (SystemExit(7), 1),
        (SystemExit("x"), 1),
    ],
)
def test_a_signal_before_the_work(
    directory: Path,
    message: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
) -> None:
    """While settings are read, for one; the verdict is that of any other."""
    monkeypatch.setattr(cli, "read_settings", raising(error))

    result = validated(directory, message)

    assert result.exit_code == code


@pytest.mark.parametrize("name", ["MIGRATOR_PASSWORD", "PGPASSWORD", "APP_TOKEN"])
@pytest.mark.parametrize("fault", [{}, {"MIGRATOR_NO_SUCH": "x"}])
def test_a_secret_that_is_no_text(
    directory: Path, message: Path, name: str, fault: dict[str, str]
) -> None:
    """It is no reason to say nothing."""
    result = validated(directory, message, **{name: "\udcff\ud800abcd"}, **fault)

    assert result.exit_code == (0 if name == "APP_TOKEN" and not fault else 2)


@pytest.mark.parametrize("argument", ["99999999999", "1e400", "0.4ms", "-1", "nan"])
@pytest.mark.parametrize("where", ["the flag", "the variable"])
def test_a_deadline_that_no_timer_takes(
    message: Path, argument: str, where: str
) -> None:
    """It is refused with the bounds, as the flag's and the variable's."""
    argv = [f"-timeout={argument}"] if where == "the flag" else []
    environ = {} if argv else {"MIGRATOR_DEADLINE": argument}

    result = run("validate", *argv, MIGRATOR_TERMINATION_LOG=str(message), **environ)

    assert result.exit_code == json.loads(message.read_text())["exit_code"] == 2
    assert result.verdict["error"].startswith("MIGRATOR_DEADLINE: write a duration")
    assert "from 1ms to 2147483647ms" in result.verdict["error"]


EARLY = """
import os, runpy, sys

entrypoint, module, signum = sys.argv[1:]

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), int(signum))

sys.meta_path.insert(0, Finder())
sys.argv = [entrypoint, "validate"]
runpy.run_path(entrypoint, run_name="__main__")
"""


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
@pytest.mark.parametrize("module", ["migrator.cli", "structlog", "migrator.report.log"])
def test_a_signal_while_modules_are_loaded(
    directory: Path, message: Path, module: str, signum: int, code: int
) -> None:
    """It waits until somebody can tell it."""
    environ = {
        "PATH": os.environ["PATH"],
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_TERMINATION_LOG": str(message),
        "PYTHONPATH": str(ROOT),
    }

    done = subprocess.run(
        [sys.executable, "-c", EARLY, ROOT / "entrypoint.py", module, str(int(signum))],
        env=environ,
        capture_output=True,
        check=False,
        timeout=60,
    )

    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, done.stderr) == (code, b"")
    assert last["exit_code"] == json.loads(message.read_text())["exit_code"] == code


def test_a_signal_behind_the_verdict(
    database: str, message: Path, tmp_path: Path
) -> None:
    """The process ends with the code that was reported, though a thread keeps it."""
    script = (
        "import threading, time\n"
        "def up(conn):\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\n"
    )
    directory = write(tmp_path / "m", {"1_a.py": script.encode()})

    with started(database, directory, MIGRATOR_TERMINATION_LOG=str(message)) as process:
        until(message.read_text)
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline())]
        while lines[-1]["event"] != "run.finished":
            lines.append(json.loads(process.stdout.readline()))
        until(lambda: ended(process, signal.SIGTERM))

    assert process.returncode == lines[-1]["exit_code"] == 0


def ended(process: subprocess.Popen[str], signum: int) -> bool:
    """Send the signal and tell whether the process has ended."""
    process.send_signal(signum)
    return process.poll() is not None

"""A run that stays after its success, and the health check beside it."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.support import ROOT, ended, heard, run, started, until, write


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """One migration."""
    return write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_lingering_run_is_healthy_until_sigterm(
    database: str, directory: Path, signum: int
) -> None:
    """Unhealthy before, healthy after the verdict, and a signal ends it with 0."""
    before = run("healthcheck").exit_code
    with started(database, directory, MIGRATOR_LINGER="true") as process:
        heard(process, "run.finished")
        until(lambda: run("healthcheck").exit_code == 0)
        result = ended(process, signum)

    assert (before, result.exit_code, result.lines) == (3, 0, ())
    assert run("healthcheck").exit_code == 3


def check() -> int:
    """Run the image's health check as a process; its exit code."""
    command = [sys.executable, "-v", str(ROOT / "entrypoint.py"), "healthcheck"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    loaded = set(re.findall(r"^import '(migrator[\w.]*)' #", done.stderr, re.MULTILINE))
    assert loaded == {
        "migrator",
        "migrator._version",
        "migrator.process",
        "migrator.process.linger",
    }
    return done.returncode


def test_the_images_check_loads_next_to_nothing(database: str, directory: Path) -> None:
    """It says what the command says, and needs little beside the run."""
    before = check()
    with started(database, directory, MIGRATOR_LINGER="true") as process:
        heard(process, "run.finished")
        until(lambda: run("healthcheck").exit_code == 0)
        while_it_lingers = check()
        ended(process, signal.SIGTERM)

    assert (before, while_it_lingers) == (3, 0)


def test_a_failure_does_not_linger(database: str, tmp_path: Path) -> None:
    """The process ends with its code at once."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1 / 0;"})

    with started(database, directory, MIGRATOR_LINGER="true") as process:
        result = ended(process)

    assert result.exit_code == result.verdict["exit_code"] == 13


def test_a_stopped_run_does_not_linger(database: str, tmp_path: Path) -> None:
    """One signal is enough while it works: the run is cancelled, and ends with 143."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT pg_sleep(60);"})

    with started(database, directory, MIGRATOR_LINGER="true") as process:
        heard(process, "migration.started")
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 143


@pytest.mark.parametrize("command", ["status", "version", "down", "validate"])
def test_what_somebody_runs_by_hand_does_not_linger(
    database: str, directory: Path, command: str
) -> None:
    """The service's environment says linger; `compose run migrate status` ends."""
    run("up", MIGRATOR_DATABASE_URL=database, MIGRATOR_MIGRATIONS_DIR=str(directory))
    environ = {"MIGRATOR_LINGER": "true", "MIGRATOR_COMMAND": command}

    with started(database, directory, **environ) as process:
        result = ended(process)

    assert result.exit_code == 0


def test_a_thread_that_stays_does_not_swallow_the_signal(
    database: str, directory: Path
) -> None:
    """A migration in Python has left a thread, which any signal may meet as well."""
    (directory / "2_b.py").write_text(
        """\
import threading

def up(conn):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
    )

    with started(database, directory, MIGRATOR_LINGER="true") as process:
        heard(process, "run.finished")
        until(lambda: run("healthcheck").exit_code == 0)
        result = ended(process, signal.SIGTERM)

    assert result.exit_code == 0


def test_the_check_leaves_the_verdict_of_the_run_alone(tmp_path: Path) -> None:
    """The termination message is that of the run; settings of its command do no harm."""
    message = tmp_path / "termination-log"
    message.write_text("the run's")

    result = run(
        "healthcheck",
        MIGRATOR_TERMINATION_LOG=str(message),
        MIGRATOR_TARGET="42",
        MIGRATOR_CHECK="true",
    )

    assert result.exit_code == 3
    assert result.verdict["error"] == (
        "no completed run in this container: it has not finished yet, or"
        " MIGRATOR_LINGER=true is not set"
    )
    assert message.read_text() == "the run's"

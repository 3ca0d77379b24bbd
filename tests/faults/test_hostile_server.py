"""Whatever a server says or does not say, a run ends, stays small and tells the truth."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Tell
from tests.faults.hostile_server import SCRIPTS, hostile
from tests.helpers.support import ROOT, Result, environment, parsed, write


_RUNS_S = 7
"""After this a run that goes on is asked to stop."""

_STOPS_S = 12
"""In this it has to have stopped: five seconds pass before connections are closed."""

_PEAK_KB = 250_000
_LINES = 100
_AT_A_TIME = 6
_CODES = {2, 15, 20, 143}
"""Not PostgreSQL, no way to authenticate, not there, or stopped."""


class Outcome(NamedTuple):
    """What came of a run."""

    result: Result
    said: str
    """On stderr."""

    termination: Mapping[str, Any]
    peak_kb: int


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mapping[str, "Future[Outcome]"]]:
    """All modes, some at a time: most of the time nobody does anything."""
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        places = {mode: tmp_path_factory.mktemp("hostile") for mode in SCRIPTS}
        yield {mode: pool.submit(met, mode, place) for mode, place in places.items()}


@pytest.mark.parametrize("mode", SCRIPTS)
def test_a_hostile_server(
    outcomes: Mapping[str, "Future[Outcome]"], mode: str, tell: Tell
) -> None:
    """The last line, the termination message and the exit code agree."""
    outcome = outcomes[mode].result()
    result = outcome.result

    tell(f"{mode}: {result.exit_code}, {outcome.peak_kb // 1000} MB")
    verdict = {name: result.verdict[name] for name in ("exit_code", "error")}
    assert result.exit_code in _CODES
    assert verdict["exit_code"] == result.exit_code
    assert verdict == {name: outcome.termination[name] for name in verdict}
    assert (outcome.said, result.verdict["applied"]) == ("", [])
    assert result.events("run.crashed") == []
    assert len(result.lines) < _LINES
    assert outcome.peak_kb < _PEAK_KB


def met(mode: str, place: Path) -> Outcome:
    """What a run comes to that meets such a server."""
    directory = write(place / "m", {"1_a.sql": "CREATE TABLE a ();"})
    message = place / "message"
    message.touch()
    environ = {
        "MIGRATOR_TERMINATION_LOG": str(message),
        "MIGRATOR_CONNECT_WAIT": "2s",
    }
    with hostile(SCRIPTS[mode]) as dsn:
        result, said, peak_kb = run(environment(dsn, directory, **environ))
    return Outcome(result, said, json.loads(message.read_text()), peak_kb)


def run(environ: Mapping[str, str]) -> tuple[Result, str, int]:
    """What a real run says, on stderr too, and how much memory it took at most."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        peak_kb, asked, begun = 0, False, time.monotonic()
        while process.poll() is None:
            peak_kb = max(peak_kb, _peak_kb(process.pid))
            took_s = time.monotonic() - begun
            if took_s > _RUNS_S and not asked:
                process.send_signal(signal.SIGTERM)
                asked = True
            if took_s > _RUNS_S + _STOPS_S or peak_kb > 2 * _PEAK_KB:
                process.kill()
            time.sleep(0.05)
        log, said = process.communicate()
    assert process.returncode != -signal.SIGKILL, f"it hung, or took {peak_kb} kB"
    return parsed(process.returncode, log), said, peak_kb


def _peak_kb(pid: int) -> int:
    """The process's largest resident set so far; 0 when it has gone."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) if found else 0

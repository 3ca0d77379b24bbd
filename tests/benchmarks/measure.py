"""What one whole process takes: seconds, CPU, memory."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median


_LAUNCH = Path(__file__).parent / "launch.py"
_SHOWN = 2000
"""How many characters of a failed program's output are shown."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program with all that it is given."""

    argv: tuple[str, ...]
    """The program by its absolute path, and its arguments."""

    environ: Mapping[str, str]
    root: str = ""
    """Where it runs as in an image, with this as its `/`."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took, or the medians of several."""

    wall_s: float
    cpu_s: float
    """User and system."""

    peak_mb: float
    """Resident memory, in 10^6 bytes."""


class FailedError(Exception):
    """A program that is measured has failed."""

    def __init__(self, command: Command, exit_code: int, output: str) -> None:
        shown = " ".join(command.argv)[:_SHOWN]
        super().__init__(f"{shown}\nexit code {exit_code}\n{output[-_SHOWN:]}")


def measured(command: Command) -> Cost:
    """
    Run a program to its end, its output thrown away, and return what it took.

    Raises:
        FailedError: It fails; it is run once more to learn what it says.
    """
    exit_code, cost = _launched(command, "/dev/null")
    if exit_code:
        with tempfile.NamedTemporaryFile() as output:
            _launched(command, output.name)
            said = Path(output.name).read_text(errors="replace")
        raise FailedError(command, exit_code, said)
    return cost


def medians(costs: Iterable[Cost]) -> Cost:
    """Return the median of each figure by itself."""
    costs = tuple(costs)
    return Cost(
        median(each.wall_s for each in costs),
        median(each.cpu_s for each in costs),
        median(each.peak_mb for each in costs),
    )


def _launched(command: Command, output: str) -> tuple[int, Cost]:
    asked = {
        "argv": command.argv,
        "environ": dict(command.environ),
        "root": command.root,
        "output": output,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", _LAUNCH],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
    )
    taken = json.loads(done.stdout)
    return taken["exit_code"], Cost(taken["wall_s"], taken["cpu_s"], taken["peak_mb"])

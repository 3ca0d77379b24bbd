"""Which tests reach a line, and how long they take: the suite, run once."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from coverage import CoverageData

from tests.mutation.mutants import Mutant


SUITE = ("tests/unit", "tests/property", "tests/integration", "tests/faults")
"""The other folders need programs or a machine of their own."""

_COVERED = ("--cov", "--cov-context=test", "--cov-report=")


def run_suite(tree: Path, folder: Path, workers: int) -> None:
    """Run SUITE in *tree* with coverage; what is measured goes to *folder*."""
    report = folder / "tests.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"-n{workers}", *_COVERED, *SUITE]
    subprocess.run([*command, f"--junit-xml={report}"], cwd=tree, check=False)
    (tree / ".coverage").rename(folder / "coverage")


class Baseline(NamedTuple):
    """What one run of the suite has shown."""

    seconds: dict[str, float]
    """How long each test took that passed."""

    reaching: dict[str, dict[int, set[str]]]
    """The tests that ran a line, by file and line; of an import it has none."""

    @classmethod
    def read(cls, folder: Path) -> "Baseline":
        """Read what `run_suite` has written to *folder*."""
        seconds = dict(_passed(folder / "tests.xml"))
        data = CoverageData(str(folder / "coverage"))
        data.read()
        reaching = {
            f"migrator/{file.rpartition('/migrator/')[2]}": {
                line: {context.rpartition("|")[0] for context in contexts if context}
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        return cls(seconds, reaching)

    def choose(self, mutant: Mutant, budget_s: float) -> tuple[list[str], float]:
        """
        Return tests that may catch *mutant*, and how long they take without it.

        First come those whose path names the module or its folder. Functions come in
        turn, so that *budget_s* is not spent on one that has many parameters.
        """
        by_line = self.reaching.get(str(mutant.path), {})
        # whoever imports a module first runs its constants: all that use it may see one
        lines = mutant.lines or by_line.keys()
        found = set().union(*(by_line.get(line, set()) for line in lines))
        names = set(mutant.path.with_suffix("").parts[2:])
        chosen, spent = [], 0.0
        for test in self._in_turn(found & self.seconds.keys(), names):
            if spent + self.seconds[test] <= budget_s:
                chosen.append(test)
                spent += self.seconds[test]
        return sorted(chosen, key=lambda test: self.seconds[test]), spent

    def _in_turn(self, tests: Iterable[str], names: set[str]) -> Iterator[str]:
        def key(test: str) -> tuple[bool, float, str]:
            return (not _is_named(test, names), self.seconds[test], test)

        functions: dict[str, list[str]] = defaultdict(list)
        for test in sorted(tests, key=key):
            functions[test.partition("[")[0]].append(test)
        for each in zip_longest(*functions.values()):
            yield from filter(None, each)


def _is_named(test: str, names: set[str]) -> bool:
    """Tell whether the file of *test* has one of *names* in its path."""
    path = test.partition(".py::")[0]
    return any(name in path for name in names)


def _passed(report: Path) -> Iterator[tuple[str, float]]:
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is None and case.find("error") is None:
            path = case.attrib["classname"].replace(".", "/")
            yield f"{path}.py::{case.attrib['name']}", float(case.attrib["time"])

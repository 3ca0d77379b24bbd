"""Which tests reach a line, and how long they take: the suite, run once."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
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

    def choose(self, mutant: Mutant, budget_s: float) -> list[str]:
        """
        Return tests that may catch *mutant*, and take *budget_s* at most without it.

        First come those whose path names the module or its folder, then quick ones; the
        more parameters of a test are chosen already, the longer the next one counts.
        """
        by_line = self.reaching.get(str(mutant.path), {})
        # whoever imports a module first runs its constants: all that use it may see one
        lines = mutant.lines or by_line.keys()
        found = set().union(*(by_line.get(line, set()) for line in lines))
        chosen, left_s = [], budget_s
        for test in self._ranked(found, set(mutant.path.with_suffix("").parts[2:])):
            if self.seconds[test] <= left_s:
                chosen.append(test)
                left_s -= self.seconds[test]
        return sorted(chosen, key=lambda test: self.seconds[test])

    def _ranked(self, tests: Iterable[str], names: set[str]) -> list[str]:
        ranks: list[tuple[bool, float, str]] = []
        counts: Counter[str] = Counter()
        for test in sorted(self.seconds.keys() & tests, key=lambda t: self.seconds[t]):
            counts[function := test.partition("[")[0]] += 1
            cost = self.seconds[test] * counts[function]
            ranks.append((not _is_named(test, names), cost, test))
        return [test for _, _, test in sorted(ranks)]


def _is_named(test: str, names: set[str]) -> bool:
    """Tell whether the file of *test* has one of *names* in its path."""
    path = test.partition(".py::")[0]
    return any(name in path for name in names)


def _passed(report: Path) -> Iterator[tuple[str, float]]:
    for case in ET.parse(report).iter("testcase"):
        if case.find("failure") is None and case.find("error") is None:
            path = case.attrib["classname"].replace(".", "/")
            yield f"{path}.py::{case.attrib['name']}", float(case.attrib["time"])

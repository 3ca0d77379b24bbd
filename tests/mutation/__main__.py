"""Mutation run: `make mutate`, or `python -m tests.mutation SEED COUNT WORKERS`."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

from tests.mutation.baseline import Baseline, run_suite
from tests.mutation.mutants import Mutant, mutants_of


ROOT = Path(__file__).parents[2]
CORE = ("engine", "pg", "sql", "report", "domain")
WANTED = 0.92
"""The part of a sample that has to be caught."""

_BUDGETS_S = (15.0, 45.0)
"""How long the tests chosen for one mutant may take without it; at first, and in all."""


def main() -> int:
    """Try a sample of mutants on the last commit; 0 when enough of them are caught."""
    seed, count, workers = map(int, sys.argv[1:])
    commit = _git("rev-parse", "--short", "HEAD")
    folder = ROOT / "build" / "mutation" / commit
    for number in range(workers):
        if not (tree := folder / f"tree{number}").exists():
            _git("clone", "--quiet", str(ROOT), str(tree))
        _git("-C", str(tree), "checkout", "--quiet", ".")  # a run may have been ended
    if not (folder / "coverage").exists():
        run_suite(folder / "tree0", folder, workers)
    run = _Run(folder, folder / f"{seed}.jsonl", workers)
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(run.outcome, sample(folder / "tree0", seed, count)))
    counts = Counter(results)
    caught = counts["caught"] + counts["timeout"]
    print(f"seed {seed}, commit {commit}: {caught} of {count} caught, {dict(counts)}")  # noqa: T201
    return 0 if caught >= WANTED * (count - counts["equivalent"]) else 1


def sample(tree: Path, seed: int, count: int) -> list[Mutant]:
    """Return *count* mutants of the core, which *seed* chooses."""
    modules = sorted(
        path for name in CORE for path in (tree / "migrator" / name).rglob("*.py")
    )
    found = [m for path in modules for m in mutants_of(tree, path.relative_to(tree))]
    return random.Random(seed).sample(found, count)


class _Run:
    """Tries mutants, each in a tree that no other uses, and keeps what came of it."""

    def __init__(self, folder: Path, kept: Path, workers: int) -> None:
        self._baseline = Baseline.read(folder)
        listed = (Path(__file__).parent / "equivalent.txt").read_text().splitlines()
        self._equivalent = {line.partition("  # ")[0] for line in listed}
        self._kept = kept
        lines = kept.read_text().splitlines() if kept.exists() else []
        self._known: dict[str, str] = dict(json.loads(line)[:2] for line in lines)
        self._trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            self._trees.put(folder / f"tree{number}")

    def outcome(self, mutant: Mutant) -> str:
        """Return what tests say of *mutant*: caught, timeout, survived, unreached."""
        if mutant.whole in self._equivalent:
            return "equivalent"
        place = f"{mutant.lines.start} {mutant.name}"
        if place not in self._known:
            tree = self._trees.get()
            try:
                outcome, by = self._try(mutant, tree)
            finally:
                self._trees.put(tree)
            self._known[place] = outcome
            print(outcome, place, by, flush=True)  # noqa: T201
            with self._kept.open("a") as file:
                file.write(f"{json.dumps([place, outcome, by])}\n")
        return self._known[place]

    def _try(self, mutant: Mutant, tree: Path) -> tuple[str, str]:
        outcome, by = "unreached", ""
        mutant.apply(tree)
        tried: list[str] = []
        try:
            for budget_s in _BUDGETS_S:
                chosen = self._baseline.choose(mutant, budget_s)
                tests = [test for test in chosen if test not in tried]
                tried += tests
                if tests and outcome in {"unreached", "survived"}:
                    outcome, by = _run_tests(tree, tests, 60 + 4 * budget_s)
        finally:
            _git("-C", str(tree), "checkout", "--quiet", ".")
        return outcome, by


def _run_tests(tree: Path, tests: list[str], limit_s: float) -> tuple[str, str]:
    """Return the outcome, and the test that failed or how many there were."""
    options = ("-q", "-x", "--tb=no", "-p", "no:cacheprovider")
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said = process.communicate(timeout=limit_s)[0]
    except subprocess.TimeoutExpired:
        return "timeout", f"after {limit_s:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode == 0:
        return "survived", f"{len(tests)} tests"
    # or pytest did not get far enough to say anything of the mutant
    is_caught = process.returncode in {1, 2} or "while loading conftest" in said
    failed = [x for x in said.splitlines() if x.startswith(("FAILED", "ERROR", "E "))]
    return "caught" if is_caught else "broken", (failed or [said[-200:]])[0]


def _git(*words: str) -> str:
    return subprocess.check_output(["git", *words], cwd=ROOT, text=True).strip()


if __name__ == "__main__":
    sys.exit(main())

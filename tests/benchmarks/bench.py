"""What every part of the benchmark uses: the server, the programs, delays, folders."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.delay import delayed
from tests.benchmarks.image import Python
from tests.benchmarks.measure import Cost, measured
from tests.benchmarks.programs import Program
from tests.benchmarks.server import Server
from tests.benchmarks.work import Work


Run = Callable[[], Cost]
"""One run of one program, with all that is to be made for it outside the clock."""


def tell(*words: object) -> None:
    """Say what is going on, to whoever waits."""
    print(*words, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a program is run for one case."""

    rounds: int
    seconds: float
    """No further round is begun for a program that has taken so long already."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A server and programs to measure on it."""

    server: Server
    python: Python
    programs: tuple[Program, ...]
    folder: Path
    """Where files are made; our own program sees it too."""

    patience: Patience
    cleanup: ExitStack
    """What is ended with the benchmark."""

    ports: dict[float, int] = field(default_factory=dict)
    """The proxy of each delay."""

    def url(self, database: str, rtt_ms: float) -> str:
        """Return the URL of a database that is so far away."""
        if not rtt_ms:
            return self.server.url(database)
        if rtt_ms not in self.ports:
            proxy = delayed("127.0.0.1", self.server.port, rtt_ms)
            self.ports[rtt_ms] = self.cleanup.enter_context(proxy)
        return self.server.url(database, self.ports[rtt_ms])

    def files(self, work: Work, program: Program) -> Path:
        """Return the folder of files in a program's format, made when it is missing."""
        folder = self.folder / f"{work.name}-{program.dialect.value}"
        return folder if folder.exists() else work.write(folder, program.dialect)

    def applied(self, work: Work, program: Program) -> str:
        """Apply the work to a database and return its name."""
        database = self.server.database()
        measured(program.up(self.server.url(database), self.files(work, program)))
        return database

    def rounds(self, title: str, runs: Mapping[str, Run]) -> dict[str, list[Cost]]:
        """Return what each takes, run by turns so that a noisy minute is everybody's."""
        costs: dict[str, list[Cost]] = {name: [] for name in runs}
        for number in range(1, self.patience.rounds + 1):
            for name, once in runs.items():
                spent = sum(cost.wall_s for cost in costs[name])
                if number == 1 or spent < self.patience.seconds:
                    costs[name].append(once())
                    taken = costs[name][-1].wall_s
                    tell(f"{title}: {name}, round {number}: {taken:.3f} s")
        return costs

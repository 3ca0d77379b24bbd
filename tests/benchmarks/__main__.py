"""The benchmark: `make bench`, or `python -m tests.benchmarks --help`."""

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.benchmarks import figures, table
from tests.benchmarks.bench import Bench, Patience, tell
from tests.benchmarks.cases import CASES, timed
from tests.benchmarks.image import python
from tests.benchmarks.machine import described
from tests.benchmarks.options import Options, parsed
from tests.benchmarks.programs import programs
from tests.benchmarks.server import running


def main() -> int:
    """Run what is asked for and print the tables, also of what came before a failure."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all is ended
    os.umask(0o022)  # the image's own user reads the files
    options = parsed(sys.argv[1:])
    rows: list[table.Timed] = []
    others: list[table.Figure] = []
    with _bench(options) as bench:
        print(described(bench), flush=True)  # noqa: T201
        try:
            _run(bench, options, rows, others)
        finally:
            if rows:
                print(f"\n{table.times(rows)}")  # noqa: T201
            if others:
                print(f"\n{table.figures(others)}")  # noqa: T201
    kept = [row.kept for row in rows] + [row.kept for row in others]
    return 0 if all(kept) or not options.check else 1


def _run(
    bench: Bench,
    options: Options,
    rows: list[table.Timed],
    others: list[table.Figure],
) -> None:
    for name, case in CASES.items():
        if name in options.only:
            for rtt_ms in options.delays or case.limits:
                rows += timed(bench, case, rtt_ms)
    for name, figure in figures.FIGURES.items():
        if name in options.only:
            others.extend(figure(bench, options.memory_mb))


@contextmanager
def _bench(options: Options) -> Iterator[Bench]:
    with ExitStack() as cleanup:
        folder = Path(cleanup.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)  # the server may run as another user
        tell("preparing: our program, the others, a server")
        ours = python(folder / "image", image=options.image, allowed=options.unpack)
        files = Path(ours.root or folder) / "bench"
        files.mkdir()
        yield Bench(
            server=cleanup.enter_context(running(folder)),
            python=ours,
            programs=tuple(programs(ours, options.programs)),
            folder=files,
            patience=Patience(options.rounds, options.seconds),
            cleanup=cleanup,
        )


if __name__ == "__main__":
    sys.exit(main())

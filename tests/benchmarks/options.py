"""The command line of the benchmark."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.benchmarks.cases import CASES
from tests.benchmarks.figures import FIGURES
from tests.benchmarks.programs import OTHERS


PARTS = (*CASES, *FIGURES)
PROGRAMS = tuple(OTHERS)


@dataclass(frozen=True, slots=True)
class Options:
    """What is asked for."""

    only: tuple[str, ...]
    delays: tuple[float, ...]
    programs: tuple[str, ...]
    rounds: int
    seconds: float
    memory_mb: float
    image: str
    unpack: bool
    check: bool


def parsed(argv: Sequence[str]) -> Options:
    """Return the options, or exit with 2 and say what is wrong with them."""
    parser = argparse.ArgumentParser(
        prog="make bench BENCH_ARGS=...",
        description="Measure the migrator beside goose, dbmate and psql.",
    )
    parser.add_argument(
        "--only",
        type=_listed("part", PARTS),
        default=PARTS,
        metavar="PARTS",
        help=f"which parts to run, with commas between; all of: {', '.join(PARTS)}",
    )
    parser.add_argument(
        "--programs",
        type=_listed("program", PROGRAMS),
        default=PROGRAMS,
        metavar="NAMES",
        help=f"which programs to run beside ours; all of: {', '.join(PROGRAMS)}",
    )
    parser.add_argument(
        "--delays",
        type=lambda text: tuple(float(each) for each in text.split(",")),
        default=(),
        metavar="MS",
        help="round-trip times in milliseconds; without it those that have limits",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="runs of each program for each case: %(default)s",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=90,
        help="no further run of a program that has taken so long: %(default)s",
    )
    parser.add_argument(
        "--memory-mb",
        type=float,
        default=1000,
        help="size of the large files: %(default)s",
    )
    parser.add_argument(
        "--image", default="", help="an image that is built already; else it is built"
    )
    parser.add_argument(
        "--no-image",
        dest="unpack",
        action="store_false",
        help="run the checkout with this Python, not the image's files with theirs",
    )
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 when a limit is not kept"
    )
    return Options(**vars(parser.parse_args(argv)))


def _listed(kind: str, known: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        wanted = tuple(text.split(","))
        for name in wanted:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {kind} {name!r}")
        return wanted

    return names

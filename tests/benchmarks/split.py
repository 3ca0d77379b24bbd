"""
How fast files are split: python tests/benchmarks/split.py [MEGABYTES].

Prints MB/s for both rules on one large file of each kind, files/s for many small
ones, and, where Go and pglast are there, the ratios to goose's and pglast's time.
"""

import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


sys.path.insert(0, str(Path(__file__).parents[2]))

from migrator.domain.model import Split  # the checkout, not an installed one
from migrator.source.load import load
from tests.compat import goose


_MB = 1_000_000
_SMALL_FILES = 2000
_SMALL = """-- +goose Up
CREATE TABLE t{n} (
    id bigint PRIMARY KEY, -- the key
    name text NOT NULL DEFAULT 'it''s; new'
);
-- +goose StatementBegin
CREATE FUNCTION f{n}() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RETURN {n};
END
$$;
-- +goose StatementEnd
CREATE INDEX i{n} ON t{n} (name);

-- +goose Down
DROP FUNCTION f{n};
DROP TABLE t{n};
"""


def _inserts(size: int) -> Iterator[str]:
    row = (
        "INSERT INTO users (id, name, email) VALUES"
        " ({}, 'Jane O''Neill; junior', 'jane{}@example.com');\n"
    )
    yield "-- +goose Up\n"
    for n in range(size // len(row.format(1_000_000, 1_000_000))):
        yield row.format(n, n)


def _rows(size: int) -> Iterator[str]:
    row = "    ({}, 'Jane O''Neill; junior', now()),\n"
    yield "-- +goose Up\nINSERT INTO users VALUES\n"
    for n in range(size // len(row.format(1_000_000))):
        yield row.format(n)
    yield "    (0, '', now());\n"


def _escaped(size: int) -> Iterator[str]:
    """What the quick patterns leave to the tokens: the slowest there is."""
    row = "INSERT INTO notes VALUES ({}, E'a\\'b\\n', $x$ it's $x$); -- note {}\n"
    yield "-- +goose Up\n"
    for n in range(size // len(row.format(1_000_000, 1_000_000))):
        yield row.format(n, n)


_FUNCTION = """CREATE FUNCTION f{n}(a int, b text DEFAULT E'it\\'s;\\n') RETURNS text
LANGUAGE plpgsql AS $function$
BEGIN
    -- the caller's; not ours
    RAISE NOTICE E'found %\\n', a;
    RETURN format($q$%L, %L$q$, a, b);
END;
$function$;
"""


def _functions(size: int) -> Iterator[str]:
    """An extension's install script, each function in a block."""
    yield "-- +goose Up\n"
    for n in range(size // len(_FUNCTION)):
        yield "-- +goose StatementBegin\n"
        yield _FUNCTION.format(n=n)
        yield "-- +goose StatementEnd\n"


def _pglast(path: Path) -> float | None:
    """Return how long the scanner of pglast takes, which is PostgreSQL's; None: none."""
    if find_spec("pglast") is None:
        return None  # it is not in the lock file: install it
    split = import_module("pglast").split
    text = path.read_text()
    start = time.perf_counter()
    split(text, with_parser=False)
    return time.perf_counter() - start


def _timed(folder: Path, split: Split) -> tuple[float, int]:
    start = time.perf_counter()
    files = load(folder, split=split, environ={})
    seconds = time.perf_counter() - start
    assert not any(each.up.faults for each in files.migrations)
    return seconds, sum(len(each.up.statements) for each in files.migrations)


def _peak(folder: Path, split: Split) -> int:
    tracemalloc.start()
    load(folder, split=split, environ={})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _goose(folder: Path) -> "goose.Goose | None":
    return goose.build(folder) if shutil.which("go") else None


def _large(name: str, lines: Iterator[str], peer: "goose.Goose | None") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1_large.sql")
        with path.open("w") as file:
            file.writelines(lines)
        size = path.stat().st_size
        theirs = peer.seconds(path) if peer else None
        scanned = _pglast(path)
        for split in Split:
            seconds, statements = _timed(path.parent, split)
            memory = _peak(path.parent, split) / size if size < 20 * _MB else 0
            print(  # noqa: T201
                f"{name:8} {split.value:9} {size / _MB:6.0f} MB {seconds:6.2f} s"
                f" {size / _MB / seconds:6.1f} MB/s {statements:8} statements"
                + (f"  {memory:.1f} x memory" if memory else "")
                + (f"  {seconds / theirs:.1f} x goose" if theirs else "")
                + (f"  {seconds / scanned:.1f} x pglast" if scanned else "")
            )


def _small() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for n in range(1, _SMALL_FILES + 1):
            Path(folder, f"{n:05}_t.sql").write_text(_SMALL.format(n=n))
        for split in Split:
            seconds, statements = _timed(Path(folder), split)
            print(  # noqa: T201
                f"{'small':8} {split.value:9} {_SMALL_FILES} files {seconds:6.2f} s"
                f" {_SMALL_FILES / seconds:6.0f} files/s {statements:8} statements"
            )


def main() -> None:
    """Print all figures."""
    size = int(sys.argv[1] if len(sys.argv) > 1 else 100) * _MB
    with tempfile.TemporaryDirectory() as folder:
        peer = _goose(Path(folder))
        _small()
        _large("inserts", _inserts(size), peer)
        _large("rows", _rows(size), peer)
        _large("escaped", _escaped(size), peer)
        _large("functions", _functions(size), peer)


if __name__ == "__main__":
    main()

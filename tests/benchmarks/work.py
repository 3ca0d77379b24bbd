"""The work: the same SQL for each tool, in the words of its own format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path


_TABLE = """CREATE TABLE {name} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE,
    title text NOT NULL DEFAULT '',
    amount numeric(12, 2) NOT NULL DEFAULT 0 CHECK (amount >= 0),
    active boolean NOT NULL DEFAULT true,
    labels jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    owner_id bigint REFERENCES {owner} (id)
);"""
_INDEX = "CREATE INDEX {name}_created_at ON {name} (created_at, active);"
_ROWS = """INSERT INTO {name} (code, title, amount, labels) VALUES
    ('a-{n}', 'It''s the first; of three', 12.50, '{{"kind": "new"}}'),
    ('b-{n}', 'The second', 0, '{{}}'),
    ('c-{n}', 'The third', 99999.99, '{{"kind": "old", "rank": 3}}');"""

_EVENTS = """CREATE TABLE events (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    amount numeric(12, 2) NOT NULL,
    active boolean NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL
);"""
_INSERT = (
    "INSERT INTO events (id, customer_id, kind, title, amount, active, payload,"
    " created_at) VALUES ({n}, {customer}, 'order.placed', 'Order {n}; it''s new',"
    ' {n}.25, true, \'{{"n": {n}, "tags": ["a", "b"]}}\', \'2025-01-01 12:00:00+00\');'
)
_COPIED = (
    "{n}\t{customer}\torder.placed\tOrder {n}; it's new\t{n}.25\tt"
    '\t{{"n": {n}, "tags": ["a", "b"]}}\t2025-01-01 12:00:00+00'
)
_MB = 1_000_000


class Dialect(Enum):
    """Who reads the files."""

    GOOSE = "goose"
    DBMATE = "dbmate"
    PSQL = "psql"
    MESSAGE = "message"
    """psql's, with each file as one message to the server."""


@dataclass(frozen=True, slots=True)
class Change:
    """One migration: what each tool is to do, and to undo."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]

    def text(self, dialect: Dialect) -> str:
        """Return the file's content; psql's is one transaction and has no way back."""
        up, down = "\n\n".join(self.up), "\n\n".join(self.down)
        match dialect:
            case Dialect.GOOSE:
                return f"-- +goose Up\n{up}\n\n-- +goose Down\n{down}\n"
            case Dialect.DBMATE:
                return f"-- migrate:up\n{up}\n\n-- migrate:down\n{down}\n"
            case Dialect.PSQL:
                return f"BEGIN;\n{up}\nCOMMIT;\n"
            case Dialect.MESSAGE:
                parts = "\n\n".join(f"{each[:-1]}\\;" for each in self.up)
                return f"BEGIN\\;\n{parts}\nCOMMIT;\n"


@dataclass(frozen=True, slots=True)
class Work:
    """Migrations that belong together."""

    name: str
    changes: tuple[Change, ...]

    def write(self, folder: Path, dialect: Dialect) -> Path:
        """Write a file for each change into a new *folder*, and return it."""
        folder.mkdir(parents=True)
        for change in self.changes:
            (folder / f"{change.name}.sql").write_text(change.text(dialect))
        return folder


def tables(count: int) -> Work:
    """Return migrations of three statements: a table, an index on it, its first rows."""
    return Work(f"tables-{count}", tuple(_table(n) for n in range(1, count + 1)))


def inserts(count: int) -> Work:
    """Return one migration that fills a table row by row."""
    rows = (_INSERT.format(n=n, customer=n % 997) for n in range(count))
    change = Change("00001_events", (_EVENTS, *rows), ("DROP TABLE events;",))
    return Work(f"inserts-{count}", (change,))


def large_inserts(size_mb: float) -> Iterator[str]:
    """Yield goose's file of single-row INSERTs, of so many megabytes, piece by piece."""
    yield from _large("-- +goose Up\n" + _EVENTS + "\n", _INSERT, size_mb)


def large_copy(size_mb: float) -> Iterator[str]:
    """Yield a file with all rows behind one COPY, of so many megabytes."""
    head = f"-- +goose Up\n{_EVENTS}\nCOPY events FROM stdin;\n"
    yield from chain(_large(head, _COPIED, size_mb), ("\\.\n",))


def write_large(
    folder: Path, make: Callable[[float], Iterator[str]], size_mb: float
) -> Path:
    """Write one file piece by piece into a new *folder*, and return the folder."""
    folder.mkdir(parents=True)
    with (folder / "00001_events.sql").open("w") as file:
        file.writelines(make(size_mb))
    return folder


def _large(head: str, row: str, size_mb: float) -> Iterator[str]:
    yield head
    size, n = len(head), 0
    while size < size_mb * _MB:
        line = row.format(n=n, customer=n % 997) + "\n"
        yield line
        size += len(line)
        n += 1


def _table(n: int) -> Change:
    # Each refers to the table before it, the first to itself: with one owner for
    # all, the server's work for a migration grows with the number of them.
    name, owner = f"t_{n:05}", f"t_{max(n - 1, 1):05}"
    statements = (_TABLE, _INDEX, _ROWS)
    return Change(
        f"{n:05}_{name}",
        tuple(each.format(name=name, owner=owner, n=n) for each in statements),
        (f"DROP TABLE {name};",),
    )

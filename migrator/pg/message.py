"""What migrations send to the server, message by message, in order."""

from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import chain, pairwise
from typing import NamedTuple

import psycopg

from migrator.facts import Place
from migrator.model import Statement, Step
from migrator.pg.greeting import RESET
from migrator.pg.hold import Hold
from migrator.pg.table import Table


class Kind(Enum):
    """Whose words a message has, and what they are for."""

    SETTLE = "the session as every migration finds it"
    BEGIN = "the transaction begins"
    STATEMENT = "the file's own"
    ENTER = "the version is recorded"
    COMMIT = "the transaction ends"


class Message(NamedTuple):
    """One statement for the server, and what it belongs to."""

    step: Step
    kind: Kind
    text: bytes
    flush: bool = False
    statement: Statement = Statement("", 1)
    number: int = 0
    """The statement's number in its section, from 1; 0 for what is ours."""

    @property
    def place(self) -> Place:
        """Return where in which file the message comes from."""
        return self.step.migration.place(self.statement, self.number)


def encoded(statement: Statement) -> bytes:
    """Return what is sent of a statement; what is not UTF-8 goes as it was read."""
    return statement.text.encode(errors="surrogateescape")


_OFTEN = 64
"""Of a run of INSERTs, how many are answered together: each answer costs a system call
on both sides, and 20,000 of them take twice the time with one each."""


def own_statements(step: Step) -> Iterator[Message]:
    """
    Yield the file's statements.

    Each is answered at once, but of a run of INSERTs only some, and the last.
    """
    kind, row = Kind.STATEMENT, False
    neighbours = pairwise(chain([None], step.statements, [None]))
    for number, (statement, after) in enumerate(neighbours):
        was, row = row, after is not None and after.text[:6].upper() == "INSERT"
        if statement is not None:
            flush = not (was and row) or not number % _OFTEN
            yield Message(step, kind, encoded(statement), flush, statement, number)


class Stream(NamedTuple):
    """How whole migrations are sent in one stream, each in its own transaction."""

    conn: psycopg.Connection
    table: Table | None
    hold: Hold

    def messages(self, steps: Iterable[Step]) -> Iterator[Message]:
        """Yield what *steps* send; between them the session is put right again."""
        for index, step in enumerate(steps):
            if index:
                yield from (Message(step, Kind.SETTLE, text.encode()) for text in RESET)
            yield Message(step, Kind.BEGIN, b"BEGIN")
            yield from own_statements(step)
            yield from self._entry(step)
            yield Message(step, Kind.COMMIT, b"COMMIT", flush=True)

    def _entry(self, step: Step) -> Iterator[Message]:
        if self.table is None:
            return
        # an error in place of no row: it stops all that follows, above all the COMMIT
        entry = self.table.entry(step, held=self.hold.proof, strict=True)
        for query in (*self.table.locking, entry):
            yield Message(step, Kind.ENTER, query.as_bytes(self.conn))

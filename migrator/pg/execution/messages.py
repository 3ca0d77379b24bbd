"""The sequence of messages that migrations send to the server."""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from itertools import chain, count, pairwise
from typing import NamedTuple

import psycopg
from psycopg import sql
from psycopg.pq.abc import PGconn

from migrator.domain.facts import AT_COMMIT, BEGINNING, RECORDING, RESETTING, Place
from migrator.domain.model import Direction, SessionState, Statement, Step
from migrator.pg.connection.own_messages import RESTORE, own_settings_inside
from migrator.pg.connection.queries import encode_statement
from migrator.pg.connection.session import reset_statements
from migrator.pg.locking.held_lock import HeldLock
from migrator.pg.tracking.version_table import VersionTable


class Kind(Enum):
    """The kind of a message."""

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

    prepared: bytes = b""
    """The name under which the server keeps the statement."""

    values: tuple[bytes, ...] = ()
    """The parameters of what was prepared; its text goes without them."""

    def send(self, pgconn: PGconn) -> None:
        """Hand it over."""
        if self.prepared and self.text:
            pgconn.send_prepare(self.prepared, self.text)
        elif self.prepared:
            pgconn.send_query_prepared(self.prepared, self.values)
        else:
            pgconn.send_query_params(self.text, None)

    @property
    def discards_rows(self) -> bool:
        """Whether nobody looks at the rows that come of it."""
        return self.kind is Kind.STATEMENT

    @property
    def place(self) -> Place:
        """Return where in which file the message comes from."""
        place = self.step.migration.place(self.statement, self.number)
        return place._replace(phase=_PHASES.get(self.kind, ""))


_PHASES = {
    Kind.SETTLE: RESETTING,
    Kind.BEGIN: BEGINNING,
    Kind.ENTER: RECORDING,
    Kind.COMMIT: AT_COMMIT,
}


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
            yield Message(
                step, kind, encode_statement(statement), flush, statement, number
            )


# Without a Sync between them all statements are one implicit transaction, whose
# isolation level and mode a BEGIN in it takes over (PostgreSQL's xact.c:
# BeginTransactionBlock); a block that ends makes way for a new one.
def _settle(conn: psycopg.Connection, state: SessionState) -> tuple[bytes, ...]:
    """Return what stands between two migrations, in a transaction of its own."""
    return (
        b"BEGIN",
        *(each.encode() for each in reset_statements(conn, state)),
        b"COMMIT",
    )


_numbers = count(1)
"""Of what is prepared: a session keeps a name until it ends."""


class MessageStream:
    """How whole migrations are sent in one stream, each in its own transaction."""

    def __init__(
        self,
        conn: psycopg.Connection,
        table: VersionTable | None,
        lock: HeldLock,
        state: SessionState,
    ) -> None:
        self._conn = conn
        self._settle = _settle(conn, state)
        self._table = table
        self._lock = lock
        self._prepared: dict[Direction | str, bytes] = {}

    def messages(self, steps: Iterable[Step]) -> Iterator[Message]:
        """Yield what *steps* send; between them the session is put right again."""
        for index, step in enumerate(steps):
            if index:
                yield from (Message(step, Kind.SETTLE, text) for text in self._settle)
            yield Message(step, Kind.BEGIN, step.begin.encode())
            yield from own_statements(step)
            yield from self._entry(step)
            yield Message(step, Kind.COMMIT, b"COMMIT", flush=True)

    def _entry(self, step: Step) -> Iterator[Message]:
        """
        Yield what records *step*, planned once for all steps: that is most of its work.

        It fails in place of finding no row, and stops all that follows, above all the
        COMMIT.
        """
        table = self._table
        if table is None:
            return
        held = self._lock.still_held_sql
        yield from self._run(step, "keep", lambda: own_settings_inside(self._conn))
        for query in table.lock_statements:
            yield Message(step, Kind.ENTER, query.as_bytes(self._conn))
        yield from self._run(
            step,
            step.direction,
            lambda: table.prepared_record_sql(step.direction, held),
            table.record_parameters(step.migration),
        )
        yield from self._run(step, "restore", lambda: RESTORE)

    def _run(
        self,
        step: Step,
        what: Direction | str,
        query: Callable[[], sql.Composable],
        values: tuple[bytes, ...] = (),
    ) -> Iterator[Message]:
        """Yield what runs *query*, and before its first run what prepares it."""
        name = self._prepared.get(what)
        if name is None:
            name = self._prepared[what] = b"migrator_%d" % next(_numbers)
            text = query().as_bytes(self._conn)
            yield Message(step, Kind.ENTER, text, prepared=name)
        yield Message(step, Kind.ENTER, b"", prepared=name, values=values)

"""goose's tracking table and ours beside it: looked at, and created."""

from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.errors import BadTableError
from migrator.pg.greeting import Answers, ask
from migrator.pg.ledger import Ledger
from migrator.pg.look import Seen, question, seen
from migrator.pg.pooler import pooled, setting, settled
from migrator.pg.table import Table
from migrator.pg.trouble import explaining


class Store(NamedTuple):
    """The tracking table, named as the settings do: `table` or `schema.table`."""

    name: str = "goose_db_version"
    keep_ledger: bool = True
    """Whether to write our own side table as well."""

    @property
    def question(self) -> sql.Composable:
        """Return what `look` asks, for a message that asks other things too."""
        return question(self.name)

    def read(self, answers: Answers) -> Seen:
        """Return what the answers to `question` say."""
        return seen(answers, keep_ledger=self.keep_ledger)

    def look(self, conn: psycopg.Connection) -> Seen:
        """
        Return what the table says, and the table, in one round trip.

        Reads only: a role with SELECT is enough, and nothing is created.

        Raises:
            BadTableError: Its columns are not goose's.
            AccessDeniedError: The role may not read it.
        """
        with explaining(self.name, conn):
            return self._look(conn)

    def _look(self, conn: psycopg.Connection, *first: sql.Composable) -> Seen:
        asked = sql.SQL("; ").join([*first, self.question])
        return self.read(ask(conn, setting(conn, asked.as_bytes(conn))))

    def ensure(self, conn: psycopg.Connection, before: Seen) -> Seen:
        """
        Return what the table says, created as goose creates it when there is none.

        goose's version 0 is put in with the table, or later into an empty one. One
        round trip when what was seen *before* is true still. A session that has entered
        a version and outlived its run is waited for: what it commits is seen.

        Raises:
            BadTableError: The schema that it is to live in does not exist.
            AccessDeniedError: The role may not create or write it.
        """
        with explaining(self.name, conn):
            now = self._quickly(conn, before)
        if now is not None and now.complete:
            return now
        with explaining(self.name, conn):
            try:
                table = self._ensured(conn)
            except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
                # a migrator without a lock made it at the same moment: it is there now
                table = self._ensured(conn)
        return self.look(conn)._replace(table=table)

    def _quickly(self, conn: psycopg.Connection, before: Seen) -> Seen | None:
        """Look; where there was no table, make it in the same message."""
        if before.table is not None:
            return self._look(conn, *before.table.locking)
        if pooled(conn):
            return None  # behind a pooler each step has its own settings
        try:
            return self.read(ask(conn, self._creation(before) + self.question))
        except psycopg.Error:
            if conn.closed:
                raise
            conn.rollback()  # and then step by step, which says what is wrong
            return None

    def _creation(self, before: Seen) -> sql.Composed:
        table = self._table(before)
        ledger = () if table.ledger is None else (table.ledger.creation,)
        made = (table.creation(unless_there=True), *table.locking)
        steps = (*made, table.row_0, *ledger)
        return sql.SQL("BEGIN; {}; COMMIT; ").format(sql.SQL("; ").join(steps))

    def _ensured(self, conn: psycopg.Connection) -> Table:
        with settled(conn), conn.transaction():
            before = self.read(ask(conn, self.question))
            table = self._table(before)
            if before.table is None:
                conn.execute(table.creation(unless_there=False))
            conn.execute(sql.SQL("; ").join([*table.locking, table.row_0]))
            if table.ledger is not None and not table.ledger.create(conn):
                table = table._replace(ledger=None)
        return table

    def _table(self, before: Seen) -> Table:
        schema, name = before.place or (None, self.name)
        if schema is None:
            raise BadTableError(self.name, reason="no schema of the search path exists")
        ledger = Ledger(schema, name) if self.keep_ledger else None
        lockable = before.table is None or before.table.lockable
        return Table(schema, name, ledger, lockable)

"""goose's tracking table and ours beside it: looked at, and created."""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.model import HistoryTable
from migrator.errors import BadTableError, MissingSchemaError
from migrator.pg.connection.own_messages import OWN, ask_own
from migrator.pg.connection.pooler import pooled, settled
from migrator.pg.connection.session import Answers
from migrator.pg.errors.tracking_errors import explaining
from migrator.pg.tracking.snapshot import NO_PRIVILEGE, Seen, question, resolution, seen
from migrator.pg.tracking.version_table import Table


class Store(NamedTuple):
    """The tracking table, named as the settings do: `table` or `schema.table`."""

    name: str = "goose_db_version"
    keep: HistoryTable = HistoryTable.AUTO
    """Whether to write our own side table as well."""

    @property
    def question(self) -> sql.Composable:
        """Return what `look` asks, for a message that asks other things before it."""
        return sql.SQL("; ").join([resolution(self.name), OWN, question(self.name)])

    def read(self, answers: Answers) -> Seen:
        """Return what the answers to `question` say. Raises as `seen`."""
        return seen(answers, keep=self.keep)

    def look(self, conn: psycopg.Connection) -> Seen:
        """
        Return what the table says, and the table, in one round trip.

        Reads only: a role with SELECT is enough, and nothing is created.

        Raises:
            BadTableError: Its columns are not goose's.
            AccessDeniedError: The role may not read it, or not all of its rows.
            ForeignObjectError: A role that is not trusted owns it.
        """
        with explaining(self.name, conn):
            return self._look(conn)

    def _look(self, conn: psycopg.Connection, *first: sql.Composable) -> Seen:
        resolve = (*first, resolution(self.name))
        return self.read(ask_own(conn, question(self.name), resolve))

    def ensure(self, conn: psycopg.Connection, before: Seen) -> Seen:
        """
        Return what the table says, created as goose creates it when there is none.

        goose's version 0 is put in with the table, or later into an empty one. One
        round trip when what was seen *before* is true still. A session that has entered
        a version and outlived its run is waited for: what it commits is seen.

        Raises:
            MissingSchemaError: The schema that it is to live in does not exist.
            AccessDeniedError: The role may not create or write it.
            ForeignObjectError: A role that is not trusted owns it.
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
        found = self.look(conn)
        refused = "" if table.ledger or not found.creates_ledger else NO_PRIVILEGE
        return found._replace(table=table, no_ledger=found.no_ledger or refused)

    def _quickly(self, conn: psycopg.Connection, before: Seen) -> Seen | None:
        """Look; where there was no table, make it in the same message."""
        if before.table is not None:
            return self._look(conn, *before.table.locking)
        if pooled(conn):
            return None  # behind a pooler each step has its own settings
        try:
            return self._look(conn, *self._creation(before))
        except psycopg.Error:
            if conn.closed:
                raise
            conn.rollback()  # and then step by step, which says what is wrong
            return None

    def _creation(self, before: Seen) -> Iterator[sql.Composable]:
        table = self._table(before)
        yield from (sql.SQL("BEGIN"), OWN, table.creation, *table.locking, table.row_0)
        if before.creates_ledger and before.ledger is not None:
            yield before.ledger.creation
        yield sql.SQL("COMMIT")

    def _ensured(self, conn: psycopg.Connection) -> Table:
        with settled(conn), conn.transaction():
            before = self._look(conn)
            table = self._table(before)
            creation = () if before.table else (table.creation,)
            steps = [*creation, *table.locking, table.row_0]
            ask_own(conn, sql.SQL("; ").join(steps))
            missing = before.ledger if before.creates_ledger else None
            if missing is not None and not missing.create(conn):
                table = table._replace(ledger=None)
        return table

    def _table(self, before: Seen) -> Table:
        schema, name = before.place or (None, self.name)
        if schema is None:
            raise MissingSchemaError.of_path(self.name)
        if schema.startswith("pg_"):
            raise BadTableError(
                self.name, reason=f"{schema} is PostgreSQL's own schema"
            )
        lockable = before.table is None or before.table.lockable
        return Table(schema, name, before.ledger, lockable)

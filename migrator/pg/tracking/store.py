"""
Reads and creates goose's tracking table and the history table.

`NoTrackingStore` replaces it for goose's `-no-versioning`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.model import HistoryMode
from migrator.errors import (
    BrokenAnswerError,
    InvalidTrackingTableError,
    MissingSchemaError,
)
from migrator.pg.connection.own_messages import OWN, query_own
from migrator.pg.connection.pooler import in_settings, is_pooled, with_settings
from migrator.pg.connection.session import Answers, query_first_rows
from migrator.pg.errors.tracking_errors import translate_table_errors
from migrator.pg.tracking.snapshot import (
    NO_PRIVILEGE,
    DatabaseState,
    read_snapshot,
    resolve_table_sql,
    snapshot_sql,
)
from migrator.pg.tracking.version_table import VersionTable


class TrackingStore(NamedTuple):
    """The tracking table, named as the settings do: `table` or `schema.table`."""

    name: str = "goose_db_version"
    history_mode: HistoryMode = HistoryMode.AUTO
    """Whether the history table is written too."""

    @property
    def snapshot_sql(self) -> sql.Composable:
        """Return the query of `read_state`, as a part of a larger message."""
        return sql.SQL("; ").join(
            [resolve_table_sql(self.name), OWN, snapshot_sql(self.name)]
        )

    def parse_state(self, answers: Answers) -> DatabaseState:
        """Return the state in the answers to `snapshot_sql`. Raises as `read_state`."""
        return read_snapshot(answers, self.history_mode)

    def read_state(self, conn: psycopg.Connection) -> DatabaseState:
        """
        Return the state of the tables, in one round trip.

        It only reads: a role with SELECT is enough, and nothing is created.

        Raises:
            InvalidTrackingTableError: Its columns are not goose's.
            AccessDeniedError: The role may not read it, or not all of its rows.
            ForeignObjectError: A role that is not trusted owns it.
        """
        with translate_table_errors(self.name, conn):
            return self._query_state(conn)

    def _query_state(
        self, conn: psycopg.Connection, *first: sql.Composable
    ) -> DatabaseState:
        resolve = (*first, resolve_table_sql(self.name))
        return self.parse_state(query_own(conn, snapshot_sql(self.name), resolve))

    def ensure(
        self, conn: psycopg.Connection, previous: DatabaseState
    ) -> DatabaseState:
        """
        Create missing tables as goose does, and return their state.

        goose's version 0 is inserted with the table, or later into an empty one. It
        takes one round trip while the state *previous* is up to date. The lock on the
        table waits for a session that outlived its run and may still commit a version.

        Raises:
            MissingSchemaError: The schema of the table does not exist.
            AccessDeniedError: The role may not create or write it.
            ForeignObjectError: A role that is not trusted owns it.
        """
        with translate_table_errors(self.name, conn):
            state = self._create_in_one_message(conn, previous)
        if state is not None and state.is_complete:
            return state
        with translate_table_errors(self.name, conn):
            try:
                table = self._create_in_transaction(conn)
            except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
                # a migrator without a lock has just created it
                table = self._create_in_transaction(conn)
        state = self.read_state(conn)
        if state.creates_history_table and table.history_table is None:
            state = state._replace(
                no_history_reason=state.no_history_reason or NO_PRIVILEGE
            )
        return state._replace(table=table)

    def _create_in_one_message(
        self, conn: psycopg.Connection, previous: DatabaseState
    ) -> DatabaseState | None:
        """Read the state; create the table in the same message if there was none."""
        if previous.table is not None:
            return self._query_state(conn, *previous.table.lock_statements)
        if is_pooled(conn):
            return (
                None  # after the COMMIT the rest of the message would lack the settings
            )
        try:
            return self._query_state(conn, *self._create_statements(previous))
        except psycopg.Error:
            if conn.closed:
                raise
            conn.rollback()  # `_create_in_transaction` reports which step fails
            return None

    def _create_statements(self, previous: DatabaseState) -> Iterator[sql.Composable]:
        table = self._table(previous)
        yield from (
            sql.SQL("BEGIN"),
            OWN,
            table.create_sql,
            *table.lock_statements,
            table.insert_version_0_sql,
        )
        if previous.creates_history_table and previous.history_table is not None:
            yield previous.history_table.create_sql
        yield sql.SQL("COMMIT")

    def _create_in_transaction(self, conn: psycopg.Connection) -> VersionTable:
        with in_settings(conn), conn.transaction():
            previous = self._query_state(conn)
            table = self._table(previous)
            creation = () if previous.table else (table.create_sql,)
            steps = [*creation, *table.lock_statements, table.insert_version_0_sql]
            query_own(conn, sql.SQL("; ").join(steps))
            missing = previous.history_table if previous.creates_history_table else None
            if missing is not None and not missing.create(conn):
                table = table._replace(history_table=None)
        return table

    def _table(self, previous: DatabaseState) -> VersionTable:
        schema, name = previous.schema_and_name or (None, self.name)
        if schema is None:
            raise MissingSchemaError.of_path(self.name)
        if schema.startswith("pg_"):
            raise InvalidTrackingTableError(
                self.name, reason=f"{schema} is PostgreSQL's own schema"
            )
        lockable = previous.table is None or previous.table.is_lockable
        return VersionTable(schema, name, previous.history_table, lockable)


class NoTrackingStore(NamedTuple):
    """Replaces `TrackingStore`; reads and writes no table."""

    name: str = "no table"

    @property
    def snapshot_sql(self) -> sql.Composable:
        """Return the query for the schema in which goose's lease may be."""
        return sql.SQL("SELECT pg_catalog.current_schema()")

    def parse_state(self, answers: Answers) -> DatabaseState:
        """Return a state that has only this schema."""
        row = answers[-1] if answers else None
        if row is None or len(row) != 1:
            raise BrokenAnswerError
        return DatabaseState(schema=row[0])

    def read_state(self, conn: psycopg.Connection) -> DatabaseState:
        """Return the same, in one round trip."""
        return self.parse_state(
            query_first_rows(
                conn, with_settings(conn, self.snapshot_sql.as_bytes(conn))
            )
        )

    def ensure(
        self, conn: psycopg.Connection, previous: DatabaseState
    ) -> DatabaseState:
        """Create nothing."""
        return previous

"""Reads and creates goose's tracking table and the history table."""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.model import HistoryMode
from migrator.errors import InvalidTrackingTableError, MissingSchemaError
from migrator.pg.connection.own_messages import OWN, query_own
from migrator.pg.connection.pooler import in_settings, is_pooled
from migrator.pg.connection.session import Answers
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
    keep: HistoryMode = HistoryMode.AUTO
    """Whether to write our own side table as well."""

    @property
    def snapshot_sql(self) -> sql.Composable:
        """Return the query of `read_state`, for a message that has others before it."""
        return sql.SQL("; ").join(
            [resolve_table_sql(self.name), OWN, snapshot_sql(self.name)]
        )

    def parse_state(self, answers: Answers) -> DatabaseState:
        """Return what the answers to `snapshot_sql` say. Raises as `read_state`."""
        return read_snapshot(answers, keep=self.keep)

    def read_state(self, conn: psycopg.Connection) -> DatabaseState:
        """
        Return what the table says, and the table, in one round trip.

        Reads only: a role with SELECT is enough, and nothing is created.

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

    def ensure(self, conn: psycopg.Connection, before: DatabaseState) -> DatabaseState:
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
        with translate_table_errors(self.name, conn):
            now = self._create_in_one_message(conn, before)
        if now is not None and now.complete:
            return now
        with translate_table_errors(self.name, conn):
            try:
                table = self._create_in_transaction(conn)
            except (psycopg.errors.DuplicateTable, psycopg.errors.UniqueViolation):
                # a migrator without a lock made it at the same moment: it is there now
                table = self._create_in_transaction(conn)
        found = self.read_state(conn)
        refused = (
            ""
            if table.history_table or not found.creates_history_table
            else NO_PRIVILEGE
        )
        return found._replace(
            table=table, no_history_reason=found.no_history_reason or refused
        )

    def _create_in_one_message(
        self, conn: psycopg.Connection, before: DatabaseState
    ) -> DatabaseState | None:
        """Look; where there was no table, make it in the same message."""
        if before.table is not None:
            return self._query_state(conn, *before.table.lock_statements)
        if is_pooled(conn):
            return None  # behind a pooler each step has its own settings
        try:
            return self._query_state(conn, *self._create_statements(before))
        except psycopg.Error:
            if conn.closed:
                raise
            conn.rollback()  # and then step by step, which says what is wrong
            return None

    def _create_statements(self, before: DatabaseState) -> Iterator[sql.Composable]:
        table = self._table(before)
        yield from (
            sql.SQL("BEGIN"),
            OWN,
            table.create_sql,
            *table.lock_statements,
            table.insert_version_0_sql,
        )
        if before.creates_history_table and before.history_table is not None:
            yield before.history_table.create_sql
        yield sql.SQL("COMMIT")

    def _create_in_transaction(self, conn: psycopg.Connection) -> VersionTable:
        with in_settings(conn), conn.transaction():
            before = self._query_state(conn)
            table = self._table(before)
            creation = () if before.table else (table.create_sql,)
            steps = [*creation, *table.lock_statements, table.insert_version_0_sql]
            query_own(conn, sql.SQL("; ").join(steps))
            missing = before.history_table if before.creates_history_table else None
            if missing is not None and not missing.create(conn):
                table = table._replace(history_table=None)
        return table

    def _table(self, before: DatabaseState) -> VersionTable:
        schema, name = before.place or (None, self.name)
        if schema is None:
            raise MissingSchemaError.of_path(self.name)
        if schema.startswith("pg_"):
            raise InvalidTrackingTableError(
                self.name, reason=f"{schema} is PostgreSQL's own schema"
            )
        lockable = before.table is None or before.table.lockable
        return VersionTable(schema, name, before.history_table, lockable)

"""
Our side table beside goose's: what ran when, how long, from which content.

It is written in the migration's own transaction. The row of a migration without a
transaction is there from its beginning, as its intent
(`migrator.pg.tracking.intent_log`): while it is open, `state` says how. Losing the
table loses comfort, not correctness: what it decides is whether a file has changed, and
where one that was stopped goes on.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator._version import VERSION
from migrator.domain.model import Migration
from migrator.pg.connection.own_messages import query_own


NAME = "migrator_history"
_CREATE = """
CREATE TABLE {} (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    tracking_table text NOT NULL,
    tracking_id bigint,
    version_id bigint NOT NULL,
    action text NOT NULL,
    path text NOT NULL,
    checksum text NOT NULL,
    duration_ms bigint NOT NULL,
    migrator_version text NOT NULL,
    done_by text NOT NULL DEFAULT session_user,
    done_from text DEFAULT host(inet_client_addr()),
    done_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    state text,
    statement integer,
    prefix text,
    sent jsonb
)
"""
_NOTE = """
INSERT INTO {ledger} (tracking_table, tracking_id, version_id, action, path, checksum,
                      duration_ms, migrator_version)
SELECT {name}, {id}, {version}, {action}, {path}, {checksum}, {took_ms}, {about}
"""
_CLOSE = """
UPDATE {ledger} ledger SET tracking_id = {id}, path = {path}, checksum = {checksum},
    duration_ms = {took_ms}, migrator_version = {about}, done_at = clock_timestamp(),
    state = NULL, statement = NULL, prefix = NULL, sent = NULL
"""
_FORGET = """
UPDATE {ledger} SET state = NULL, sent = NULL
WHERE state IS NOT NULL AND tracking_table = {name} AND version_id IN ({versions})
"""
WITHIN_MS = sql.SQL("(extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint")
"""How long the transaction that asks has been open, in milliseconds."""


class Action(Enum):
    """What was done with a migration."""

    UP = "up"
    DOWN = "down"
    BASELINE = "baseline"


class MigrationValues(NamedTuple):
    """What is written of a migration, in SQL's words."""

    version: sql.Composable
    path: sql.Composable
    checksum: sql.Composable

    @classmethod
    def of(cls, migration: Migration) -> "MigrationValues":
        """Return what is written of *migration*, as literals."""
        return cls(
            sql.Literal(migration.version),
            sql.Literal(migration.path),
            sql.Literal(migration.checksum),
        )


PARAMETERS = MigrationValues(
    sql.SQL("$1::bigint"), sql.SQL("$2::text"), sql.SQL("$3::text")
)
"""What is written of any migration, in a statement that is prepared for all of them."""


class HistoryTable(NamedTuple):
    """The side table in the tracking table's schema; one for all tables there."""

    schema: str
    tracking_table: str

    @property
    def identifier(self) -> sql.Identifier:
        """Return its quoted, qualified name."""
        return sql.Identifier(self.schema, NAME)

    @property
    def create_sql(self) -> sql.Composed:
        """Return what makes it; it fails where there is one."""
        return sql.SQL(_CREATE).format(self.identifier)

    def create(self, conn: psycopg.Connection) -> bool:
        """Make it in a transaction that is open; False when this role may not."""
        try:
            with conn.transaction():
                query_own(conn, self.create_sql)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def insert_sql(
        self,
        told: MigrationValues,
        action: Action,
        *,
        tracking_id: sql.Composable,
        took_ms: sql.Composable,
    ) -> sql.Composed:
        """Return what adds a row; a FROM or a WHERE may follow it."""
        return sql.SQL(_NOTE).format(
            **self._set(told, tracking_id, took_ms),
            name=sql.Literal(self.tracking_table),
            version=told.version,
            action=sql.Literal(action.value),
        )

    def close_intent_sql(
        self,
        told: MigrationValues,
        *,
        tracking_id: sql.Composable,
        took_ms: sql.Composable,
    ) -> sql.Composed:
        """Return what makes an intent, named `ledger`, an entry; a FROM may follow."""
        return sql.SQL(_CLOSE).format(**self._set(told, tracking_id, took_ms))

    def close_intents_sql(self, versions: Iterable[int]) -> sql.Composed:
        """Return what closes the intents of *versions*, which nobody takes up."""
        return sql.SQL(_FORGET).format(
            ledger=self.identifier,
            name=sql.Literal(self.tracking_table),
            versions=sql.SQL(", ").join(map(sql.Literal, versions)),
        )

    def _set(
        self,
        told: MigrationValues,
        tracking_id: sql.Composable,
        took_ms: sql.Composable,
    ) -> dict[str, sql.Composable]:
        return {
            "ledger": self.identifier,
            "id": tracking_id,
            "path": told.path,
            "checksum": told.checksum,
            "took_ms": took_ms,
            "about": sql.Literal(VERSION),
        }

"""
The history table `migrator_history`: what ran when, how long, with which checksum.

Its row is written in the migration's own transaction. That of a NO TRANSACTION
migration is inserted when it starts, as its intent (`migrator.pg.tracking.intent_log`);
`state` is set while it is open. The table decides only whether a file has changed and
where a stopped migration resumes, so a run can do without it.
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
_INSERT = """
INSERT INTO {history} (tracking_table, tracking_id, version_id, action, path, checksum,
                      duration_ms, migrator_version)
SELECT {name}, {id}, {version}, {action}, {path}, {checksum}, {duration_ms},
    {migrator_version}
"""
_CLOSE_INTENT = """
UPDATE {history} history SET tracking_id = {id}, path = {path}, checksum = {checksum},
    duration_ms = {duration_ms}, migrator_version = {migrator_version},
    done_at = clock_timestamp(), state = NULL, statement = NULL, prefix = NULL,
    sent = NULL
"""
_CLOSE_INTENTS = """
UPDATE {history} SET state = NULL, sent = NULL
WHERE state IS NOT NULL AND tracking_table = {name} AND version_id IN ({versions})
"""
TRANSACTION_MS = sql.SQL(
    "(extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint"
)
"""The duration of the current transaction so far, in milliseconds."""


class Action(Enum):
    """What was done with a migration."""

    UP = "up"
    DOWN = "down"
    BASELINE = "baseline"


class MigrationValues(NamedTuple):
    """The values of a migration, as SQL expressions."""

    version: sql.Composable
    path: sql.Composable
    checksum: sql.Composable

    @classmethod
    def of(cls, migration: Migration) -> "MigrationValues":
        """Return the values of *migration* as literals."""
        return cls(
            sql.Literal(migration.version),
            sql.Literal(migration.path),
            sql.Literal(migration.checksum),
        )


PARAMETERS = MigrationValues(
    sql.SQL("$1::bigint"), sql.SQL("$2::text"), sql.SQL("$3::text")
)
"""The values as parameters of a statement that is prepared once for all migrations."""


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
        """Return its CREATE TABLE statement."""
        return sql.SQL(_CREATE).format(self.identifier)

    def create(self, conn: psycopg.Connection) -> bool:
        """Create the table in the open transaction; False without the privilege."""
        try:
            with conn.transaction():
                query_own(conn, self.create_sql)
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def write_sql(
        self,
        values: MigrationValues,
        action: Action,
        duration_ms: sql.Composable,
        intent: int | None,
    ) -> sql.Composed:
        """
        Return the INSERT of a row, or the UPDATE that closes *intent*.

        It writes only if the query `recorded` has a row, whose id is the tracking id.
        """
        is_down = action is Action.DOWN
        source = "WHERE EXISTS (SELECT FROM recorded)" if is_down else "FROM recorded"
        if intent is not None:
            source += f" {'AND' if is_down else 'WHERE'} history.id = {intent}"
        write = sql.SQL(_INSERT if intent is None else _CLOSE_INTENT).format(
            history=self.identifier,
            name=sql.Literal(self.tracking_table),
            id=sql.SQL("NULL::bigint" if is_down else "recorded.id"),
            version=values.version,
            action=sql.Literal(action.value),
            path=values.path,
            checksum=values.checksum,
            duration_ms=duration_ms,
            migrator_version=sql.Literal(VERSION),
        )
        return write + sql.SQL(source)

    def close_intents_sql(self, versions: Iterable[int]) -> sql.Composed:
        """Return the UPDATE that closes the intents of *versions*."""
        return sql.SQL(_CLOSE_INTENTS).format(
            history=self.identifier,
            name=sql.Literal(self.tracking_table),
            versions=sql.SQL(", ").join(map(sql.Literal, versions)),
        )

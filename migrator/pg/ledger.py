"""
Our side table beside goose's: what ran when, how long, from which content.

It is written in the migration's own transaction and append-only. Losing it loses
comfort, not correctness: nothing is decided by it but whether a file has changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import psycopg
from psycopg import sql

from migrator.about import VERSION
from migrator.model import Migration


NAME = "migrator_history"
_ALLOWED = """
SELECT has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""
_CREATE = """
CREATE TABLE IF NOT EXISTS {} (
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
    done_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
# By the id of goose's row: what another tool has taken back and applied again since
# has another one, and we know nothing about it.
_APPLIED = """
SELECT ours.version_id, ours.checksum FROM {ours} ours
JOIN {goose} goose ON goose.id = ours.tracking_id
    AND goose.version_id = ours.version_id
WHERE ours.tracking_table = {name}
"""
_WRITE = """
INSERT INTO {} (tracking_table, tracking_id, version_id, action, path, checksum,
                duration_ms, migrator_version)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


class Action(Enum):
    """What was done with a migration."""

    UP = "up"
    DOWN = "down"
    BASELINE = "baseline"


@dataclass(frozen=True, slots=True)
class Ledger:
    """The side table in the tracking table's schema; one for all tables there."""

    schema: str
    tracking_table: str

    @property
    def identifier(self) -> sql.Identifier:
        """Return its quoted, qualified name."""
        return sql.Identifier(self.schema, NAME)

    def create(self, conn: psycopg.Connection) -> bool:
        """Make it when there is none; False when this role may not make or write it."""
        allowed = self._allowed(conn)
        if allowed is not None:
            return allowed == (True, True)
        try:
            with conn.transaction():
                conn.execute(sql.SQL(_CREATE).format(self.identifier))
        except psycopg.errors.InsufficientPrivilege:
            return False
        return True

    def checksums(self, conn: psycopg.Connection) -> Mapping[int, str]:
        """
        Return the checksum that each applied version had, as far as it is known.

        Empty when there is no such table, or this role may not read it.
        """
        readable, _ = self._allowed(conn) or (False, False)
        if not readable:
            return {}
        query = sql.SQL(_APPLIED).format(
            ours=self.identifier,
            goose=sql.Identifier(self.schema, self.tracking_table),
            name=sql.Literal(self.tracking_table),
        )
        return dict(conn.execute(query).fetchall())

    def write(
        self,
        conn: psycopg.Connection,
        migration: Migration,
        action: Action,
        *,
        tracking_id: int | None,
        duration_s: float,
    ) -> None:
        """Add a row, in the transaction that *conn* is in."""
        values = (
            self.tracking_table,
            tracking_id,
            migration.version,
            action.value,
            migration.path,
            migration.checksum,
            round(duration_s * 1000),
            VERSION,
        )
        conn.execute(sql.SQL(_WRITE).format(self.identifier), values)

    def _allowed(self, conn: psycopg.Connection) -> tuple[bool, bool] | None:
        """Tell whether this role may read and write it; None when there is none."""
        return conn.execute(_ALLOWED, [self.schema, NAME]).fetchone()

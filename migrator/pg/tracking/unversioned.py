"""No tracking table at all: goose's `-no-versioning`."""

from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.errors import BrokenAnswerError
from migrator.pg.connection.pooler import with_settings
from migrator.pg.connection.session import Answers, query_first_rows
from migrator.pg.tracking.snapshot import DatabaseState


class NoTrackingStore(NamedTuple):
    """Stands where `TrackingStore` does; reads no table, writes none."""

    name: str = "no table"

    @property
    def snapshot_sql(self) -> sql.Composable:
        """Return what asks for the schema in which the lock's table may be."""
        return sql.SQL("SELECT pg_catalog.current_schema()")

    def parse_state(self, answers: Answers) -> DatabaseState:
        """Return that nothing is known but that schema."""
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

    def ensure(self, conn: psycopg.Connection, before: DatabaseState) -> DatabaseState:
        """Create nothing."""
        return before

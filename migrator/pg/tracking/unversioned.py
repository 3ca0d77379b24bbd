"""No tracking table at all: goose's `-no-versioning`."""

from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.errors import BrokenAnswerError
from migrator.pg.connection.pooler import setting
from migrator.pg.connection.session import Answers, ask
from migrator.pg.tracking.snapshot import Seen


class Unversioned(NamedTuple):
    """Stands where `Store` does; reads no table, writes none."""

    name: str = "no table"

    @property
    def question(self) -> sql.Composable:
        """Return what asks for the schema in which the lock's table may be."""
        return sql.SQL("SELECT pg_catalog.current_schema()")

    def read(self, answers: Answers) -> Seen:
        """Return that nothing is known but that schema."""
        row = answers[-1] if answers else None
        if row is None or len(row) != 1:
            raise BrokenAnswerError
        return Seen(home=row[0])

    def look(self, conn: psycopg.Connection) -> Seen:
        """Return the same, in one round trip."""
        return self.read(ask(conn, setting(conn, self.question.as_bytes(conn))))

    def ensure(self, conn: psycopg.Connection, before: Seen) -> Seen:
        """Create nothing."""
        return before

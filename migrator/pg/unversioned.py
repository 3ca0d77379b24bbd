"""No tracking table at all: goose's `-no-versioning`."""

from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.greeting import Answers
from migrator.pg.look import Seen


class Unversioned(NamedTuple):
    """Stands where `Store` does; reads nothing, writes nothing."""

    name: str = "no table"

    @property
    def question(self) -> sql.Composable:
        """Return that nothing is asked."""
        return sql.SQL("")

    def read(self, answers: Answers) -> Seen:
        """Return that nothing is known."""
        return Seen()

    def look(self, conn: psycopg.Connection) -> Seen:
        """Return that nothing is known."""
        return Seen()

    def ensure(self, conn: psycopg.Connection, before: Seen) -> Seen:
        """Create nothing."""
        return before

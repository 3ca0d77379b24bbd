"""No tracking table at all: goose's `-no-versioning`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg

from migrator.model import History, Migration, Step


@dataclass(frozen=True, slots=True)
class Unversioned:
    """Stands where `Store` and `Table` do; reads nothing, writes nothing."""

    name: str = "no table"

    def look(self, conn: psycopg.Connection) -> tuple[History, "Unversioned"]:
        """Return that nothing is known."""
        return History(), self

    def ensure(self, conn: psycopg.Connection) -> "Unversioned":
        """Create nothing."""
        return self

    def read(self, conn: psycopg.Connection) -> History:
        """Return that nothing is known."""
        return History()

    def checksums(self, conn: psycopg.Connection) -> Mapping[int, str]:
        """Return that nothing is known."""
        return {}

    def adopt(self, conn: psycopg.Connection, migrations: Iterable[Migration]) -> None:
        """Write nothing."""

    def enter(self, conn: psycopg.Connection, step: Step, *, took_s: float) -> bool:
        """Write nothing: nobody else can have been first."""
        return True

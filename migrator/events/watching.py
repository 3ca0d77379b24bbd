"""Events of a statement that runs for long, as its monitor sees it."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from migrator.domain.facts import Word
from migrator.events.base import Event


class Blocker(NamedTuple):
    """A session that another one waits for; what our role may not see is None."""

    pid: int
    """0 for a prepared transaction."""

    application: str | None
    user: str | None
    client: str | None
    """Its address; None on a socket."""

    backend: str | None
    """PostgreSQL's type of process, such as `client backend`, `autovacuum worker`."""

    state: str | None
    state_s: int | None
    """How long it is in that state."""

    transaction_s: int | None
    """How long its transaction is open."""

    query: str | None
    """What it runs, or ran last: 200 characters at most, in one line."""

    waits: bool
    """Whether it is blocked itself."""

    @property
    def hidden(self) -> bool:
        """Return whether our role may not see what it does."""
        return bool(self.pid) and self.state is None and self.query is None

    def __str__(self) -> str:
        parts = (
            self.pid and f"pid {self.pid}",
            self.application and f"application {self.application}",
            self.backend != "client backend" and self.backend,
            self.user and f"user {self.user}",
            self.client and f"client {self.client}",
            self.state and f"{self.state}{_lasting(self.state_s)}",
            self.transaction_s and f"transaction open{_lasting(self.transaction_s)}",
            self.waits and "blocked itself",
            self.query and f"query: {self.query}",
        )
        return ", ".join(str(part) for part in parts if part)


def _lasting(seconds: int | None) -> str:
    return "" if seconds is None else f" for {seconds} s"


class StatementBlocked(Event):
    """A statement waits for a lock; the sessions that block it are listed."""

    name: ClassVar[str] = "statement.blocked"
    level: ClassVar[str] = "warning"

    version: int
    path: str
    line: int
    statement: int
    """Its number in the file; 0 for what we send ourselves, such as COMMIT."""

    elapsed_s: float
    """Since the statement began."""

    waited_s: float | None
    """Since it began to wait for this lock; null when the server does not say."""

    lock: Word | None
    """PostgreSQL's kind and mode: `relation AccessExclusiveLock`, `virtualxid …`."""

    relation: str | None
    phase: Word | None
    """What a CREATE INDEX CONCURRENTLY waits for: `waiting for old snapshots`."""

    blockers: tuple[Mapping[str, Any], ...]
    """Whom it waits for and whom they wait for, nearest first: ten at most."""

    hint: str | None
    """What to grant to see what is hidden; reported once in a run."""


class StatementProgressed(Event):
    """A statement is still running; with its progress where PostgreSQL reports it."""

    name: ClassVar[str] = "statement.progressed"

    version: int
    path: str
    line: int
    statement: int
    """Its number in the file; 0 for what we send ourselves, such as COMMIT."""

    elapsed_s: float
    """Since the statement began."""

    command: Word | None
    """What PostgreSQL counts, such as `CREATE INDEX`; null where it does not."""

    relation: str | None
    phase: Word | None
    percent: float | None
    """Of this phase."""

    done: int | None
    total: int | None
    unit: Word | None
    """Of `done` and `total`: `blocks`, `tuples`, `bytes`, `rows` and so on."""

    rate_per_s: float | None
    """Units for each second since the last check."""

    left_s: float | None
    """Seconds that this phase still takes at that rate."""

    state: Word | None
    """State of our session; null, as the next one, if it could not be read."""

    wait_event: Word | None
    """What our session waits for, as `IO: DataFileRead`; null when it computes."""

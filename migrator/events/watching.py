"""What is seen of a statement while it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from migrator.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementBlocked(Event):
    """A statement waits for a lock, and this is who has it."""

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

    lock: str | None
    """PostgreSQL's kind and mode: `relation AccessExclusiveLock`, `virtualxid …`."""

    relation: str | None
    phase: str | None
    """What a CREATE INDEX CONCURRENTLY waits for: `waiting for old snapshots`."""

    blockers: tuple[Mapping[str, Any], ...]
    """
    Nearest first, ten at most, and those whom they wait for: `pid`, `application`,
    `user`, `client` (null on a socket), `backend` (its type), `state`, `state_s` (how
    long), `transaction_s` (how long it is open), `query` (its last, 200 characters),
    `waits` (whether it is blocked itself). What the role may not see is null.
    """

    hint: str | None
    """What to grant to see what is hidden; told once in a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementProgressed(Event):
    """A statement goes on: how far it is, where PostgreSQL counts, or that it lives."""

    name: ClassVar[str] = "statement.progressed"

    version: int
    path: str
    line: int
    statement: int
    """Its number in the file; 0 for what we send ourselves, such as COMMIT."""

    elapsed_s: float
    """Since the statement began."""

    command: str | None
    """What PostgreSQL counts, such as `CREATE INDEX`; null where it does not."""

    relation: str | None
    phase: str | None
    percent: float | None
    """Of this phase."""

    done: int | None
    total: int | None
    unit: str | None
    """Of `done` and `total`: `blocks`, `tuples`, `bytes`, `rows` and so on."""

    rate_per_s: float | None
    """Units each second since the look before this one."""

    left_s: float | None
    """What this phase will still take at that rate."""

    state: str | None
    """Our own session's; null, as the next one, where nobody could look."""

    wait_event: str | None
    """What our own session waits for, as `IO: DataFileRead`; null when it computes."""

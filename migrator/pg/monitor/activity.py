"""The activity of one session as another session sees it, read in one query."""

import json
from typing import NamedTuple

from migrator.events.watching import Blocker
from migrator.pg.connection.own_messages import SEARCH_PATH
from migrator.pg.connection.queries import Row
from migrator.pg.monitor.blockers import BLOCKERS, CHAIN, WAIT, read_blockers
from migrator.pg.monitor.progress import PROGRESS, StatementProgress, read_progress


# As the role that connected, which may see its own sessions, whatever MIGRATOR_ROLE
# may; the settings end with the message. Catalogs may be locked by what is looked at.
_LOOK = f"""
SET LOCAL ROLE NONE; SET LOCAL search_path = {SEARCH_PATH};
SET LOCAL statement_timeout = 1000;
WITH RECURSIVE {CHAIN}
SELECT jsonb_build_object(
    'state', a.state,
    'state_change', a.state_change,
    'wait_event', a.wait_event_type || ': ' || a.wait_event,
    'role', quote_ident(session_user),
    'wait', ({WAIT}),
    'blockers', ({BLOCKERS}),
    'progress', ({PROGRESS}))
FROM pg_stat_activity a WHERE a.pid = {{pid}}
"""


class LockWait(NamedTuple):
    """The lock that a session waits for."""

    lock: str | None = None
    waited_s: float | None = None
    relation: str | None = None


class SessionActivity(NamedTuple):
    """The state, wait event, progress and blockers of one session."""

    gone: bool = False
    """Whether the server has no such session any more."""

    state: str | None = None
    state_change: str | None = None
    """When its state has changed, in the server's words."""

    wait_event: str | None = None
    role: str = ""
    """Who looked, quoted for SQL."""

    wait: LockWait = LockWait()
    blockers: tuple[Blocker, ...] = ()
    progress: StatementProgress | None = None


def activity_sql(pid: int) -> bytes:
    """Return the query about the session with process id *pid*."""
    return _LOOK.format(pid=int(pid)).encode()


def read_activity(answer: list[Row]) -> SessionActivity:
    """Return the activity that the rows *answer* contain."""
    if not answer or answer[0][0] is None:
        return SessionActivity(gone=True)
    seen = json.loads(answer[0][0])
    return SessionActivity(
        state=seen["state"],
        state_change=seen["state_change"],
        wait_event=seen["wait_event"],
        role=seen["role"],
        wait=LockWait(**(seen["wait"] or {})),
        blockers=read_blockers(seen["blockers"]),
        progress=read_progress(seen["progress"]),
    )

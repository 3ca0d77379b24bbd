"""The activity of a session and who blocks it, read from another session."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from migrator.events.watching import Blocker
from migrator.pg.connection.own_messages import SEARCH_PATH
from migrator.pg.connection.queries import TextRow
from migrator.pg.monitor.progress import PROGRESS, StatementProgress, read_progress


# pg_blocking_pids() "needs exclusive access to the lock manager's shared state for a
# short time" (PostgreSQL's documentation), so it is called for the monitored session
# and for those of its blockers that wait themselves, four levels deep.
# current_locker_pid is the session that a concurrent index build waits for.
_CHAIN = """
waits AS MATERIALIZED (SELECT * FROM pg_locks WHERE NOT granted),
chain (pid, depth) AS (
    SELECT b, 1 FROM unnest(
        (pg_blocking_pids({pid}))[1:10] || ARRAY(
            SELECT current_locker_pid::int FROM pg_stat_progress_create_index
            WHERE pid = {pid} AND current_locker_pid > 0 AND phase LIKE 'waiting%')
    ) b
    UNION
    SELECT DISTINCT b, chain.depth + 1 FROM chain JOIN waits USING (pid),
        LATERAL unnest((pg_blocking_pids(chain.pid))[1:10]) b
    WHERE chain.depth < 4
)
"""
"""Common table expressions of a WITH RECURSIVE."""

# Process id 0 is a prepared transaction (PostgreSQL's documentation, pg_blocking_pids)
_BLOCKERS = """
SELECT jsonb_agg(to_jsonb(b)) FROM (
    SELECT c.pid, nullif(a.application_name, '') AS application, a.usename AS user,
        host(a.client_addr) AS client, a.backend_type AS backend,
        CASE c.pid WHEN 0 THEN 'prepared transaction' ELSE a.state END AS state,
        round(extract(epoch FROM clock_timestamp() - a.state_change))::int AS state_s,
        round(extract(epoch FROM clock_timestamp() - a.xact_start))::int
            AS transaction_s,
        CASE c.pid WHEN 0 THEN (
            SELECT 'PREPARE TRANSACTION ' || string_agg(quote_literal(gid), ', ')
            FROM pg_prepared_xacts WHERE database = current_database()
        ) ELSE left(coalesce(a.query, ''), 200) END AS query,
        EXISTS (SELECT FROM waits w WHERE w.pid = c.pid) AS waits
    FROM (SELECT pid, min(depth) AS depth FROM chain GROUP BY pid) c
    LEFT JOIN pg_stat_activity a USING (pid)
    WHERE c.pid NOT IN ({pid}, pg_backend_pid()) ORDER BY c.depth, c.pid LIMIT 10
) b
"""
# A session that waits for a row waits for a transaction id, but holds a lock on the
# row's tuple, which names the table (heapam.c: heap_acquire_tuplock)
_WAIT = """
SELECT jsonb_build_object(
    'lock', w.locktype || ' ' || w.mode,
    'waited_s', round(extract(epoch FROM clock_timestamp() - w.waitstart), 3),
    'relation', coalesce(
        quote_ident(n.nspname) || '.' || quote_ident(c.relname), w.relation::text))
FROM (
    SELECT locktype, mode, waitstart, coalesce(relation, (
        SELECT relation FROM pg_locks
        WHERE pid = {pid} AND granted AND locktype = 'tuple' LIMIT 1
    )) AS relation FROM waits WHERE pid = {pid}
) w
LEFT JOIN pg_class c ON c.oid = w.relation
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace LIMIT 1
"""
_HIDDEN = "<insufficient privilege>"
"""What pg_stat_activity shows in place of a query that the role may not see."""

# The role that connected may see its own sessions, whatever MIGRATOR_ROLE may see. SET
# LOCAL ends with the message. The timeout limits the wait for a catalog that the
# monitored statement has locked.
_ACTIVITY = f"""
SET LOCAL ROLE NONE; SET LOCAL search_path = {SEARCH_PATH};
SET LOCAL statement_timeout = 1000;
WITH RECURSIVE {_CHAIN}
SELECT jsonb_build_object(
    'state', a.state,
    'state_change', a.state_change,
    'wait_event', a.wait_event_type || ': ' || a.wait_event,
    'role', quote_ident(session_user),
    'wait', ({_WAIT}),
    'blockers', ({_BLOCKERS}),
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

    is_gone: bool = False
    """Whether the server has no session with this process id."""

    state: str | None = None
    state_change: str | None = None
    """The time of the last change of state, as PostgreSQL prints it."""

    wait_event: str | None = None
    role: str = ""
    """The role that read pg_stat_activity, quoted for SQL."""

    wait: LockWait = LockWait()
    blockers: tuple[Blocker, ...] = ()
    progress: StatementProgress | None = None

    @property
    def root_blocker(self) -> Blocker | None:
        """Return the nearest blocker that is not blocked itself, else the nearest."""
        nearest = self.blockers[0] if self.blockers else None
        return next((each for each in self.blockers if not each.waits), nearest)


def activity_sql(pid: int) -> bytes:
    """Return the query about the session with process id *pid*."""
    return _ACTIVITY.format(pid=int(pid)).encode()


def read_activity(rows: Sequence[TextRow]) -> SessionActivity:
    """Return the activity in *rows*, the result of `activity_sql`."""
    if not rows or rows[0][0] is None:
        return SessionActivity(is_gone=True)
    fields = json.loads(rows[0][0])
    return SessionActivity(
        state=fields["state"],
        state_change=fields["state_change"],
        wait_event=fields["wait_event"],
        role=fields["role"],
        wait=LockWait(**(fields["wait"] or {})),
        blockers=tuple(map(_read_blocker, fields["blockers"] or ())),
        progress=read_progress(fields["progress"]),
    )


def _read_blocker(fields: Mapping[str, Any]) -> Blocker:
    query = fields["query"]
    visible = None if query in {None, _HIDDEN} else " ".join(query.split())
    return Blocker(**{**fields, "query": visible})

"""Which sessions block a statement, from pg_locks and pg_blocking_pids()."""

from collections.abc import Mapping, Sequence
from typing import Any

from migrator.events.watching import Blocker


# pg_blocking_pids() stops all locking of the server for a moment, so it is called for
# ours and for those of its blockers that wait themselves, four deep. The locker of a
# progress row is whom a concurrent build waits for.
CHAIN = """
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
"""Common table expressions, for a WITH RECURSIVE."""

# process id 0 is a prepared transaction (PostgreSQL's pg_blocking_pids)
BLOCKERS = """
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
# who waits for a row holds a lock on that row's tuple, which names the table
WAIT = """
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
HIDDEN = "<insufficient privilege>"
"""What pg_stat_activity shows in place of a query that the role may not see."""


def read_blockers(found: Sequence[Mapping[str, Any]] | None) -> tuple[Blocker, ...]:
    """Return the sessions in the answer to BLOCKERS."""
    return tuple(
        Blocker(**{**each, "query": _visible_query(each["query"])})
        for each in found or ()
    )


def root_blocker(blockers: Sequence[Blocker]) -> Blocker:
    """Return the nearest blocker that is not blocked itself, preferably a live one."""
    return next((each for each in blockers if not each.waits), blockers[0])


def _visible_query(query: str | None) -> str | None:
    return None if query in {None, HIDDEN} else " ".join(str(query).split())

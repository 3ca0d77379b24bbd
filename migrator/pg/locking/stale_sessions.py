"""
Terminates sessions that a lost connection left on the server.

A session whose network was cut continues with what it was sent, perhaps a COMMIT, so
the table is read only after it has ended. A server process is identified by the text
`pid start`, the start in seconds since 1970 with microseconds, so that no later process
or other server is mistaken for it. Poolers make the numbers up; behind one nothing is
pipelined, and the lock on the table that each entry takes shows when a COMMIT on its
way has arrived.
"""

import psycopg
from psycopg import sql

from migrator.pg.connection.own_messages import SEARCH_PATH
from migrator.pg.connection.pooler import is_pooled
from migrator.pg.connection.session import Row, query_first_rows
from migrator.pg.errors.tracking_errors import translate_errors


# pg_stat_activity shows a process, and pg_terminate_backend ends it, to the role that
# logged in, whatever MIGRATOR_ROLE is (HAS_PGSTAT_PERMISSIONS, pg_signal_backend)
_AS_LOGGED_IN = f"SET LOCAL search_path = {SEARCH_PATH}; SET LOCAL ROLE none; "
_PROCESSES = f"""{_AS_LOGGED_IN}
SELECT string_agg(concat_ws(' ', pid, extract(epoch FROM backend_start)), ',')
FROM pg_stat_activity WHERE pid IN (pg_backend_pid(), {{pid}})
    AND datname = current_database() AND usename = session_user
    AND application_name = {{application}}
"""
_END = f"""{_AS_LOGGED_IN}
SELECT count(*), count({{end}}) FROM pg_stat_activity
WHERE concat_ws(' ', pid, extract(epoch FROM backend_start)) IN ({{processes}})
"""
_TERMINATE = sql.SQL("pg_terminate_backend(pid)")
_COUNT = sql.SQL("pid")

PROCESS_ANSWERS = 3
"""How many answers `processes_sql` has; the last one is for `read_processes`."""


def processes_sql(conn: psycopg.Connection) -> sql.Composed:
    """Return the query for the processes of *conn* and of the session that runs it."""
    application = conn.info.parameter_status("application_name") or ""
    return sql.SQL(_PROCESSES).format(
        pid=sql.Literal(conn.info.backend_pid), application=sql.Literal(application)
    )


def read_processes(row: Row | None) -> tuple[str, ...]:
    """Return the processes in *row*, the last answer to `processes_sql`."""
    return tuple(str(row[0]).split(",")) if row and row[0] else ()


def query_processes(
    conn: psycopg.Connection, work: psycopg.Connection
) -> tuple[str, ...]:
    """
    Return the processes of both connections in one round trip; none behind a pooler.

    Raises:
        MigratorError: As `translate_errors`.
    """
    if is_pooled(conn):
        return ()
    with translate_errors("querying the run's own sessions"):
        return read_processes(query_first_rows(conn, processes_sql(work))[-1])


def end_sessions(conn: psycopg.Connection, processes: tuple[str, ...]) -> bool:
    """
    Terminate the sessions of *processes* by *conn*; return whether all are gone.

    A process leaves pg_stat_activity after its transaction has ended and its locks are
    released (PostgreSQL's ipc.c: proc_exit_prepare).

    Raises:
        psycopg.Error: *conn* is lost too.
    """
    if not processes:
        return True
    try:
        row = _query(conn, processes, _TERMINATE)
    except psycopg.errors.InsufficientPrivilege:
        # they end when the server notices that the connection is lost
        row = _query(conn, processes, _COUNT)
    return row is not None and not row[0]


def _query(
    conn: psycopg.Connection, processes: tuple[str, ...], end: sql.Composable
) -> Row | None:
    literals = sql.SQL(", ").join(map(sql.Literal, processes))
    return query_first_rows(conn, sql.SQL(_END).format(end=end, processes=literals))[-1]

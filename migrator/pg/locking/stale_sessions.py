"""
Terminates sessions that a lost connection left on the server.

A session whose network was cut continues with what it was sent, perhaps a COMMIT, so
the table is read only after it has ended. A server process is identified by its pid
and its start in microseconds, so that no later process or other server is mistaken for
it. Poolers make the
numbers up; behind one there is nothing to send ahead, and the lock on the table that
each entry takes shows when a COMMIT on its way has arrived.
"""

from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.connection.own_messages import SEARCH_PATH
from migrator.pg.connection.pooler import is_pooled
from migrator.pg.connection.session import Row, query_first_rows
from migrator.pg.errors.tracking_errors import translate_errors


# pg_stat_activity shows a process, and pg_terminate_backend ends it, to the role that
# logged in, whatever MIGRATOR_ROLE is (HAS_PGSTAT_PERMISSIONS, pg_signal_backend)
_AS_LOGGED_IN = f"SET LOCAL search_path = {SEARCH_PATH}; SET LOCAL ROLE none; "
_WHO = f"""{_AS_LOGGED_IN}
SELECT string_agg(concat_ws(' ', pid, extract(epoch FROM backend_start)), ',')
FROM pg_stat_activity WHERE pid IN (pg_backend_pid(), {{pid}})
    AND datname = current_database() AND usename = session_user
    AND application_name = {{application}}
"""
_END = f"""{_AS_LOGGED_IN}
SELECT count(*), count({{end}}) FROM pg_stat_activity
WHERE concat_ws(' ', pid, extract(epoch FROM backend_start)) IN ({{ours}})
"""
_TERMINATE = sql.SQL("pg_terminate_backend(pid)")
_LET_BE = sql.SQL("pid")

WHO_ANSWERS = 3
"""How many answers `processes_sql` has; the last one is for `read_processes`."""


class ServerProcess(NamedTuple):
    """One server process."""

    description: str
    """Its number and when it began, in seconds since 1970."""


def processes_sql(conn: psycopg.Connection) -> sql.Composed:
    """Return what asks for the processes of *conn* and of the session that answers."""
    application = conn.info.parameter_status("application_name") or ""
    return sql.SQL(_WHO).format(
        pid=sql.Literal(conn.info.backend_pid), application=sql.Literal(application)
    )


def read_processes(answer: Row | None) -> tuple[ServerProcess, ...]:
    """Return what the answer to `processes_sql` says."""
    text = str(answer[0]) if answer and answer[0] else ""
    return tuple(ServerProcess(each) for each in text.split(",") if each)


def query_processes(
    conn: psycopg.Connection, work: psycopg.Connection
) -> tuple[ServerProcess, ...]:
    """
    Return the processes of both connections, by a round trip; none behind a pooler.

    Raises:
        MigratorError: As `translate_errors`.
    """
    if is_pooled(conn):
        return ()
    with translate_errors("looking for our own sessions"):
        return read_processes(query_first_rows(conn, processes_sql(work))[-1])


def end_sessions(conn: psycopg.Connection, ours: tuple[ServerProcess, ...]) -> bool:
    """
    Terminate the sessions *ours* by *conn*; True once they are gone.

    A process leaves pg_stat_activity after its transaction has come to its end and its
    locks are free (PostgreSQL's ipc.c: proc_exit_prepare).

    Raises:
        psycopg.Error: *conn* is lost too.
    """
    if not ours:
        return True
    try:
        row = _query(conn, ours, _TERMINATE)
    except psycopg.errors.InsufficientPrivilege:
        row = _query(conn, ours, _LET_BE)  # and they end when the server notices
    return row is not None and not row[0]


def _query(
    conn: psycopg.Connection, ours: tuple[ServerProcess, ...], end: sql.Composable
) -> Row | None:
    literals = sql.SQL(", ").join(sql.Literal(each.description) for each in ours)
    return query_first_rows(conn, sql.SQL(_END).format(end=end, ours=literals))[-1]

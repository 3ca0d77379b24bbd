"""
Concurrent builds of indexes, which wait for other transactions and hold up nobody.

They wait until every older transaction has ended, however long that takes
(PostgreSQL's CREATE INDEX, "Building Indexes Concurrently"), and `lock_timeout` ends
that wait. Readers and writers do not queue behind it, so a timeout protects nobody: it
only leaves an invalid index.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from migrator.model import Statement
from migrator.pg.connect import Session
from migrator.pg.own import ask_own
from migrator.sql.nature import Nature, act_of


_BUILDS = ("create index", "drop index", "reindex")
"""Not `DETACH PARTITION`: its second half wants the partition for itself."""

_ENDLESS = """
SELECT set_config('lock_timeout', '0', false) FROM pg_settings
WHERE name = 'lock_timeout' AND setting = {}
"""
_AS_BEFORE = "SELECT set_config('lock_timeout', {}, false)"


@contextmanager
def patient(
    conn: psycopg.Connection, statement: Statement, session: Session
) -> Iterator[None]:
    """
    Run the block, in which *statement* is sent, without lock_timeout if it is a build.

    A file that has set a value of its own keeps it.
    """
    ours = sql.Literal(session.settings["lock_timeout"])
    endless = builds(statement) and ask_own(conn, sql.SQL(_ENDLESS).format(ours))[0]
    try:
        yield
    finally:
        if endless:
            # a session that is gone has no settings
            with suppress(psycopg.Error):
                ask_own(conn, sql.SQL(_AS_BEFORE).format(ours))


def builds(statement: Statement) -> bool:
    """Tell whether *statement* builds or drops an index concurrently."""
    if "concurrently" not in statement.text.lower():
        return False
    act = act_of(statement.text)
    return act.nature is Nature.TRACED and act.verb in _BUILDS

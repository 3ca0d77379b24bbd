"""One statement text sent by itself, its answers read; and a transaction left."""

import psycopg

from migrator.model import Statement
from migrator.pg.discard import run_discarding
from migrator.pg.message import encoded
from migrator.pg.peer import unhurried
from migrator.pg.pooler import unbounded


def send(conn: psycopg.Connection, statement: Statement) -> tuple[str, ...]:
    """Run *statement*, with its rows, and return the command tags of its results."""
    text = encoded(statement)
    if statement.data is None:
        with unbounded(conn):
            return run_discarding(conn, text)
    with unhurried(conn), conn.cursor() as cursor, cursor.copy(text) as copy:
        for rows in statement.data:
            copy.write(rows.encode(errors="surrogateescape"))
    return (cursor.statusmessage or "",)


def roll_back(conn: psycopg.Connection) -> None:
    """Leave the transaction, if there is one; a dead session has left it already."""
    try:
        if not conn.closed:
            conn.rollback()
    except psycopg.Error:
        conn.close()

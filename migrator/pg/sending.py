"""One statement text sent by itself, its answers read; and a transaction left."""

from collections.abc import Iterator

import psycopg

from migrator.model import Statement
from migrator.pg.copy_out import run_discarding
from migrator.pg.message import encoded
from migrator.pg.peer import unhurried
from migrator.pg.pooler import unbounded
from migrator.sql.split import has_copy_out


def send(cursor: psycopg.Cursor, statement: Statement) -> tuple[str, ...]:
    """Run *statement*, with its rows, and return the command tags of its results."""
    text = encoded(statement)
    if statement.data is None:
        with unbounded(cursor.connection):
            if has_copy_out(statement.text):
                return run_discarding(cursor.connection, text)
            cursor.execute(text)
        return tuple(_tags(cursor))
    with unhurried(cursor.connection), cursor.copy(text) as copy:
        for rows in statement.data:
            copy.write(rows.encode(errors="surrogateescape"))
    return (cursor.statusmessage or "",)


def _tags(cursor: psycopg.Cursor) -> Iterator[str]:
    yield cursor.statusmessage or ""
    while cursor.nextset():
        yield cursor.statusmessage or ""


def roll_back(conn: psycopg.Connection) -> None:
    """Leave the transaction, if there is one; a dead session has left it already."""
    try:
        if not conn.closed:
            conn.rollback()
    except psycopg.Error:
        conn.close()

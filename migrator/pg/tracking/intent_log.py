"""
The intent log: the progress of NO TRANSACTION migrations.

Each such migration has one row in `migrator_history` from its start. The row is updated
in the transaction of each statement, so both are committed or neither is. A statement
that cannot run in a transaction block is recorded before it is sent, with the state of
the catalogs. When the version is recorded, the intent becomes the row of the history.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from migrator._version import VERSION
from migrator.domain.model import Migration, Statement, Step
from migrator.pg.connection.own_messages import query_own
from migrator.pg.connection.queries import encode_statement
from migrator.pg.tracking.history_table import HistoryTable
from migrator.sql.classify import Effect, StatementClass


OPEN, SENT = "open", "sent"
# The lock waits for a session that outlived its run and may still commit its progress
_FIND = """
LOCK TABLE {history} IN SHARE ROW EXCLUSIVE MODE;
SELECT id, statement, prefix, CASE WHEN state = 'sent' THEN sent END::text,
    done_by, to_char(done_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
FROM {history}
WHERE state IS NOT NULL AND tracking_table = {name} AND version_id = {version}
    AND action = {action}
ORDER BY id DESC LIMIT 1
"""
_INSERT = """
INSERT INTO {history} (tracking_table, version_id, action, path, checksum, duration_ms,
    migrator_version, statement, state, prefix, sent)
SELECT {name}, {version}, {action}, {path}, {checksum}, 0, {migrator_version},
    {statement}, {state}, {prefix}, {sent} WHERE {still_held}
RETURNING id
"""
_UPDATE = """
UPDATE {history} SET statement = {statement}, state = {state}, prefix = {prefix},
    sent = {sent}, checksum = {checksum}, path = {path},
    migrator_version = {migrator_version}
WHERE id = {id} AND statement = {reached} AND state IS NOT NULL AND {still_held}
RETURNING id
"""


class SentStatement(NamedTuple):
    """A statement outside of a transaction block that was sent."""

    verb: str
    name: str
    table: str
    digest: str
    """SHA-256 of its text."""

    before: Mapping[str, Any]
    """What the catalogs said before it was sent."""

    failure: Mapping[str, Any] | None = None
    """How it failed, as `migrator.pg.execution.partial_errors` keeps it."""

    @property
    def statement_class(self) -> StatementClass:
        """Return its class, as `classify` would."""
        effect = Effect.TRACED if self.verb else Effect.OPAQUE
        return StatementClass(effect, self.verb, self.name, self.table)


class Intent(NamedTuple):
    """A migration without a transaction that has begun and is not recorded yet."""

    id: int
    completed: int
    """How many of its statements are certainly applied."""

    prefix: str | None
    """The digest of those; None if the number was set manually."""

    in_flight: SentStatement | None
    run_by: str
    started_at: str


class IntentState(NamedTuple):
    """The progress to write: completed statements, and one that may be in flight."""

    completed: int
    prefix: str
    in_flight: SentStatement | None = None


def statement_digest(statement: Statement) -> str:
    """Return the SHA-256 of the statement's text; of a COPY without its rows."""
    return hashlib.sha256(encode_statement(statement)).hexdigest()


class PrefixDigest:
    """The digest of the statements up to one of them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, statement: Statement) -> str:
        """Add *statement* and return the digest of all statements so far."""
        self._hash.update(encode_statement(statement) + b"\0")
        return self._hash.hexdigest()


class IntentLog(NamedTuple):
    """The intent log of one step, in *history_table*."""

    history_table: HistoryTable
    step: Step

    def find(self, conn: psycopg.Connection) -> Intent | None:
        """Return the intent that an earlier run has left open, the newest one."""
        *_, row = query_own(conn, sql.SQL(_FIND).format(**self._names))
        if row is None:
            return None
        row_id, completed, prefix, sent, *author = row
        in_flight = None if sent is None else SentStatement(**json.loads(sent))
        return Intent(row_id, completed, prefix, in_flight, *author)

    def write_sql(
        self,
        row_id: int | None,
        state: IntentState,
        *,
        reached: int,
        still_held: sql.Composable,
    ) -> sql.Composed:
        """
        Return the SQL that writes *state* to row *row_id*, or a new one; it has the id.

        It writes nothing if *still_held* is not true, or if the row's statement is not
        *reached*: another run has taken over.
        """
        return sql.SQL(_INSERT if row_id is None else _UPDATE).format(
            **self._names,
            id=sql.Literal(row_id),
            path=sql.Literal(self._migration.path),
            checksum=sql.Literal(self._migration.checksum),
            migrator_version=sql.Literal(VERSION),
            statement=sql.Literal(state.completed),
            state=sql.Literal(OPEN if state.in_flight is None else SENT),
            prefix=sql.Literal(state.prefix),
            sent=_sent_column(state.in_flight),
            reached=sql.Literal(reached),
            still_held=still_held,
        )

    @property
    def _migration(self) -> Migration:
        return self.step.migration

    @property
    def _names(self) -> dict[str, sql.Composable]:
        return {
            "history": self.history_table.identifier,
            "name": sql.Literal(self.history_table.tracking_table),
            "version": sql.Literal(self._migration.version),
            "action": sql.Literal(self.step.direction.value),
        }


def _sent_column(sent: SentStatement | None) -> sql.Composed:
    # characters, not \u escapes: jsonb refuses those in a database in SQL_ASCII
    # (PostgreSQL's documentation, "JSON Types")
    text = sent and json.dumps(sent._asdict(), default=dict, ensure_ascii=False)
    return sql.SQL("{}::jsonb").format(sql.Literal(text))

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
# waits for what a session that outlived its run has entered and still commits
_FIND = """
LOCK TABLE {ledger} IN SHARE ROW EXCLUSIVE MODE;
SELECT id, statement, prefix, CASE WHEN state = 'sent' THEN sent END::text,
    done_by, to_char(done_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
FROM {ledger}
WHERE state IS NOT NULL AND tracking_table = {name} AND version_id = {version}
    AND action = {action}
ORDER BY id DESC LIMIT 1
"""
_BEGIN = """
INSERT INTO {ledger} (tracking_table, version_id, action, path, checksum, duration_ms,
    migrator_version, statement, state, prefix, sent)
SELECT {name}, {version}, {action}, {path}, {checksum}, 0, {about}, {statement},
    {state}, {prefix}, {sent} WHERE {held}
RETURNING id
"""
_MOVE = """
UPDATE {ledger} SET statement = {statement}, state = {state}, prefix = {prefix},
    sent = {sent}, checksum = {checksum}, path = {path}, migrator_version = {about}
WHERE id = {id} AND statement = {reached} AND state IS NOT NULL AND {held}
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
        """Return what it does."""
        nature = Effect.TRACED if self.verb else Effect.OPAQUE
        return StatementClass(nature, self.verb, self.name, self.table)


class Intent(NamedTuple):
    """A migration without a transaction that has begun and is not recorded yet."""

    id: int
    completed: int
    """How many of its statements are certainly applied."""

    prefix: str | None
    """The digest of those; None if the number was set manually."""

    in_flight: SentStatement | None
    run_by: str
    since: str


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
        """Take one more statement and return the digest of all."""
        self._hash.update(encode_statement(statement) + b"\0")
        return self._hash.hexdigest()


class IntentLog(NamedTuple):
    """The intent log of one step, in the side table *ledger*."""

    history_table: HistoryTable
    step: Step

    def find(self, conn: psycopg.Connection) -> Intent | None:
        """Return the intent that an earlier run has left open, the newest one."""
        *_, row = query_own(conn, sql.SQL(_FIND).format(**self._names))
        if row is None:
            return None
        number, through, prefix, sent, *author = row
        found = None if sent is None else SentStatement(**json.loads(sent))
        return Intent(number, through, prefix, found, *author)

    def write_sql(
        self,
        number: int | None,
        mark: IntentState,
        *,
        reached: int,
        held: sql.Composable,
    ) -> sql.Composed:
        """
        Return the SQL that writes *mark* to row *number* or a new one, with its id.

        No row when *held* is not true, or when the row does not say *reached* any more:
        another run is at work.
        """
        return sql.SQL(_BEGIN if number is None else _MOVE).format(
            **self._names,
            id=sql.Literal(number),
            path=sql.Literal(self._migration.path),
            checksum=sql.Literal(self._migration.checksum),
            about=sql.Literal(VERSION),
            statement=sql.Literal(mark.completed),
            state=sql.Literal(OPEN if mark.in_flight is None else SENT),
            prefix=sql.Literal(mark.prefix),
            sent=_intent_columns(mark.in_flight),
            reached=sql.Literal(reached),
            held=held,
        )

    @property
    def _migration(self) -> Migration:
        return self.step.migration

    @property
    def _names(self) -> dict[str, sql.Composable]:
        return {
            "ledger": self.history_table.identifier,
            "name": sql.Literal(self.history_table.tracking_table),
            "version": sql.Literal(self._migration.version),
            "action": sql.Literal(self.step.direction.value),
        }


def _json(sent: SentStatement) -> str:
    # as characters: jsonb in SQL_ASCII takes no \u escapes (its documentation, 8.14.1)
    return json.dumps(sent._asdict(), default=dict, ensure_ascii=False)


def _intent_columns(sent: SentStatement | None) -> sql.Composed:
    text = None if sent is None else _json(sent)
    return sql.SQL("{}::jsonb").format(sql.Literal(text))

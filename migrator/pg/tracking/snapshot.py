"""
Reads the state of tables and session in one message, before a run decides.

The tables may not exist, and a query that names a missing table fails. So they are read
by EXECUTE in a DO block, which passes its results on in parameters of the transaction.
Nothing is created, and SELECT on the tables is enough. `migrator.pg.ownership` checks
each table before it is read, because reading it may run code of its owner.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from psycopg import sql

from migrator.domain.facts import OpenIntent
from migrator.domain.history import History, VersionRow
from migrator.domain.model import HistoryMode
from migrator.errors import BrokenAnswerError
from migrator.pg.connection.session import Answers
from migrator.pg.ownership import CHECK, OwnershipFinding, check_findings, read_findings
from migrator.pg.tracking.history_table import HistoryTable
from migrator.pg.tracking.version_table import VersionTable


_RESOLVE = """
SELECT pg_catalog.set_config('migrator.versions',
        pg_catalog.to_regclass({table})::pg_catalog.oid::pg_catalog.text, true),
    pg_catalog.set_config('migrator.schema',
        pg_catalog.current_schema()::pg_catalog.text, true)
"""
# A new table in a publication FOR ALL TABLES, or FOR TABLES IN SCHEMA (PostgreSQL 15),
# stops every subscriber that does not have the table.
_SNAPSHOT = f"""
SELECT set_config('migrator.table_schema', coalesce((
        SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = nullif(current_setting('migrator.versions'), '')::oid
    ), i[array_length(i, 1) - 1], current_setting('migrator.schema')), true),
    set_config('migrator.table_name', coalesce((
        SELECT relname FROM pg_class
        WHERE oid = nullif(current_setting('migrator.versions'), '')::oid
    ), i[array_length(i, 1)]), true),
    set_config('migrator.rows', '', true), set_config('migrator.checksums', '', true),
    set_config('migrator.open_intents', '', true),
    set_config('migrator.published', '', true),
    set_config('migrator.other_schemas', '', true)
FROM parse_ident({{table}}) i;
SELECT set_config('migrator.history', (
        SELECT c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname = 'migrator_history'
            AND nspname = current_setting('migrator.table_schema')
    ), true);
SELECT set_config('migrator.objects', array_remove(ARRAY[
        nullif(current_setting('migrator.versions'), ''),
        nullif(current_setting('migrator.history'), '')], NULL)::text, true);
{CHECK};
DO $snapshot$
DECLARE
    rejected bigint[] := ARRAY(SELECT (f ->> 'id')::bigint
        FROM json_array_elements(current_setting('migrator.findings')::json) f);
    versions regclass := nullif(current_setting('migrator.versions'), '')::oid;
    history regclass := nullif(current_setting('migrator.history'), '')::oid;
    result text;
BEGIN
    IF history IS NULL THEN
        SELECT EXISTS (SELECT FROM pg_publication WHERE puballtables) INTO result;
        IF NOT result::boolean
            AND to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL THEN
            EXECUTE 'SELECT EXISTS (SELECT FROM pg_publication_namespace
                JOIN pg_namespace n ON n.oid = pnnspid
                WHERE nspname = current_setting(''migrator.table_schema''))'
                INTO result;
        END IF;
        PERFORM set_config('migrator.published', result, true);
    END IF;
    IF versions IS NULL THEN
        SELECT string_agg(nspname, chr(10) ORDER BY nspname) INTO result
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname = current_setting('migrator.table_name') AND relkind = 'r'
            AND nspname <> current_setting('migrator.table_schema')
            AND NOT starts_with(nspname, 'pg_') AND EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = c.oid AND attname = 'version_id')
            AND pg_relation_size(c.oid) > 0;
        PERFORM set_config('migrator.other_schemas', coalesce(result, ''), true);
    END IF;
    IF versions IS NULL OR versions::oid::bigint = ANY (rejected) THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id::bigint,
        is_applied::int, to_char(tstamp::timestamptz AT TIME ZONE ''UTC'',
            ''YYYY-MM-DD"T"HH24:MI:SS.US"Z"'')), chr(10) ORDER BY id)
        FROM %s', versions) INTO result;
    PERFORM set_config('migrator.rows', coalesce(result, ''), true);
    IF history IS NULL OR history::oid::bigint = ANY (rejected)
        OR NOT has_table_privilege(history, 'SELECT') THEN
        RETURN;
    END IF;
    -- joined by the id of goose's row: a version that another tool has rolled back and
    -- applied again has another id, and its checksum is unknown
    EXECUTE format('SELECT string_agg(concat_ws('' '', h.version_id, h.checksum),
        chr(10) ORDER BY h.id)
        FROM %s h JOIN %s v ON v.id = h.tracking_id AND v.version_id = h.version_id
        WHERE h.tracking_table = current_setting(''migrator.table_name'')',
        history, versions) INTO result;
    PERFORM set_config('migrator.checksums', coalesce(result, ''), true);
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id, action, statement),
        chr(10) ORDER BY id) FROM %s
        WHERE (state = ''sent'' OR state = ''open'' AND statement > 0)
            AND tracking_table = current_setting(''migrator.table_name'')', history)
        INTO result;
    PERFORM set_config('migrator.open_intents', coalesce(result, ''), true);
END $snapshot$;
SELECT nullif(current_setting('migrator.schema'), ''),
    nullif(current_setting('migrator.table_schema'), ''),
    current_setting('migrator.table_name'), versions::bigint, history::bigint,
    current_setting('migrator.findings'),
    has_table_privilege(versions, 'UPDATE, DELETE, TRUNCATE'),
    has_table_privilege(history, 'SELECT')
        AND has_table_privilege(history, 'INSERT')
        AND has_table_privilege(history, 'UPDATE'),
    current_setting('migrator.published') = 'true',
    current_setting('migrator.rows'), current_setting('migrator.checksums'),
    current_setting('migrator.open_intents'), current_setting('migrator.other_schemas')
FROM (SELECT nullif(current_setting('migrator.versions'), '')::oid AS versions,
    nullif(current_setting('migrator.history'), '')::oid AS history) tables
"""


class DatabaseState(NamedTuple):
    """The state of tables and session at one moment."""

    history: History = History()
    table: VersionTable | None = None
    """None if it does not exist."""

    schema_and_name: tuple[str | None, str] | None = None
    """Where the table is or would be created; None if no schema of the path exists."""

    other_schemas: tuple[str, ...] = ()
    """
    If the table does not exist: schemas with a table of its name that is not empty.

    The size in the catalogs decides: reading the table might run code of its owner.
    """

    is_complete: bool = False
    """Whether nothing has to be created before a migration is recorded."""

    checksums: Mapping[int, str] = MappingProxyType({})
    """The checksum of each applied version that has one in the history table."""

    schema: str | None = None
    """The first schema of the session's search path, where goose keeps its lease."""

    history_table: HistoryTable | None = None
    """The history table, if it is enabled and can be used or created."""

    creates_history_table: bool = False
    """Whether it does not exist yet."""

    no_history_reason: str = ""
    """Why the history table is enabled but not used; else empty."""


class _Answer(NamedTuple):
    """The columns of the last query."""

    current_schema: str | None
    table_schema: str | None
    table_name: str
    version_table: int | None
    history_table: int | None
    findings: str
    lockable: bool | None
    writable: bool | None
    published: bool
    rows: str
    checksums: str
    open_intents: str
    other_schemas: str


def resolve_table_sql(table: str) -> sql.Composed:
    """Return the query that resolves *table* (MIGRATOR_TABLE) in the search path."""
    return sql.SQL(_RESOLVE).format(table=sql.Literal(table))


def snapshot_sql(table: str) -> sql.Composed:
    """Return the query about *table*, sent after `resolve_table_sql`."""
    return sql.SQL(_SNAPSHOT).format(table=sql.Literal(table))


def read_snapshot(answers: Answers, history_mode: HistoryMode) -> DatabaseState:
    """
    Return the state in *answers*.

    Raises:
        ForeignObjectError: A role that is not trusted owns the tracking table.
        AccessDeniedError: Row-level security hides rows of it.
        BrokenAnswerError: They are no answers to `snapshot_sql`.
    """
    answer = _answer(answers)
    schema, name = answer.table_schema, answer.table_name
    findings = read_findings(answer.findings)
    if answer.version_table is not None:
        check_findings(findings, answer.version_table)
    reason = _no_history_reason(answer, findings, history_mode)
    enabled = history_mode is not HistoryMode.FALSE and not reason
    state = DatabaseState(
        schema_and_name=(schema, name),
        schema=answer.current_schema,
        other_schemas=tuple(answer.other_schemas.splitlines()),
        history_table=HistoryTable(schema, name) if enabled and schema else None,
        creates_history_table=enabled and answer.history_table is None,
        no_history_reason=reason,
    )
    if answer.version_table is None or schema is None:
        return state
    history_table = None if state.creates_history_table else state.history_table
    rows = tuple(map(_read_row, answer.rows.splitlines()))
    open_intents = tuple(map(_read_intent, answer.open_intents.splitlines()))
    return state._replace(
        history=History(rows, True, open_intents),
        table=VersionTable(schema, name, history_table, bool(answer.lockable)),
        is_complete=bool(rows) and not state.creates_history_table,
        checksums=dict(map(_read_checksum, answer.checksums.splitlines())),
    )


def _answer(answers: Answers) -> _Answer:
    row = answers[-1] if answers else None
    if row is None or len(row) != len(_Answer._fields):
        raise BrokenAnswerError
    return _Answer(*row)


NO_PRIVILEGE = (
    "the role may not create or write migrator_history: content and times of what is"
    " applied are not kept; grant SELECT, INSERT and UPDATE on it, or set it to false"
)
"""The reason if the role may not create or write the history table."""

_PUBLISHED = (
    "migrator_history is not created: a publication of all tables, or of all in its"
    " schema, would send it to subscribers that do not have it, and they would stop;"
    " create the table there too and set it to true, or set it to false"
)


def _no_history_reason(
    answer: _Answer, findings: tuple[OwnershipFinding, ...], history_mode: HistoryMode
) -> str:
    if history_mode is HistoryMode.FALSE:
        return ""
    if answer.history_table is None:
        auto = history_mode is HistoryMode.AUTO
        return _PUBLISHED if auto and answer.published else ""
    error = next((f.error for f in findings if f.id == answer.history_table), None)
    if error is not None:
        return f"content and times of what is applied are not kept: {error}"
    return "" if answer.writable else NO_PRIVILEGE


def _read_row(line: str) -> VersionRow:
    version, is_applied, *applied_at = line.split(" ", 2)
    return VersionRow(
        int(version), is_applied == "1", applied_at[0] if applied_at else None
    )


def _read_checksum(line: str) -> tuple[int, str]:
    version, _, checksum = line.partition(" ")
    return int(version), checksum


def _read_intent(line: str) -> OpenIntent:
    version, direction, completed = line.split(" ")
    return OpenIntent(int(version), direction, int(completed))

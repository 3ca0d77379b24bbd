"""
Reads the state of tables and session in one message, before a run decides.

Whether the tables are there is not known before, and a query that names one that is not
there fails. So they are read by a query made as text, in a DO block; what it finds is
handed on in parameters of the transaction. Nothing is created, and a role that may read
is enough. No table is read before it is known that nobody else's code runs with that.
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
SELECT pg_catalog.set_config('migrator.table',
        pg_catalog.to_regclass({table})::pg_catalog.oid::pg_catalog.text, true),
    pg_catalog.set_config('migrator.schema',
        pg_catalog.current_schema()::pg_catalog.text, true)
"""
# In a publication FOR ALL TABLES, or one of the schema (PostgreSQL 15), a new table
# stops every subscriber that does not have it.
# By the id of goose's row: what another tool has rolled back and applied again since
# has another one, and we know nothing about it.
_LOOK = f"""
SELECT set_config('migrator.place', coalesce((
        SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = nullif(current_setting('migrator.table'), '')::oid
    ), i[array_length(i, 1) - 1], current_setting('migrator.schema')), true),
    set_config('migrator.name', coalesce((
        SELECT relname FROM pg_class
        WHERE oid = nullif(current_setting('migrator.table'), '')::oid
    ), i[array_length(i, 1)]), true),
    set_config('migrator.rows', '', true), set_config('migrator.checksums', '', true),
    set_config('migrator.begun', '', true), set_config('migrator.published', '', true),
    set_config('migrator.elsewhere', '', true)
FROM parse_ident({{table}}) i;
SELECT set_config('migrator.domain.history', (
        SELECT c.oid::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname = 'migrator_history'
            AND nspname = current_setting('migrator.place')
    ), true);
SELECT set_config('migrator.objects', array_remove(ARRAY[
        nullif(current_setting('migrator.table'), ''),
        nullif(current_setting('migrator.domain.history'), '')], NULL)::text, true);
{CHECK};
DO $look$
DECLARE
    bad bigint[] := ARRAY(SELECT (f ->> 'id')::bigint
        FROM json_array_elements(current_setting('migrator.foreign')::json) f);
    goose regclass := nullif(current_setting('migrator.table'), '')::oid;
    ours regclass := nullif(current_setting('migrator.domain.history'), '')::oid;
    answer text;
BEGIN
    IF ours IS NULL THEN
        SELECT EXISTS (SELECT FROM pg_publication WHERE puballtables) INTO answer;
        IF NOT answer::boolean
            AND to_regclass('pg_catalog.pg_publication_namespace') IS NOT NULL THEN
            EXECUTE 'SELECT EXISTS (SELECT FROM pg_publication_namespace
                JOIN pg_namespace n ON n.oid = pnnspid
                WHERE nspname = current_setting(''migrator.place''))' INTO answer;
        END IF;
        PERFORM set_config('migrator.published', answer, true);
    END IF;
    IF goose IS NULL THEN
        SELECT string_agg(nspname, chr(10) ORDER BY nspname) INTO answer
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relname = current_setting('migrator.name') AND relkind = 'r'
            AND nspname <> current_setting('migrator.place')
            AND NOT starts_with(nspname, 'pg_') AND EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = c.oid AND attname = 'version_id')
            AND pg_relation_size(c.oid) > 0;
        PERFORM set_config('migrator.elsewhere', coalesce(answer, ''), true);
    END IF;
    IF goose IS NULL OR goose::oid::bigint = ANY (bad) THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id::bigint,
        is_applied::int, to_char(tstamp::timestamptz AT TIME ZONE ''UTC'',
            ''YYYY-MM-DD"T"HH24:MI:SS.US"Z"'')), chr(10) ORDER BY id) FROM %s', goose)
        INTO answer;
    PERFORM set_config('migrator.rows', coalesce(answer, ''), true);
    IF ours IS NULL OR ours::oid::bigint = ANY (bad)
        OR NOT has_table_privilege(ours, 'SELECT') THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT string_agg(concat_ws('' '', ours.version_id, ours.checksum),
        chr(10) ORDER BY ours.id)
        FROM %s ours JOIN %s goose ON goose.id = ours.tracking_id
            AND goose.version_id = ours.version_id
        WHERE ours.tracking_table = current_setting(''migrator.name'')',
        ours, goose) INTO answer;
    PERFORM set_config('migrator.checksums', coalesce(answer, ''), true);
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id, action, statement),
        chr(10) ORDER BY id) FROM %s WHERE (state = ''sent'' OR state = ''open''
        AND statement > 0) AND tracking_table = current_setting(''migrator.name'')',
        ours) INTO answer;
    PERFORM set_config('migrator.begun', coalesce(answer, ''), true);
END $look$;
SELECT nullif(current_setting('migrator.schema'), ''),
    nullif(current_setting('migrator.place'), ''), current_setting('migrator.name'),
    goose::bigint, ours::bigint, current_setting('migrator.foreign'),
    has_table_privilege(goose, 'UPDATE, DELETE, TRUNCATE'),
    has_table_privilege(ours, 'SELECT') AND has_table_privilege(ours, 'INSERT')
        AND has_table_privilege(ours, 'UPDATE'),
    current_setting('migrator.published') = 'true',
    current_setting('migrator.rows'), current_setting('migrator.checksums'),
    current_setting('migrator.begun'), current_setting('migrator.elsewhere')
FROM (SELECT nullif(current_setting('migrator.table'), '')::oid AS goose,
    nullif(current_setting('migrator.domain.history'), '')::oid AS ours) tables
"""


class DatabaseState(NamedTuple):
    """The state of tables and session at one moment."""

    history: History = History()
    table: VersionTable | None = None
    """None when there is none."""

    place: tuple[str | None, str] | None = None
    """Schema and name that the table has or would get; no schema of the path exists."""

    elsewhere: tuple[str, ...] = ()
    """
    Where there is none: other schemas with a table of its name that has, or had, rows.

    By its size, in the catalogs alone: to read it might run somebody else's code.
    """

    complete: bool = False
    """Whether nothing has to be created before something is applied."""

    checksums: Mapping[int, str] = MappingProxyType({})
    """The checksum that each applied version had, as far as it is known."""

    schema: str | None = None
    """The first schema of the session's search path, where goose keeps its lease."""

    history_table: HistoryTable | None = None
    """Our side table, where it is wanted and can be used or created."""

    creates_history_table: bool = False
    """Whether it is not there yet."""

    no_history_reason: str = ""
    """Why our side table is wanted and not used; empty when it is, or is not wanted."""


class _Answer(NamedTuple):
    """The columns of the last query."""

    home: str | None
    schema: str | None
    name: str
    goose: int | None
    ours: int | None
    foreign: str
    lockable: bool | None
    writable: bool | None
    published: bool
    rows: str
    checksums: str
    begun: str
    elsewhere: str


def resolve_table_sql(table: str) -> sql.Composed:
    """Return what looks up *table*, named as the settings do, in the search path."""
    return sql.SQL(_RESOLVE).format(table=sql.Literal(table))


def snapshot_sql(table: str) -> sql.Composed:
    """Return the query about *table*, sent after `resolve_table_sql`."""
    return sql.SQL(_LOOK).format(table=sql.Literal(table))


def read_snapshot(answers: Answers, *, keep: HistoryMode) -> DatabaseState:
    """
    Return what the *answers* say.

    Raises:
        ForeignObjectError: A role that is not trusted owns the tracking table.
        AccessDeniedError: Row-level security hides rows of it.
        BrokenAnswerError: They are no answers to `snapshot_sql`.
    """
    answer = _answer(answers)
    findings = read_findings(answer.foreign)
    if answer.goose is not None:
        check_findings(findings, answer.goose)
    why = _no_history_reason(answer, findings, keep)
    wanted = keep is not HistoryMode.FALSE and not why
    found = DatabaseState(
        place=(answer.schema, answer.name),
        schema=answer.home,
        elsewhere=tuple(answer.elsewhere.splitlines()),
        history_table=HistoryTable(answer.schema, answer.name)
        if wanted and answer.schema
        else None,
        creates_history_table=wanted and answer.ours is None,
        no_history_reason=why,
    )
    if answer.goose is None or answer.schema is None:
        return found
    ledger = None if found.creates_history_table else found.history_table
    rows = tuple(map(_row, answer.rows.splitlines()))
    begun = tuple(map(_read_intent, answer.begun.splitlines()))
    return found._replace(
        history=History(rows, True, begun),
        table=VersionTable(answer.schema, answer.name, ledger, bool(answer.lockable)),
        complete=bool(rows) and not found.creates_history_table,
        checksums=dict(map(_checksum, answer.checksums.splitlines())),
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
"""Why our side table is not used where this role may not create or write it."""

_PUBLISHED = (
    "migrator_history is not created: a publication of all tables, or of all in its"
    " schema, would send it to subscribers that do not have it, and they would stop;"
    " create the table there too and set it to true, or set it to false"
)


def _no_history_reason(
    answer: _Answer, findings: tuple[OwnershipFinding, ...], keep: HistoryMode
) -> str:
    if keep is HistoryMode.FALSE:
        return ""
    if answer.ours is None:
        auto = keep is HistoryMode.AUTO
        return _PUBLISHED if auto and answer.published else ""
    error = next((f.error for f in findings if f.id == answer.ours), None)
    if error is not None:
        return f"content and times of what is applied are not kept: {error}"
    return "" if answer.writable else NO_PRIVILEGE


def _row(line: str) -> VersionRow:
    version, applied, *at = line.split(" ", 2)
    return VersionRow(int(version), applied == "1", at[0] if at else None)


def _checksum(line: str) -> tuple[int, str]:
    version, _, checksum = line.partition(" ")
    return int(version), checksum


def _read_intent(line: str) -> OpenIntent:
    version, direction, through = line.split(" ")
    return OpenIntent(int(version), direction, int(through))

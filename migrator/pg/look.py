"""
What a run must know before it decides anything, asked in one message.

Whether the tables are there is not known before, and a query that names one that is not
there fails. So they are read by a query made as text, in a DO block; what it finds is
handed on in parameters of the transaction. Nothing is created, and a role that may read
is enough.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from psycopg import sql

from migrator.facts import Begun
from migrator.history import History, Row
from migrator.pg.greeting import Answers
from migrator.pg.ledger import Ledger
from migrator.pg.table import Table


# By the id of goose's row: what another tool has taken back and applied again since
# has another one, and we know nothing about it.
_LOOK = """
SELECT set_config('migrator.table', {table}, true),
    set_config('migrator.rows', '', true), set_config('migrator.checksums', '', true),
    set_config('migrator.begun', '', true);
DO $look$
DECLARE
    goose regclass := to_regclass(current_setting('migrator.table'));
    ours regclass := (
        SELECT h.oid FROM pg_class c JOIN pg_class h USING (relnamespace)
        WHERE c.oid = goose AND h.relname = 'migrator_history'
    );
    told text;
BEGIN
    IF goose IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id::bigint,
        is_applied::int, tstamp::text), chr(10) ORDER BY id) FROM %s', goose) INTO told;
    PERFORM set_config('migrator.rows', coalesce(told, ''), true);
    IF ours IS NULL OR NOT has_table_privilege(ours, 'SELECT') THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT string_agg(concat_ws('' '', ours.version_id, ours.checksum),
        chr(10) ORDER BY ours.id)
        FROM %s ours JOIN %s goose ON goose.id = ours.tracking_id
            AND goose.version_id = ours.version_id
        WHERE ours.tracking_table = (SELECT relname FROM pg_class WHERE oid = %s)',
        ours, goose, goose::oid) INTO told;
    PERFORM set_config('migrator.checksums', coalesce(told, ''), true);
    EXECUTE format('SELECT string_agg(concat_ws('' '', version_id, action, statement),
        chr(10) ORDER BY id) FROM %s WHERE (state = ''sent'' OR state = ''open''
        AND statement > 0) AND tracking_table =
        (SELECT relname FROM pg_class WHERE oid = %s)', ours, goose::oid) INTO told;
    PERFORM set_config('migrator.begun', coalesce(told, ''), true);
END $look$;
SELECT coalesce(n.nspname, i[array_length(i, 1) - 1], current_schema()),
    coalesce(c.relname, i[array_length(i, 1)]), c.oid IS NOT NULL,
    has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'),
    current_setting('migrator.rows'), current_setting('migrator.checksums'),
    current_setting('migrator.begun'), h.oid IS NOT NULL,
    has_table_privilege(h.oid, 'SELECT') AND has_table_privilege(h.oid, 'INSERT')
        AND has_table_privilege(h.oid, 'UPDATE')
FROM parse_ident(current_setting('migrator.table')) i
LEFT JOIN pg_class c ON c.oid = to_regclass(current_setting('migrator.table'))
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class h ON h.relnamespace = c.relnamespace
    AND h.relname = 'migrator_history'
"""


class Seen(NamedTuple):
    """What one look has found."""

    history: History = History()
    table: Table | None = None
    """None when there is none."""

    place: tuple[str | None, str] | None = None
    """Schema and name that the table has or would get; no schema of the path exists."""

    complete: bool = False
    """Whether nothing has to be created before something is applied."""

    checksums: Mapping[int, str] = MappingProxyType({})
    """The checksum that each applied version had, as far as it is known."""


def question(table: str) -> sql.Composed:
    """Return what to ask about *table*, named as the settings do."""
    return sql.SQL(_LOOK).format(table=sql.Literal(table))


def seen(answers: Answers, *, keep_ledger: bool) -> Seen:
    """Return what the *answers* say."""
    schema, name, there, lockable, *told, noted, open_ = answers[-1] or ()
    if not there:
        return Seen(place=(schema, name))
    rows, checksums, begun = (str(each).splitlines() for each in told)
    ledger = Ledger(schema, name) if keep_ledger and open_ else None
    history = History(tuple(map(_row, rows)), True, tuple(map(_begun, begun)))
    return Seen(
        history,
        Table(schema, name, ledger, bool(lockable)),
        (schema, name),
        bool(history.rows) and (noted or not keep_ledger),
        dict(map(_checksum, checksums)),
    )


def _row(line: str) -> Row:
    version, applied, *at = line.split(" ", 2)
    return Row(int(version), applied == "1", at[0] if at else None)


def _checksum(line: str) -> tuple[int, str]:
    version, _, checksum = line.partition(" ")
    return int(version), checksum


def _begun(line: str) -> Begun:
    version, direction, through = line.split(" ")
    return Begun(int(version), direction, int(through))

"""
Determines from the catalogs whether a statement outside a transaction was applied.

PostgreSQL commits such a statement in pieces, or not at all where a session could see
it; what the catalogs say before it is sent and afterwards tells the two apart. An index
whose concurrent build was stopped stays behind INVALID (its documentation: "Building
Indexes Concurrently"), and IF NOT EXISTS is content with it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from migrator.pg.connection.own_messages import query_own
from migrator.sql.classify import StatementClass


class InvalidIndex(NamedTuple):
    """An index that is INVALID."""

    name: str
    """Qualified and quoted."""

    table: str
    holder: int | None
    """The session that has the table's lock and may still be building it."""


class StatementOutcome(NamedTuple):
    """The outcome of a statement, as the catalogs show it."""

    done: bool | None
    """None where nothing can tell."""

    leftovers: tuple[InvalidIndex, ...] = ()
    """Invalid indexes to drop before the statement can run again."""

    detaching: bool = False
    """Whether a partition's detachment waits to be finalized."""


AGAIN = "again"
"""The verb of a statement that may run again, whatever its outcome."""

Facts = Mapping[str, Any]
# DROP DATABASE leaves one that is -2 when it is stopped (dbcommands.c: dropdb)
_THERE = """
SELECT json_build_object('id', (SELECT oid::bigint FROM {0}
    WHERE {1} = (parse_ident({{name}}))[1]::name), 'whole', NOT EXISTS (
    SELECT FROM pg_database WHERE datname = (parse_ident({{name}}))[1]::name
        AND '{0}' = 'pg_database' AND datconnlimit = -2))
"""
# what the statement's names mean is a matter of the file's search path
_RESOLVE = """
SELECT pg_catalog.set_config('migrator.{0}',
    pg_catalog.to_regclass({{{0}}})::pg_catalog.oid::pg_catalog.text, true)
"""
_RESOLVED = "nullif(current_setting('migrator.{0}', true), '')::oid"
_OIDS = {f"{name}_oid": sql.SQL(_RESOLVED.format(name)) for name in ("name", "table")}
_NAMES = {
    "create index": ("table",),
    "drop index": ("name",),
    "detach partition": ("name", "table"),
    "create view": ("name",),
}
"""Which names of a statement are those of relations."""

_BEFORE = {
    "create index": """
SELECT json_build_object('table', ({table_oid})::bigint, 'indexes', ARRAY(
    SELECT indexrelid::bigint FROM pg_index WHERE indrelid = {table_oid}))
""",
    "drop index": "SELECT json_build_object('index', ({name_oid})::bigint)",
    "create view": "SELECT json_build_object('view', ({name_oid})::bigint)",
    "detach partition": """
SELECT json_build_object('parent', inhparent::bigint, 'child', inhrelid::bigint)
FROM pg_inherits WHERE inhrelid = {name_oid} AND inhparent = {table_oid}
""",
    "reindex": """
SELECT json_build_object('invalid', ARRAY(
    SELECT indexrelid::bigint FROM pg_index WHERE NOT indisvalid))
""",
    "database": _THERE.format("pg_database", "datname"),
    "tablespace": _THERE.format("pg_tablespace", "spcname"),
    "subscription": _THERE.format("pg_subscription", "subname"),
}
# its session has begun a build, and has the lock on this table that a build takes
_INDEXES = """
SELECT json_agg(json_build_object(
    'id', i.indexrelid::bigint, 'valid', i.indisvalid,
    'index', format('%I.%I', n.nspname, c.relname), 'table', i.indrelid::regclass::text,
    'holder', (SELECT min(l.pid)
        FROM pg_locks l JOIN pg_stat_progress_create_index p USING (pid)
        WHERE l.relation = i.indrelid AND l.pid <> pg_backend_pid() AND l.granted
            AND l.mode = 'ShareUpdateExclusiveLock'
            AND l.database = (SELECT oid FROM pg_database
                WHERE datname = current_database()))))
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {which}
"""
_NAMED = """
i.indrelid = {table} AND ({name} = '' OR c.relname =
    (parse_ident(nullif({name}, '')))[1]::name)
"""
_LEFT_BY_REINDEX = r"""
NOT i.indisvalid AND c.relname ~ '_cc(new|old)\d*$' AND n.nspname <> 'pg_toast'
    AND i.indexrelid <> ALL ({before}::bigint[]::oid[])
"""


def read_catalogs_before(conn: psycopg.Connection, kind: StatementClass) -> Facts:
    """Return what `read_outcome` compares with; read before the statement is sent."""
    question = _BEFORE.get(kind.verb) or _BEFORE[kind.verb.split()[-1]]
    return dict(_query_json(conn, question, kind))


def read_outcome(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    """Return what has become of a statement before which the catalogs said *known*."""
    look = _LOOKS.get(kind.verb)
    if look is not None:
        return look(conn, kind, known)
    if kind.verb in {"", AGAIN}:
        return StatementOutcome(done=False if kind.verb else None)
    return _read_existence(conn, kind, known)


def find_obstacle(conn: psycopg.Connection, kind: StatementClass) -> StatementOutcome:
    """Return what an earlier attempt, of whomever, has left in the statement's way."""
    match kind.verb:
        case "create index" if kind.name:
            found = read_outcome(conn, kind, read_catalogs_before(conn, kind))
            return StatementOutcome(done=False, leftovers=found.leftovers)
        case "detach partition":
            return read_outcome(conn, kind, read_catalogs_before(conn, kind))
        case _:
            return StatementOutcome(done=False)


def _read_created(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    table = sql.Literal(known["table"])
    which = sql.SQL(_NAMED).format(table=table, name=sql.Literal(kind.name))
    found = _indexes(conn, which)
    new = [each for each in found if each["id"] not in known["indexes"]]
    valid = [each for each in new if each["valid"]]
    left = [each for each in (found if kind.name else new) if not each["valid"]]
    return StatementOutcome(
        done=None if len(valid) > 1 else bool(valid), leftovers=_leftovers(left)
    )


def _read_reindexed(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    which = sql.SQL(_LEFT_BY_REINDEX).format(before=sql.Literal(known["invalid"]))
    return StatementOutcome(done=False, leftovers=_leftovers(_indexes(conn, which)))


def _read_dropped(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    query = "SELECT to_json(EXISTS (SELECT FROM pg_class WHERE oid = {index}))"
    if known["index"] is None:
        return StatementOutcome(done=False)
    return StatementOutcome(
        done=not _query_json(conn, query, kind, index=sql.Literal(known["index"]))
    )


def _read_aggregate(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    """
    Return what has become of TimescaleDB's continuous aggregate.

    It is there before it is filled, in another transaction: only its absence tells.
    """
    made = (
        known["view"] is None and read_catalogs_before(conn, kind)["view"] is not None
    )
    return StatementOutcome(done=None if made else False)


def _read_detached(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    if not known:
        return StatementOutcome(done=False)
    pending = _query_json(
        conn,
        "SELECT to_json(inhdetachpending) FROM pg_inherits"
        " WHERE inhparent = {parent} AND inhrelid = {child}",
        kind,
        **{name: sql.Literal(value) for name, value in known.items()},
    )
    return StatementOutcome(done=pending == {}, detaching=pending is True)


def _read_existence(
    conn: psycopg.Connection, kind: StatementClass, known: Facts
) -> StatementOutcome:
    """Return what has become of what is not in a schema: made, or dropped."""
    was, now = bool(known["id"]), read_catalogs_before(conn, kind)
    if not now["whole"]:
        return StatementOutcome(None)
    made = kind.verb.startswith("create")
    return StatementOutcome(done=bool(now["id"]) == made and was != made)


_LOOKS: Mapping[
    str, Callable[[psycopg.Connection, StatementClass, Facts], StatementOutcome]
] = {
    "create index": _read_created,
    "create view": _read_aggregate,
    "drop index": _read_dropped,
    "detach partition": _read_detached,
    "reindex": _read_reindexed,
}


def _indexes(conn: psycopg.Connection, which: sql.Composable) -> list[dict[str, Any]]:
    *_, row = query_own(conn, sql.SQL(_INDEXES).format(which=which))
    return (row[0] if row else None) or []


def _leftovers(found: list[dict[str, Any]]) -> tuple[InvalidIndex, ...]:
    return tuple(InvalidIndex(e["index"], e["table"], e["holder"]) for e in found)


def _query_json(
    conn: psycopg.Connection, query: str, kind: StatementClass, **more: sql.Composable
) -> Any:
    """Return the one JSON value that *query* asks; {} when there is no row."""
    names = {"name": sql.Literal(kind.name), "table": sql.Literal(kind.table)}
    resolve = [
        sql.SQL(_RESOLVE.format(name)).format(**names)
        for name in _NAMES.get(kind.verb, ())
    ]
    question = sql.SQL(query).format(**names, **_OIDS, **more)
    *_, row = query_own(conn, question, resolve)
    return row[0] if row else {}

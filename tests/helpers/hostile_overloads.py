"""Objects of an ordinary role that stand in for PostgreSQL's own, and say who used them."""

from collections.abc import Iterable, Iterator
from typing import Any

import psycopg
from psycopg import sql

from tests.helpers.parse_trees import Call


CAUGHT = "CAUGHT "
_BODY = f"BEGIN RAISE LOG '{CAUGHT}{{}}'; RETURN{{}}; END"
_UNKNOWN, _TEXT = 705, 25
_NAMES_OF_TYPES = """
SELECT oid, typname, format_type(oid, NULL), typtype = 'p', typelem FROM pg_type
"""
_FUNCTION = """
SELECT proname, prokind::text, proretset, format_type(prorettype, NULL),
    CASE WHEN 'o' = ANY (proargmodes) THEN pg_get_function_arguments(oid) END
FROM pg_proc WHERE oid = %s
"""
_OPERATOR = """
SELECT oprname, oprleft = 0, format_type(oprresult, NULL) FROM pg_operator WHERE oid = %s
"""
_COLUMNS = """
SELECT relname, string_agg(quote_ident(attname), ', ' ORDER BY attnum)
FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
    AND atttypid <> 'anyarray'::regtype
WHERE relnamespace = 'pg_catalog'::regnamespace AND pg_class.oid = ANY (%s)
GROUP BY relname ORDER BY relname
"""
_TYPES = ("text", "name", "oid", "regclass", "json", "jsonb", "timestamptz", "date")
"""Those whose names are looked up: `bigint` and its like are words of the grammar."""


def shadows(conn: psycopg.Connection, found: Iterable[Call]) -> list[str]:
    """Return what creates one object in `public` for each call with its argument types."""
    types = {row[0]: row[1:] for row in conn.execute(_NAMES_OF_TYPES)}
    made = {text for call in found for text in _shadow(conn, call, types)}
    return sorted(made)


def _shadow(
    conn: psycopg.Connection, call: Call, types: dict[int, Any]
) -> Iterator[str]:
    names = []
    for each in call.arguments:
        _, name, pseudo, _ = types[_TEXT if each == _UNKNOWN else each]
        if pseudo:
            return
        names.append(name)
    if call.operator:
        yield from _operators(conn, call, names, types)
    else:
        yield from _functions(conn, call, names)


def _functions(conn: psycopg.Connection, call: Call, names: list[str]) -> Iterator[str]:
    row = conn.execute(_FUNCTION, [call.oid]).fetchone()
    assert row is not None
    name, kind, returns_set, result, with_columns = row
    quoted = sql.Identifier(name).as_string(conn)
    arguments = with_columns or ", ".join(names)
    if result in {"anyelement", "anyarray", "anycompatible", "anycompatiblearray"}:
        result = names[0] if names else "text"
    body = _BODY.format(name, "" if returns_set or result == "void" else " NULL")
    if kind == "a":
        state = ", ".join(["text", *names])
        helper = f"shadow_{call.oid}_{abs(hash(tuple(names)))}"
        yield (
            f"CREATE FUNCTION public.{helper}({state}) RETURNS text LANGUAGE plpgsql"
            f" AS $${body}$$; CREATE AGGREGATE public.{quoted}({arguments or '*'})"
            f" (sfunc = public.{helper}, stype = text)"
        )
    elif kind == "f":
        setof = "SETOF " if returns_set else ""
        yield (
            f"CREATE FUNCTION public.{quoted}({arguments}) RETURNS {setof}{result}"
            f" LANGUAGE plpgsql AS $${body}$$"
        )


def _operators(
    conn: psycopg.Connection, call: Call, names: list[str], types: dict[int, Any]
) -> Iterator[str]:
    row = conn.execute(_OPERATOR, [call.oid]).fetchone()
    assert row is not None
    name, unary, result = row
    element = types[call.arguments[-1]][3]
    pairs = [names]
    if element and not unary:  # `= ANY (array)` takes the operator of the elements
        pairs.append([names[0], types[element][1]])
    for each in pairs:
        helper = f"shadow_{call.oid}_{abs(hash(tuple(each)))}"
        sides = "RIGHTARG = {}" if unary else "LEFTARG = {}, RIGHTARG = {}"
        yield (
            f"CREATE FUNCTION public.{helper}({', '.join(each)}) RETURNS {result}"
            f" LANGUAGE plpgsql AS $${_BODY.format(name, ' NULL')}$$;"
            f" CREATE OPERATOR public.{name}"
            f" ({sides.format(*each)}, FUNCTION = public.{helper})"
        )


def shadows_of_names(conn: psycopg.Connection, relations: set[int]) -> list[str]:
    """Return what creates views and types in `public` of the names of PostgreSQL's."""
    rows = conn.execute(_COLUMNS, [sorted(relations)]).fetchall()
    used = f"BEGIN RAISE LOG '{CAUGHT}%', what; RETURN true; END"
    arguments = "what pg_catalog.text"
    creation = f"CREATE FUNCTION public.used({arguments}) RETURNS boolean"
    made = [f"{creation} LANGUAGE plpgsql AS $${used}$$"]
    made += [
        f"CREATE VIEW public.{name} AS SELECT {columns} FROM pg_catalog.{name}"
        f" WHERE public.used('{name}')"
        for name, columns in rows
    ]
    made += [
        f"CREATE DOMAIN public.{name} AS pg_catalog.{name}"
        f" CHECK (public.used('type {name}'))"
        for name in _TYPES
    ]
    return made

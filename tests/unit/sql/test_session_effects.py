"""What a half of a file leaves in its session is a warning, with line and kind."""

import pytest

from migrator.domain.model import Section, Split
from tests.unit.sql.support import parsed


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
ALONE = "-- +goose NO TRANSACTION\n"
BLOCK = "-- +goose StatementBegin\n{}\n-- +goose StatementEnd\n"
CHARACTERISTICS = "SET SESSION CHARACTERISTICS AS TRANSACTION"
PG_DUMP = """\
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
{}SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE public.a (x int);
"""
EMPTY_PATH = "SELECT pg_catalog.set_config('search_path', '', false);\n"


def left(section: Section) -> list[str]:
    """Return line, column and subject of each warning about the session."""
    return [
        f"{w.line}:{w.column} {w.message.removeprefix('this leaves ').split(' in the')[0]}"
        for w in section.warnings
        if w.slug == "session_left"
    ]


def leaves(body: str, split: Split = Split.GOOSE) -> list[str]:
    """Return what an Up half leaves, without places."""
    found = left(parsed(f"{UP}{body}\n", split).up)
    return [each.split(" ", 1)[1] for each in found]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("SET search_path = a;", ["search_path"]),
        ("set session Search_Path to 'a', b;", ["search_path"]),
        ("SET SCHEMA 'a';", ["search_path"]),
        ("SELECT set_config('search_path', 'a', false);", ["search_path"]),
        ("SELECT pg_catalog.set_config('a.b', f('x', 1), 'f');", ["a.b"]),
        ("SELECT set_config('c', 'x', true), set_config('a.b', '', FALSE);", ["a.b"]),
        ("SET a.b = 'x';", ["a.b"]),
        ("SET ROLE a;", ["the role"]),
        ("SET SESSION ROLE 'a';", ["the role"]),
        ("SELECT set_config('role', 'a', false);", ["the role"]),
        ("SET SESSION AUTHORIZATION a;", ["the session authorization"]),
        ("SET TIME ZONE 'UTC';", ["TimeZone"]),
        ("SET timezone TO 'UTC';", ["TimeZone"]),
        (
            f"{CHARACTERISTICS} ISOLATION LEVEL SERIALIZABLE, READ ONLY;",
            ["default_transaction_isolation", "default_transaction_read_only"],
        ),
        ("SET session_replication_role = replica;", ["session_replication_role"]),
        ("SET DateStyle = 'SQL, DMY';", ["datestyle"]),
        ("/* c */ -- d\nSET /* e */ search_path = a;", ["search_path"]),
        ("LISTEN a;", ["LISTEN a"]),
        ("PREPARE p AS SELECT 1;", ["the prepared statement p"]),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1;", ["the cursor c"]),
        ("CREATE TEMP TABLE t (x int);", ["the temporary t"]),
        (
            "CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS t AS SELECT 1;",
            ["the temporary t"],
        ),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1;", ["the temporary v"]),
        ("SELECT 1 AS x INTO TEMP t;", ["the temporary t"]),
        ("LOAD 'age';", ["the library age"]),
        ("SELECT pg_advisory_lock(1, 2);", ["an advisory lock"]),
        ("SELECT pg_try_advisory_lock_shared(1);", ["an advisory lock"]),
        (BLOCK.format("SELECT 1;\nSET ROLE a;\nSELECT 2;"), ["the role"]),
        (
            BLOCK.format("DO $$ BEGIN\n SET search_path = a;\nEND $$;"),
            ["search_path"],
        ),
        (
            BLOCK.format(
                "DO $$ BEGIN\n PERFORM set_config('role', 'a', false);"
                " EXECUTE format('SET search_path TO %I', 'a');\nEND $$;"
            ),
            ["search_path", "the role"],
        ),
        ("SET ROLE a;\nSET search_path = b;", ["search_path", "the role"]),
        ("SET ROLE a;\nSET SESSION AUTHORIZATION b;", ["the session authorization"]),
    ],
)
def test_what_a_half_leaves_in_its_session_is_a_warning(
    split: Split, body: str, expected: list[str]
) -> None:
    """Each setting, the role, and what is bound to a session, by any of its words."""
    assert sorted(leaves(body, split)) == expected


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "body",
    [
        "SET LOCAL search_path = a;",
        "SET LOCAL ROLE a;",
        "SELECT set_config('search_path', 'a', true);",
        "SELECT 'set_config(''a'', ''b'', false)';",
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
        "SET CONSTRAINTS ALL DEFERRED;",
        "SET search_path = a;\nRESET search_path;",
        "SET search_path = a;\nSET search_path TO DEFAULT;",
        "SET search_path = a;\nRESET ALL;",
        'SET search_path = a;\nSET search_path = "$user", public;',
        "SET session_replication_role = replica;\nSET session_replication_role = origin;",
        "SET ROLE a;\nRESET ROLE;",
        "SET ROLE a;\nSET ROLE NONE;",
        "SET SESSION AUTHORIZATION a;\nSET ROLE b;\nRESET SESSION AUTHORIZATION;",
        "SET SESSION AUTHORIZATION a;\nSET SESSION AUTHORIZATION DEFAULT;",
        "SET TIME ZONE 'UTC';\nSET TIME ZONE LOCAL;",
        "SET TIME ZONE 'UTC';\nRESET TIME ZONE;",
        "LISTEN a;\nLISTEN b;\nUNLISTEN *;",
        "PREPARE p AS SELECT 1;\nDEALLOCATE p;",
        "PREPARE p AS SELECT 1;\nDEALLOCATE ALL;",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1;\nCLOSE c;",
        "DECLARE c CURSOR FOR SELECT 1;",
        "CREATE TEMP TABLE t (x int) ON COMMIT DROP;",
        "CREATE TEMP TABLE t (x int);\nDROP TABLE t;",
        "CREATE TEMP TABLE t (x int);\nDROP TABLE IF EXISTS a, pg_temp.t CASCADE;",
        "CREATE TEMP TABLE t (x int);\nDISCARD TEMP;",
        "SELECT pg_advisory_lock(1);\nSELECT pg_advisory_unlock(1);",
        "SELECT pg_advisory_lock(1);\nSELECT pg_advisory_unlock_all();",
        "SELECT pg_advisory_xact_lock(1);",
        "UPDATE a\nSET search_path = 1;",
        "ALTER ROLE a SET search_path = b;",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = a AS 'SELECT 1';",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SET ROLE a; SELECT 1';",
        "SET work_mem = '1GB';\nSET maintenance_work_mem = '1GB';\nSET synchronous_commit = off;",
        f"{ALONE}BEGIN;\nSET ROLE a;\nROLLBACK;",
        f"{ALONE}SET ROLE a;\nSET search_path = b;\nDISCARD ALL;",
        PG_DUMP.format("").replace("SET check_function_bodies = false;", ""),
    ],
)
def test_what_ends_with_the_half_is_no_warning(split: Split, body: str) -> None:
    """Local settings, what is undone, and settings that change no meaning."""
    assert leaves(body, split) == []


@pytest.mark.parametrize("split", Split)
def test_the_preamble_of_pg_dump_warns_of_what_matters(split: Split) -> None:
    """The search path, and functions that are not checked; no time limit, no notices."""
    section = parsed(f"{UP}{PG_DUMP.format(EMPTY_PATH)}", split).up

    assert left(section) == ["8:1 search_path", "9:1 check_function_bodies"]


@pytest.mark.parametrize("split", Split)
def test_places_are_the_last_statement_that_sets_it_in_its_half(split: Split) -> None:
    """Up and Down have their own; one in a half's own transaction counts."""
    migration = parsed(
        f"{UP}BEGIN;\nSET ROLE a;\n  SET ROLE b;\nCOMMIT;\n{DOWN}SELECT 1;\nSET ROLE c;\n",
        split,
    )

    assert left(migration.up) == ["4:3 the role"]
    assert left(migration.down) == ["8:1 the role"]


def test_the_message_says_who_has_it_and_what_to_do() -> None:
    """What goose does, what a later run does, and what happens here, in both modes."""
    section = parsed(f"{UP}SET search_path = a;\nCREATE TEMP TABLE t ();\n").up

    path, temporary = (warning.message for warning in section.warnings)
    assert path == (
        "this leaves search_path in the session: goose carries it into later files of"
        " the same run, but not into a later run, and here each file begins without it"
        " unless MIGRATOR_SESSION=keep is set; set it in each file that needs it, or"
        " set MIGRATOR_SEARCH_PATH"
    )
    assert temporary == (
        "this leaves the temporary t in the session: later files of the same run find"
        " it, with goose and here, but a later run or a new connection does not; undo"
        " it at the end of the file"
    )

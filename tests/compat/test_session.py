"""MIGRATOR_SESSION=keep: what a file leaves in its session, the next one finds."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from tests.compat.conftest import Databases
from tests.compat.program import Place, Program, Snapshot, ours, snapshot
from tests.compat.scenario import both, written
from tests.helpers.support import run


pytestmark = pytest.mark.usefixtures("both_ways")

PROBE = (
    "INSERT INTO seen SELECT current_setting('search_path'), current_user,"
    " current_setting('TimeZone'), current_setting('app.tenant', true),"
    " current_setting('DateStyle'), current_setting('transaction_isolation'),"
    " to_regclass('left_behind')::text;\n"
)
KEEP = {"MIGRATOR_SESSION": "keep"}
PATH = "SET search_path = app, public;\n"
FILES = {
    "1_schema.sql": both(
        "CREATE SCHEMA app;\nGRANT ALL ON SCHEMA app TO {role};\n"
        "GRANT ALL ON goose_db_version TO {role};\n"
        "CREATE TABLE app.seen (path text, role text, zone text, tenant text,"
        " style text, isolation text, temporary text);\n"
        f"GRANT ALL ON app.seen TO {{role}};\n{PATH}",
        "DROP SCHEMA app CASCADE;",
    ),
    "2_settings.sql": both(
        f"{PROBE}SET TIME ZONE 'Asia/Tokyo';\nSET LOCAL DateStyle = 'German';\n"
        "SELECT set_config('app.tenant', 'one', false);\n"
        "CREATE TEMP TABLE left_behind (x int);\n"
        "GRANT ALL ON left_behind TO {role};\n",
        PROBE,
    ),
    "3_role.sql": both(
        f"{PROBE}CREATE TABLE first (x int);\nSET ROLE {{role}};", PROBE
    ),
    "4_owned.sql": both(
        f"{PROBE}CREATE TABLE owned (at timestamptz DEFAULT '2020-01-01 00:00');",
        f"{PROBE}DROP TABLE owned;\nRESET ROLE;",
    ),
    "5_apart.sql": "-- +goose NO TRANSACTION\n"
    + both(
        f"CREATE INDEX CONCURRENTLY made ON owned (at);\n{PROBE}"
        "SET DateStyle = 'SQL, DMY';\nSET LOCAL TimeZone = 'UTC';",
        f"{PROBE}DROP INDEX CONCURRENTLY made;",
    ),
    "6_levels.sql": both(
        f"{PROBE}RESET app.tenant;\n"
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
        f"{PROBE}SET ROLE {{role}};",
    ),
    "7_reset.sql": both(
        f"{PROBE}RESET ALL;\nRESET ROLE;\n{PATH}",
        f"{PATH}SET app.tenant = 'down';\n{PROBE}",
    ),
    "8_view.sql": both(
        f"{PROBE}CREATE VIEW v AS SELECT * FROM seen;",
        "DROP VIEW app.v;",
    ),
}


@pytest.fixture(scope="session")
def role(server: str) -> Iterator[str]:
    """A role that owns what a file makes behind SET ROLE."""
    name = f"migrator_session_{os.getpid()}"
    with psycopg.connect(server, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name}".encode())
        yield name
        conn.execute(f"DROP ROLE {name}".encode())


def played(
    program: Program, place: Place, lines: tuple[str, ...]
) -> list[tuple[bool, Snapshot]]:
    """Run each line; return whether it succeeded, and what it left."""
    return [
        (program(place, *line.split()).succeeded, snapshot(place)) for line in lines
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ("up", "down-to 0", "up"),
        ("up", "down", "redo", "down-to 6", "up", "reset"),
        ("up-to 2", "up"),
    ],
    ids=["one-run", "some-of-it", "a-later-run"],
)
def test_a_session_that_is_kept_is_as_with_goose(
    lines: tuple[str, ...],
    goose_command: Program,
    databases: Databases,
    database: str,
    role: str,
    tmp_path: Path,
) -> None:
    """Schemas, owners, rows, zone, role, isolation and temporary tables, as goose."""
    files = {name: text.replace("{role}", role) for name, text in FILES.items()}
    written(tmp_path, files)
    with databases() as dsn:
        theirs = played(goose_command, Place(dsn=dsn, directory=tmp_path), lines)
    mine = played(ours, Place(dsn=database, directory=tmp_path, environ=KEEP), lines)

    assert theirs[0][0]
    assert mine == theirs


def test_a_search_path_that_goose_cannot_record_under_is_kept(
    goose_command: Program, databases: Databases, database: str, tmp_path: Path
) -> None:
    """pg_dump's empty path stops goose; here the row is ours, and the path stays."""
    files: Mapping[str, str] = {
        "1_a.sql": both("SELECT pg_catalog.set_config('search_path', '', false);"),
        "2_b.sql": both("CREATE TABLE public.a AS SELECT current_schemas(true);"),
    }
    written(tmp_path, files)
    with databases() as dsn:
        stopped = goose_command(Place(dsn=dsn, directory=tmp_path), "up")
    place = Place(dsn=database, directory=tmp_path, environ=KEEP)
    succeeded = ours(place, "up").succeeded

    assert (stopped.succeeded, succeeded) == (False, True)
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT * FROM a").fetchall() == [(["pg_catalog"],)]


def test_files_begin_with_the_same_session_by_default(
    database: str, role: str, tmp_path: Path
) -> None:
    """The same files do without goose's leak what each says by itself: here it fails."""
    files = {name: text.replace("{role}", role) for name, text in FILES.items()}
    written(tmp_path, files)

    result = run(
        *("-dir", str(tmp_path), "postgres", database, "up"), MIGRATOR_SESSION="reset"
    )

    assert result.exit_code == 13
    assert result.verdict["error"].startswith('2_settings.sql:2:13: relation "seen"')

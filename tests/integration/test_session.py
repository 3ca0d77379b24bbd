"""What one file leaves in its session, and what the next one finds of it."""

from pathlib import Path

import psycopg
import pytest

from migrator import MigrationRunner
from migrator.domain.model import SessionState
from migrator.pg.connection.connect import Session
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.support import Result, run, write


pytestmark = pytest.mark.usefixtures("both_ways")

KEEP = {"MIGRATOR_SESSION": "keep"}
LEAVES = "SET search_path = app;"
PROBE = (
    "INSERT INTO public.seen SELECT {n}, current_setting('search_path'),"
    " current_setting('TimeZone'), current_setting('lock_timeout');"
)
DIES = (
    "SELECT CASE WHEN nextval('public.tries') = 1"
    " THEN pg_terminate_backend(pg_backend_pid()) END;"
)


@pytest.fixture(autouse=True)
def _tables(conn: psycopg.Connection) -> None:
    conn.execute("CREATE SCHEMA app; CREATE SEQUENCE tries")
    conn.execute("CREATE TABLE seen (n int, path text, zone text, locks text)")


def migrate(database: str, directory: Path, *argv: str, **environ: str) -> Result:
    """Run the command."""
    return run(
        *(argv or ("up",)),
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **environ,
    )


def seen(
    conn: psycopg.Connection, columns: str = "n, path"
) -> list[tuple[object, ...]]:
    """What the files have seen, in their order."""
    return conn.execute(f"SELECT {columns} FROM seen ORDER BY n".encode()).fetchall()


def test_session_left_is_reported_by_validate_plan_and_up(
    database: str, tmp_path: Path
) -> None:
    """File, line and what is left; the run goes on."""
    write(tmp_path, {"1_a.sql": LEAVES, "2_b.sql": "SELECT 1;"})
    results = [migrate(database, tmp_path, line) for line in ("validate", "plan", "up")]
    warnings = [
        [(e["slug"], e["path"], e["line"]) for e in r.events("file.warned")]
        for r in results
    ]

    assert [result.exit_code for result in results] == [0, 0, 0]
    assert warnings == [[("session_left", "1_a.sql", 2)]] * 3


@pytest.mark.parametrize(
    ("statement", "sqlstate"),
    [
        ("SELECT * FROM things;", "42P01"),
        ("CREATE TABLE nowhere.t ();", "3F000"),
        ("SELECT NULL::thing;", "42704"),
        ("SELECT thing();", "42883"),
    ],
)
def test_what_is_not_there_behind_a_session_left_names_its_place(
    database: str, tmp_path: Path, statement: str, sqlstate: str
) -> None:
    """File and line, MIGRATOR_SEARCH_PATH and MIGRATOR_SESSION; in a later run too."""
    files = {"1_a.sql": LEAVES, "2_b.sql": "SELECT 1;\nSET ROLE NONE;\n" + statement}
    write(tmp_path, files)
    failed = [migrate(database, tmp_path), migrate(database, tmp_path, **KEEP)]

    assert [result.exit_code for result in failed] == [13, 13]
    assert [f"(SQLSTATE {sqlstate})" in r.verdict["error"] for r in failed] == [
        True
    ] * 2
    hint = (
        "; an earlier file leaves something in its session (1_a.sql:2), which goose"
        " carries into later files of the same run: set it in this file too, or set"
        " MIGRATOR_SEARCH_PATH"
    )
    assert (
        failed[0]
        .verdict["error"]
        .endswith(f"{hint}, or MIGRATOR_SESSION=keep, then re-run")
    )
    assert failed[1].verdict["error"].endswith(f"{hint}, then re-run")


@pytest.mark.parametrize(
    "left", ["", "SET LOCAL search_path = app;", "SET lock_timeout=0;"]
)
def test_what_is_not_there_by_itself_gets_no_hint(
    database: str, tmp_path: Path, left: str
) -> None:
    """Nor does a file before the one that leaves something."""
    write(
        tmp_path, {"1_a.sql": left or "SELECT 1;", "2_b.sql": "SELECT * FROM things;"}
    )
    write(tmp_path, {"3_c.sql": LEAVES})

    assert "session" not in migrate(database, tmp_path).verdict["error"]


def test_the_hint_on_the_way_down_names_what_runs_before(
    database: str, tmp_path: Path
) -> None:
    """Down halves run from the newest; those count that ran before."""
    down = "-- +goose Up\nSELECT 1;\n-- +goose Down\n"
    files = {"1_a.sql": f"{down}SELECT * FROM things;", "2_b.sql": f"{down}{LEAVES}"}
    write(tmp_path, files)
    assert migrate(database, tmp_path).exit_code == 0

    result = migrate(database, tmp_path, "reset")

    assert result.exit_code == 13
    assert "in its session (2_b.sql:4), which" in result.verdict["error"]


@pytest.mark.parametrize(
    ("state", "path"), [("reset", '"$user", public'), ("keep", "app")]
)
def test_the_library_and_python_files_have_it_too(
    database: str, conn: psycopg.Connection, tmp_path: Path, state: str, path: str
) -> None:
    """A script leaves and finds what a file does; our timeouts are set again before each."""
    probe = "\n".join(f"    conn.execute({PROBE.format(n=2)!r})".splitlines())
    zone = "    conn.execute(\"SET TIME ZONE 'Asia/Tokyo'\")\n"
    write(
        tmp_path,
        {
            "1_a.sql": f"{LEAVES}\nSET lock_timeout = 0;",
            "2_b.py": f"def up(conn):\n{probe}\n{zone}".encode(),
            "3_c.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{PROBE.format(n=3)}",
            "4_d.sql": PROBE.format(n=4),
        },
    )
    session = Session(state=SessionState(state))
    MigrationRunner(database, tmp_path, session=session).up()

    assert seen(conn) == [(2, path), (3, path), (4, path)]
    zones = {zone for _, zone in seen(conn, "n, zone")[1:]}
    assert (zones == {"Asia/Tokyo"}) is (state == "keep")
    assert {locks for _, locks in seen(conn, "n, locks")} == {"5s"}


def test_a_migration_that_is_tried_again_finds_what_was_kept(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """What it has set itself before it was rolled back is undone; the rest stays."""
    again = (
        "SET search_path = nowhere;\nDO $$ BEGIN IF nextval('public.tries') = 1 THEN"
        " RAISE SQLSTATE '40001'; END IF; END $$;"
    )
    write(
        tmp_path,
        {
            "1_a.sql": LEAVES,
            "2_b.sql": f"{PROBE.format(n=2)}\n{again}\nSET search_path = other;",
            "3_c.sql": PROBE.format(n=3),
        },
    )
    result = migrate(database, tmp_path, **KEEP)

    assert (result.exit_code, len(result.events("migration.retried"))) == (0, 1)
    assert seen(conn) == [(2, "app"), (3, "other")]


def test_a_lost_session_ends_a_run_that_needs_it(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """No file runs without what an earlier one left; the next run goes on."""
    write(tmp_path, {"1_a.sql": LEAVES, "2_b.sql": f"{DIES}\n{PROBE.format(n=2)}"})
    result = migrate(database, tmp_path, **KEEP)
    again = migrate(database, tmp_path, MIGRATOR_SEARCH_PATH="app,public", **KEEP)

    assert (result.exit_code, result.verdict["applied"]) == (13, [1])
    assert result.verdict["error"] == (
        "2_b.sql, beginning the transaction: the connection was lost, and with it what"
        " 1_a.sql:2 left in it; nothing of this migration was applied; with"
        " MIGRATOR_SESSION=keep it would run without that; what ran before is applied:"
        " set MIGRATOR_SEARCH_PATH or MIGRATOR_ROLE, or set it in this file, as far as"
        " it needs it, then re-run"
    )
    assert (again.exit_code, seen(conn)) == (0, [(2, "app,public")])


def test_a_lost_session_that_held_nothing_ends_no_run(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """Where the files before have left nothing, keep goes on as reset does."""
    write(
        tmp_path,
        {
            "1_a.sql": f"{LEAVES}\nRESET search_path;",
            "2_b.sql": f"{LEAVES}\n{DIES}\n{PROBE.format(n=2)}",
            "3_c.sql": PROBE.format(n=3),
        },
    )
    result = migrate(database, tmp_path, **KEEP)

    assert (result.exit_code, len(result.events("connection.lost"))) == (0, 1)
    assert seen(conn) == [(2, "app"), (3, "app")]


def test_a_failed_file_leaves_the_session_as_postgresql_does(
    database: str, conn: psycopg.Connection, tmp_path: Path
) -> None:
    """A run that fails and one that follows it: nothing is carried between runs."""
    write(tmp_path, {"1_a.sql": LEAVES, "2_b.sql": "SET ROLE NONE;\nSELECT 1/0;"})
    assert migrate(database, tmp_path, **KEEP).exit_code == 13
    write(tmp_path, {"2_b.sql": PROBE.format(n=2)})

    result = migrate(database, tmp_path, **KEEP)

    assert result.exit_code == 0
    assert seen(conn) == [(2, '"$user", public')]


@pytest.mark.parametrize("state", ["reset", "keep"])
def test_what_is_bound_to_a_session_lasts_until_its_run_ends(
    database: str, conn: psycopg.Connection, tmp_path: Path, state: str
) -> None:
    """Temporary tables, prepared statements, held cursors and locks, in both modes."""
    made = (
        "CREATE TEMP TABLE t AS SELECT 7 AS n;\nPREPARE p AS INSERT INTO public.seen"
        " SELECT n FROM pg_temp.t;\nDECLARE c CURSOR WITH HOLD FOR SELECT 1;\n"
        "LISTEN l;\nSELECT pg_advisory_lock(815);"
    )
    used = (
        "EXECUTE p;\nFETCH c;\nINSERT INTO public.seen SELECT count(*) FROM pg_locks"
        " WHERE locktype = 'advisory' AND objid = 815 AND pid = pg_backend_pid();\n"
        "INSERT INTO public.seen SELECT count(*) + 1 FROM pg_listening_channels();"
    )
    write(tmp_path, {"1_a.sql": made, "2_b.sql": used, "3_c.sql": "EXECUTE p;"})
    environ = {"MIGRATOR_SESSION": state}
    first = migrate(database, tmp_path, "up-to", "2", **environ)
    later = migrate(database, tmp_path, **environ)

    assert (first.exit_code, seen(conn, "n")) == (0, [(1,), (2,), (7,)])
    assert later.exit_code == 13
    assert 'prepared statement "p" does not exist' in later.verdict["error"]


def test_keep_is_refused_behind_a_pooler(database: str, tmp_path: Path) -> None:
    """Nothing of a session is kept there between two transactions."""
    write(tmp_path, {"1_a.sql": LEAVES})
    with pgbouncer(database) as pooled:
        result = migrate(pooled, tmp_path, **KEEP)

    assert result.exit_code == 2
    assert result.verdict["error"] == (
        "MIGRATOR_SESSION=keep needs a session of its own, and a pooler keeps none"
        " between two transactions: connect to the server itself, or unset it"
    )

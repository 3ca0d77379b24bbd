"""What a server refuses, each for real: its code, its words, and the run after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.support import Result, ended, run, started, until, write


pytestmark = pytest.mark.usefixtures("both_ways")


@dataclass(frozen=True, slots=True)
class Login:
    """A role that may create in `public`, and its DSN."""

    role: str
    dsn: str
    dbname: str
    admin: psycopg.Connection
    outside: psycopg.Connection
    """To another database of the server."""

    def alter(self, statement: str) -> None:
        """Run *statement* as superuser; {role} and {dbname} stand for the names."""
        names = {
            "role": sql.Identifier(self.role),
            "dbname": sql.Identifier(self.dbname),
        }
        conn = self.outside if " DATABASE " in statement else self.admin
        conn.execute(sql.SQL(statement).format(**names))

    def environ(self, directory: Path) -> dict[str, str]:
        """What a run as this role needs to know."""
        return {
            "MIGRATOR_DATABASE_URL": self.dsn,
            "MIGRATOR_MIGRATIONS_DIR": str(directory),
            "MIGRATOR_CONNECT_WAIT": "200ms",
        }

    def up(self, directory: Path) -> Result:
        """Run `up` as this role."""
        return run("up", **self.environ(directory))

    def versions(self) -> list[int]:
        """What the tracking table says."""
        rows = self.admin.execute("SELECT version_id FROM goose_db_version ORDER BY id")
        return [version for (version,) in rows]


@pytest.fixture
def login(database: str, server: str) -> Iterator[Login]:
    """A role of one test's own, without any privilege that it does not need."""
    with psycopg.connect(server, autocommit=True) as admin:
        dbname = str(conninfo_to_dict(database)["dbname"])
        role = f"poor_{dbname}"
        dsn = make_conninfo(
            "", **{**conninfo_to_dict(database), "user": role, "password": "x"}
        )
        with psycopg.connect(database, autocommit=True) as inside:
            made = Login(role, dsn, dbname, inside, admin)
            made.alter("CREATE ROLE {role} LOGIN PASSWORD 'x'")
            made.alter("GRANT CREATE ON SCHEMA public TO {role}")
            made.alter("GRANT CREATE ON DATABASE {dbname} TO {role}")
            yield made
            made.alter("DROP OWNED BY {role} CASCADE")
        admin.execute(
            sql.SQL("ALTER DATABASE {} RESET ALL").format(sql.Identifier(dbname))
        )
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def five(tmp_path: Path, third: str) -> Path:
    """Five migrations, of which the third one says *third*."""
    files = {f"{n}_{n}.sql": f"CREATE TABLE t{n} ();" for n in (1, 2, 4, 5)}
    return write(tmp_path / "m", {**files, "3_3.sql": third})


RECURSION = """-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION deep() RETURNS void LANGUAGE plpgsql AS $$
BEGIN PERFORM deep(); END $$;
-- +goose StatementEnd
SELECT deep();
"""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The third of five files, why the server refuses it, and what helps."""

    third: str
    code: int
    sqlstate: str
    tail: str
    before: str = "SELECT 1"
    fix: str = ""
    """What the superuser does; without it the file is fixed."""


MEND_FILE = "the migration was rolled back; fix the file and re-run"
REFUSALS = {
    "no privilege on another's table": Refusal(
        "CREATE TABLE t3 (); ALTER TABLE theirs ADD x int;",
        15,
        "42501",
        "grant the missing privilege to the migrating role, or set MIGRATOR_ROLE",
        before="CREATE TABLE theirs ()",
        fix="ALTER TABLE theirs OWNER TO {role}",
    ),
    "no privilege on a schema": Refusal(
        "CREATE TABLE t3 (); CREATE TABLE closed.t ();",
        15,
        "42501",
        "grant the missing privilege to the migrating role, or set MIGRATOR_ROLE",
        before="CREATE SCHEMA closed",
        fix="GRANT USAGE, CREATE ON SCHEMA closed TO {role}",
    ),
    "a temporary file that is too large": Refusal(
        "CREATE TABLE t3 AS SELECT g FROM generate_series(1, 100000) g ORDER BY -g;",
        13,
        "53400",
        "raise the limit that the server names, or let the statement do less,"
        " then re-run",
        before="ALTER ROLE {role} SET temp_file_limit = '64kB';"
        " ALTER ROLE {role} SET work_mem = '64kB'",
        fix="ALTER ROLE {role} RESET temp_file_limit",
    ),
    "too deep a recursion": Refusal(RECURSION, 13, "54001", MEND_FILE),
    "a key that is too large": Refusal(
        "CREATE TABLE t3 (a text PRIMARY KEY); INSERT INTO t3"
        " SELECT string_agg(md5(n::text), '') FROM generate_series(1, 300) n;",
        13,
        "54000",
        MEND_FILE,
    ),
    "too many columns": Refusal(
        f"CREATE TABLE t3 ({', '.join(f'c{n} int' for n in range(1700))});",
        13,
        "54011",
        MEND_FILE,
    ),
    "a transaction that it makes read-only itself": Refusal(
        "SET TRANSACTION READ ONLY;\nCREATE TABLE t3 ();", 13, "25006", MEND_FILE
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_the_third_of_five_is_refused(
    login: Login, tmp_path: Path, refusal: Refusal
) -> None:
    """Two migrations stay, the third leaves nothing, and the run after the fix does the rest."""
    login.alter(refusal.before)
    directory = five(tmp_path, refusal.third)

    result = login.up(directory)
    between = (
        login.versions(),
        login.admin.execute("SELECT to_regclass('t3')").fetchone(),
    )
    if refusal.fix:
        login.alter(refusal.fix)
    else:
        write(directory, {"3_3.sql": "CREATE TABLE t3 ();"})
    again = login.up(directory)

    verdict = result.verdict
    assert (verdict["exit_code"], verdict["failed"]["sqlstate"]) == (
        refusal.code,
        refusal.sqlstate,
    )
    assert verdict["error"].endswith(refusal.tail)
    assert (verdict["retryable"], verdict["version_after"]) == (False, 2)
    assert between == ([0, 1, 2], (None,))
    assert (again.exit_code, login.versions()) == (0, [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize("target", ["ROLE {role}", "DATABASE {dbname}"])
def test_read_only_by_default(login: Login, tmp_path: Path, target: str) -> None:
    """Somebody has set it, and has to take it back: trying again does not help."""
    directory = five(tmp_path, "CREATE TABLE t3 ();")

    login.alter(f"ALTER {target} SET default_transaction_read_only = on")
    empty = login.up(directory)
    login.alter(f"ALTER {target} RESET default_transaction_read_only")
    first = run("up-by-one", **login.environ(directory))
    login.alter(f"ALTER {target} SET default_transaction_read_only = on")
    half = login.up(directory)
    login.alter(f"ALTER {target} RESET default_transaction_read_only")
    again = login.up(directory)

    codes = [each.exit_code for each in (empty, first, half, again)]
    assert codes == [15, 0, 15, 0]
    for result in (empty, half):
        assert result.verdict["failed"]["sqlstate"] == "25006"
        assert "default_transaction_read_only is on for" in result.verdict["error"]
    assert login.versions() == [0, 1, 2, 3, 4, 5]


def test_the_urls_word_makes_it_writable(login: Login, tmp_path: Path) -> None:
    """As the error says."""
    login.alter("ALTER ROLE {role} SET default_transaction_read_only = on")
    options = {"options": "-c default_transaction_read_only=off"}
    dsn = make_conninfo("", **{**conninfo_to_dict(login.dsn), **options})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(five(tmp_path, "SELECT 1;")),
    )

    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("close", "open_", "tail"),
    [
        pytest.param(
            "REVOKE CREATE ON SCHEMA public FROM {role}",
            "GRANT CREATE ON SCHEMA public TO {role}",
            "where the table does not exist yet",
            id="schema",
        ),
        pytest.param(
            "CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT"
            " AS IDENTITY, version_id bigint NOT NULL, is_applied boolean NOT NULL,"
            " tstamp timestamp NOT NULL DEFAULT now())",
            "GRANT SELECT, INSERT, DELETE ON goose_db_version TO {role}",
            "where the table does not exist yet",
            id="table",
        ),
    ],
)
def test_no_privilege_for_the_tracking_table(
    login: Login, tmp_path: Path, close: str, open_: str, tail: str
) -> None:
    """It is denied before anything is applied, and the grants are named."""
    login.alter(close)
    directory = five(tmp_path, "CREATE TABLE t3 ();")

    result = login.up(directory)
    login.alter(open_)
    again = login.up(directory)

    assert (result.exit_code, result.verdict["applied"]) == (15, [])
    assert "INSERT and DELETE" in result.verdict["error"]
    assert result.verdict["error"].endswith(tail)
    assert (again.exit_code, login.versions()) == (0, [0, 1, 2, 3, 4, 5])


def test_a_privilege_on_the_table_that_a_file_gives_away(
    login: Login, tmp_path: Path
) -> None:
    """The row cannot be written, so its migration is rolled back, and so is the loss."""
    directory = five(tmp_path, "REVOKE INSERT ON goose_db_version FROM CURRENT_USER;")

    result = login.up(directory)
    write(directory, {"3_3.sql": "CREATE TABLE t3 ();"})
    again = login.up(directory)

    assert (result.exit_code, result.verdict["version_after"]) == (15, 2)
    assert (again.exit_code, login.versions()) == (0, [0, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("close", "open_", "sqlstate", "way"),
    [
        pytest.param(
            "ALTER ROLE {role} CONNECTION LIMIT 1",
            "ALTER ROLE {role} CONNECTION LIMIT 2",
            "53300",
            "a run needs two connections",
            id="the second connection of a role",
        ),
        pytest.param(
            "ALTER ROLE {role} CONNECTION LIMIT 0",
            "ALTER ROLE {role} CONNECTION LIMIT 2",
            "53300",
            "a run needs two connections",
            id="the first connection of a role",
        ),
        pytest.param(
            "ALTER DATABASE {dbname} CONNECTION LIMIT 2",  # the test has one itself
            "ALTER DATABASE {dbname} CONNECTION LIMIT 3",
            "53300",
            "a run needs two connections",
            id="the second connection of a database",
        ),
        pytest.param(
            "ALTER DATABASE {dbname} ALLOW_CONNECTIONS false",
            "ALTER DATABASE {dbname} ALLOW_CONNECTIONS true",
            "55000",
            "ALLOW_CONNECTIONS true",
            id="a closed database",
        ),
    ],
)
def test_no_connection(
    login: Login, tmp_path: Path, close: str, open_: str, sqlstate: str, way: str
) -> None:
    """It is waited for, also for the second one, which holds the lock."""
    directory = five(tmp_path, "CREATE TABLE t3 ();")
    login.alter(close)

    result = login.up(directory)
    login.alter(open_)
    until(lambda: login.up(directory).exit_code == 0)

    assert (result.exit_code, result.verdict["retryable"]) == (20, True)
    assert f"(SQLSTATE {sqlstate}); " in result.verdict["error"]
    assert way in result.verdict["error"]
    assert login.versions() == [0, 1, 2, 3, 4, 5]


def test_a_database_that_is_dropped_while_a_file_runs(
    login: Login, server: str, tmp_path: Path
) -> None:
    """The connection is lost, and there is no database to go on with, nor a next time."""
    directory = five(tmp_path, "SELECT pg_sleep(60);")
    other = f"{login.dbname}_2"
    dsn = make_conninfo("", **{**conninfo_to_dict(server), "dbname": other})
    login.alter(f"CREATE DATABASE {other}")

    with started(dsn, directory) as process:
        until(lambda: _sleeps(login.admin, other))
        login.alter(f"DROP DATABASE {other} WITH (FORCE)")
        result = ended(process)
    again = run("up", MIGRATOR_DATABASE_URL=dsn, MIGRATOR_MIGRATIONS_DIR=str(directory))

    assert (result.exit_code, result.verdict["applied"]) == (15, [1, 2])
    assert (again.exit_code, again.verdict["failed"]["sqlstate"]) == (15, "3D000")


def _sleeps(conn: psycopg.Connection, dbname: str) -> bool:
    return conn.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = %s AND wait_event = 'PgSleep'",
        [dbname],
    ).fetchone() == (1,)

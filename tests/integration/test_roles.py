"""What roles of the database need: the section of k8s/OPERATING.md, executed."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.helpers.support import ROOT, Result, needs_server, run, write


PASSWORD = "change-me"
FILES = {
    "00001_a.sql": "-- +goose Up\nCREATE TABLE a (i int);\n-- +goose Down\nDROP TABLE a;\n",
    "00002_b.sql": (
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE TABLE b (i int);\n"
        "CREATE INDEX CONCURRENTLY b_i ON b (i);\n-- +goose Down\nDROP TABLE b;\n"
    ),
}
NEEDED = {
    "goose_db_version": ("SELECT", "INSERT", "DELETE"),
    "migrator_history": ("SELECT", "INSERT", "UPDATE"),
    "goose_lock": ("SELECT", "INSERT", "UPDATE"),
}


class Roles:
    """A database with roles of its own; the test's own role is a superuser."""

    def __init__(self, conn: psycopg.Connection, dsn: str, directory: Path) -> None:
        self.conn = conn
        self._dsn = dsn
        self._directory = directory
        self._end = f"_{conn.info.backend_pid}"

    def execute(self, text: str) -> None:
        """Run SQL in which roles have the page's names."""
        named = re.sub(r"\bshop_[a-z]+\b", lambda name: name[0] + self._end, text)
        database = sql.Identifier(self.conn.info.dbname).as_string(self.conn)
        self.conn.execute(re.sub(r"\bshop\b", database, named).encode())

    def run(self, role: str, *arguments: str, **environ: str) -> Result:
        """Run a command as one of the roles."""
        parameters = {**conninfo_to_dict(self._dsn), "user": role + self._end}
        return run(
            *arguments,
            MIGRATOR_DATABASE_URL=make_conninfo(
                "", **parameters | {"password": PASSWORD}
            ),
            MIGRATOR_MIGRATIONS_DIR=str(self._directory),
            **{
                name: text.replace("shop_owner", f"shop_owner{self._end}")
                for name, text in environ.items()
            },
        )

    def plain(self, text: str) -> str:
        """Return a message with the page's names."""
        return text.replace(self._end, "")

    def change(self, name: str) -> None:
        """Edit a migration file."""
        with (self._directory / name).open("a") as file:
            file.write("SELECT 1;\n")

    def owner(self, table: str) -> str:
        """Who owns a table, by the page's name."""
        query = "SELECT relowner::regrole::text FROM pg_class WHERE relname = %s"
        row = self.conn.execute(query, [table]).fetchone()
        return "" if row is None else str(row[0]).removesuffix(self._end)

    def drop(self) -> None:
        """Leave no role behind."""
        query = "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname LIKE %s"
        self.execute("ALTER DATABASE shop OWNER TO CURRENT_USER")
        for (role,) in self.conn.execute(query, [f"shop\\_%\\{self._end}"]).fetchall():
            self.conn.execute(f"DROP OWNED BY {role} CASCADE".encode())
            self.conn.execute(f"DROP ROLE {role}".encode())


@pytest.fixture
def roles(conn: psycopg.Connection, database: str, tmp_path: Path) -> Iterator[Roles]:
    """Only the database; the roles are the test's."""
    value = Roles(conn, database, write(tmp_path / "m", FILES))
    yield value
    value.drop()


def blocks() -> list[str]:
    """The SQL of the page's section, but for the database that is there already."""
    text = (ROOT / "k8s/OPERATING.md").read_text()
    section = text.partition("## Roles of the database\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sql\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return [
        one.replace("CREATE DATABASE shop OWNER", "ALTER DATABASE shop OWNER TO")
        for one in found
    ]


def login(*names: str) -> str:
    """Create roles that may log in."""
    each = "CREATE ROLE {} LOGIN PASSWORD '" + PASSWORD + "'"
    return "; ".join(map(each.format, names))


def test_the_pages_roles(roles: Roles) -> None:
    """One that migrates and is no superuser, and one that reads what it has done."""
    owner, reader, *_ = blocks()
    roles.execute(owner)
    roles.execute(reader)

    migrated = [
        roles.run("shop_owner", *command, **environ).exit_code
        for command in (["up"], ["down"], ["up"], ["redo"], ["status", "--check"])
        for environ in ({}, {"MIGRATOR_LOCK": "table"})
    ]
    read = [
        roles.run("shop_app", *command).exit_code
        for command in (["status"], ["version"], ["plan"], ["wait"], ["up"])
    ]
    applies = roles.run("shop_app", "down").exit_code

    assert migrated == [0] * len(migrated)
    assert read == [0] * len(read)
    assert applies == 15
    assert roles.owner("goose_db_version") == "shop_owner"


def test_the_application_cannot_put_a_table_in_the_way(roles: Roles) -> None:
    """Whoever may not create in the schema cannot use a name of ours before we do."""
    owner, reader, *_ = blocks()
    roles.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")  # as before PostgreSQL 15
    roles.execute(owner)
    roles.execute(reader)
    roles.execute("SET SESSION AUTHORIZATION shop_app")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        roles.execute("CREATE VIEW public.goose_db_version AS SELECT 1")
    roles.execute("RESET SESSION AUTHORIZATION")

    assert roles.run("shop_owner", "up").exit_code == 0


def test_a_reader_trusts_the_owner_of_the_database(roles: Roles) -> None:
    """Else the run ends with 11 and says whose table it is."""
    owner, reader, _ = blocks()
    roles.execute(owner)
    roles.execute(reader)
    roles.run("shop_owner", "up")
    roles.execute("ALTER DATABASE shop OWNER TO CURRENT_USER")

    before = roles.run("shop_app", "wait")
    roles.execute("ALTER DATABASE shop OWNER TO shop_owner")
    after = roles.run("shop_app", "wait")

    assert (before.exit_code, after.exit_code) == (11, 0)
    assert "owned by shop_owner" in before.verdict["error"]


def test_membership_without_privileges_is_enough(roles: Roles) -> None:
    """The reader trusts the owner, and may do nothing of what that may do."""
    needs_server(roles.conn, 16)  # INHERIT and SET of a grant
    owner, reader, member = blocks()
    roles.execute(owner)
    roles.execute(reader)
    roles.run("shop_owner", "up")
    roles.execute("ALTER DATABASE shop OWNER TO CURRENT_USER")
    roles.execute(member)

    reads = roles.run("shop_app", "wait")
    applies = roles.run("shop_app", "down")

    assert (reads.exit_code, applies.exit_code) == (0, 15)


def test_plan_without_the_history_compares_nothing(roles: Roles) -> None:
    """`SELECT` on the tracking table is enough; no changed file is found then."""
    owner, *_ = blocks()
    roles.execute(owner)
    roles.execute(login("shop_app"))
    roles.run("shop_owner", "up")
    roles.execute("GRANT SELECT ON goose_db_version TO shop_app")
    roles.change("00001_a.sql")

    drift = [
        len(roles.run(role, "plan").events("drift.found"))
        for role in ("shop_app", "shop_owner")
    ]

    assert drift == [0, 1]


STRANGER = """
SET SESSION AUTHORIZATION shop_stranger;
{}
RESET SESSION AUTHORIZATION;
"""


GIVEN_AWAY = """
CREATE TABLE goose_db_version (id int);
RESET SESSION AUTHORIZATION;
ALTER TABLE goose_db_version OWNER TO shop_owner;
CREATE TRIGGER t BEFORE INSERT ON goose_db_version EXECUTE FUNCTION f()
"""


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (
            "CREATE VIEW goose_db_version AS SELECT 1",
            "it is a view owned by shop_stranger",
        ),
        (
            "CREATE TABLE goose_db_version (id int)",
            "it is a table owned by shop_stranger",
        ),
        (
            GIVEN_AWAY,
            "its trigger t runs code owned by shop_stranger",
        ),
    ],
    ids=["view", "table", "trigger"],
)
def test_a_table_that_cannot_be_trusted_is_not_used(
    roles: Roles, made: str, reason: str
) -> None:
    """The run ends with 11, and names the table, the owner and the reason."""
    roles.execute(blocks()[0])
    roles.execute(login("shop_stranger"))
    roles.execute("GRANT CREATE ON SCHEMA public TO shop_stranger")
    function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
    roles.execute(STRANGER.format(f"{function}; {made};"))

    result = roles.run("shop_owner", "up")

    assert result.exit_code == 11
    assert roles.plain(result.verdict["error"]).startswith(
        f"public.goose_db_version is not used: {reason}"
    )


def test_a_history_that_cannot_be_trusted_is_left_out(roles: Roles) -> None:
    """The run goes on without it, and warns."""
    roles.execute(blocks()[0])
    roles.execute(login("shop_stranger"))
    roles.execute("GRANT CREATE ON SCHEMA public TO shop_stranger")
    roles.execute(STRANGER.format("CREATE TABLE migrator_history (id int);"))

    result = roles.run("shop_owner", "up")

    (warning,) = result.events("setting.ignored")
    assert (result.exit_code, warning["variable"]) == (0, "MIGRATOR_HISTORY")
    assert "owned by shop_stranger" in roles.plain(warning["reason"])


def test_row_security_that_hides_rows_is_refused(roles: Roles) -> None:
    """A reader would see fewer versions than there are."""
    owner, reader, _ = blocks()
    roles.execute(owner)
    roles.execute(reader)
    roles.run("shop_owner", "up")
    roles.execute("ALTER TABLE goose_db_version ENABLE ROW LEVEL SECURITY")

    assert roles.run("shop_app", "version").exit_code == 15


def test_a_role_to_become(roles: Roles) -> None:
    """With `MIGRATOR_ROLE` many people migrate as one owner, without its privileges."""
    owner, *_ = blocks()
    roles.execute(owner)
    roles.execute(login("shop_deploy"))
    roles.execute("ALTER ROLE shop_deploy NOINHERIT; GRANT shop_owner TO shop_deploy")

    without = roles.run("shop_deploy", "up")
    through = roles.run("shop_deploy", "up", MIGRATOR_ROLE="shop_owner")
    row = roles.conn.execute("SELECT DISTINCT done_by FROM migrator_history").fetchone()

    assert (without.exit_code, through.exit_code) == (15, 0)
    assert roles.owner("goose_db_version") == roles.owner("a") == "shop_owner"
    assert row is not None
    assert str(row[0]).startswith("shop_deploy")


@pytest.fixture
def granted(roles: Roles) -> Roles:
    """A role that owns none of our tables and has what the page's table says."""
    roles.execute(blocks()[0])
    roles.execute(login("shop_deploy"))
    roles.execute("GRANT USAGE, CREATE ON SCHEMA public TO shop_deploy")
    roles.run("shop_owner", "up-to", "1", MIGRATOR_LOCK="table")
    roles.run("shop_owner", "down")
    for table, privileges in NEEDED.items():
        roles.execute(f"GRANT {', '.join(privileges)} ON {table} TO shop_deploy")
    return roles


def test_the_page_names_the_privileges() -> None:
    """Those that the tests below grant and revoke."""
    (row,) = [
        line
        for line in (ROOT / "k8s/OPERATING.md").read_text().splitlines()
        if line.startswith("| migrates with tables that another role owns |")
    ]

    for table, privileges in NEEDED.items():
        named = ", ".join(f"`{privilege}`" for privilege in privileges)
        assert f"{named} on `{table}`" in row


@pytest.mark.parametrize("lock", ["session", "table"])
def test_the_privileges_of_the_table_are_enough(granted: Roles, lock: str) -> None:
    """On tables that another role owns, for each command that writes."""
    first = granted.run("shop_deploy", "up", MIGRATOR_LOCK=lock)
    results = [
        granted.run("shop_deploy", *command, MIGRATOR_LOCK=lock)
        for command in (["down"], ["redo"], ["up"], ["reset"], ["baseline", "2"])
    ]

    assert [one.exit_code for one in (first, *results)] == [0] * 6
    assert [each for one in results for each in one.events("setting.ignored")] == []


@pytest.mark.parametrize(
    ("table", "privilege"),
    [
        (table, privilege)
        for table, privileges in NEEDED.items()
        for privilege in privileges
        if table != "migrator_history"
    ],
)
def test_each_privilege_of_the_table_is_needed(
    granted: Roles, table: str, privilege: str
) -> None:
    """Without one of them a run ends with 15, and the message names the table."""
    granted.execute(f"REVOKE {privilege} ON {table} FROM shop_deploy")

    results = [
        granted.run("shop_deploy", command, MIGRATOR_LOCK="table")
        for command in ("up", "down")
    ]

    refused = [one for one in results if one.exit_code == 15]
    assert refused
    assert table in refused[0].verdict["error"]


@pytest.mark.parametrize("privilege", NEEDED["migrator_history"])
def test_without_the_history_a_run_succeeds(granted: Roles, privilege: str) -> None:
    """It says so once, and what was applied is in goose's table."""
    granted.execute(f"REVOKE {privilege} ON migrator_history FROM shop_deploy")

    result = granted.run("shop_deploy", "up")

    assert result.exit_code == 0
    assert [one["variable"] for one in result.events("setting.ignored")] == [
        "MIGRATOR_HISTORY"
    ]


def test_create_on_the_schema_is_needed_once(roles: Roles) -> None:
    """A role that may not create our tables ends with 15 before anything is applied."""
    roles.execute(blocks()[0])
    roles.execute(login("shop_deploy"))
    roles.execute("GRANT USAGE ON SCHEMA public TO shop_deploy")

    result = roles.run("shop_deploy", "up")

    assert (result.exit_code, roles.owner("a")) == (15, "")


def test_connect_is_needed(roles: Roles) -> None:
    """Where it was taken from PUBLIC, the run ends with 15 and says what to grant."""
    roles.execute(login("shop_app"))
    roles.execute("REVOKE CONNECT ON DATABASE shop FROM PUBLIC")

    result = roles.run("shop_app", "version")

    assert result.exit_code == 15
    assert "grant CONNECT on the database" in result.verdict["error"]

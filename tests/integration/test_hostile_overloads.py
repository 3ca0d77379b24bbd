"""
Functions and operators of another role never run with the migrator's rights.

An overload whose argument types fit better wins over PostgreSQL's own function, also
where `pg_catalog` is searched first (CVE-2018-1058). What the product sends in a set of
scenarios is read from the server's log; then each function and operator in it is
shadowed under each combination of argument types that was seen, and all runs once more.
"""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.conftest import Tell
from tests.helpers.hostile_overloads import CAUGHT, shadows, shadows_of_names
from tests.helpers.parse_trees import SETTINGS, Call, calls, trees
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.postgres import answers, free_port, initialize, serve, server_folder
from tests.helpers.support import run, until, write


US = "migrating"
# In the files themselves nothing is looked up that somebody could shadow
SLEEP = "SELECT pg_catalog.pg_sleep({}::pg_catalog.float8);"
NO_TRANSACTION = "-- +goose NO TRANSACTION\n-- +goose Up\n"


class Server(NamedTuple):
    """A server whose log tells each analysed query."""

    dsn: str
    log: Path

    def database(self, name: str, user: str = US) -> str:
        """The DSN of one of its databases."""
        return f"{self.dsn} dbname={name} user={user}"


@pytest.fixture(scope="module")
def logging_server() -> Iterator[Server]:
    """A superuser who migrates, and a role that may do nothing but create in public."""
    with server_folder() as folder:
        data, log, port = folder / "data", folder / "log", free_port()
        initialize(data)
        server = Server(f"host=127.0.0.1 port={port}", log)
        with serve(data, port, log, {**SETTINGS, "fsync": "off"}) as process:
            try:
                until(lambda: answers(server.database("postgres", "postgres")))
                with admin(server, "postgres") as conn:
                    conn.execute(f"CREATE ROLE {US} SUPERUSER LOGIN")
                    conn.execute(f"ALTER ROLE {US} SET debug_print_parse = on")
                    conn.execute("CREATE ROLE mallory LOGIN")
                yield server
            finally:
                process.terminate()


@contextmanager
def admin(
    server: Server, database: str, user: str = "postgres"
) -> Iterator[psycopg.Connection]:
    """A session of the test's own."""
    dsn = server.database(database, user)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SET search_path = pg_catalog")
        yield conn


def fresh(server: Server, name: str) -> str:
    """A database in which everybody may create in public."""
    with admin(server, "postgres") as conn:
        conn.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    with admin(server, name) as conn:
        conn.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    return name


class Scenarios:
    """Runs of every kind against one database, and what they came to."""

    def __init__(self, server: Server, database: str, folder: Path) -> None:
        self.server = server
        self.database = database
        self.folder = folder
        self.outcomes: list[tuple[str, int]] = []

    def run(self, title: str, *argv: str, url: str = "", **environ: str) -> None:
        """Run the command, and note its exit code."""
        result = run(
            *argv,
            MIGRATOR_DATABASE_URL=url or self.server.database(self.database),
            MIGRATOR_MIGRATIONS_DIR=str(self.folder),
            MIGRATOR_LOCK_WAIT="3s",
            **environ,
        )
        self.outcomes.append((title, result.exit_code))

    def files(self, **texts: str) -> None:
        """Write the files of one scenario beside those of the others."""
        write(self.folder, {f"{name[1:]}.sql": text for name, text in texts.items()})

    def all(self) -> list[tuple[str, int]]:
        """Run them all."""
        self.commands()
        self.settings()
        self.without_transaction()
        self.contended_locks()
        self.blocked()
        self.lost()
        self.behind_a_pooler()
        return self.outcomes

    def commands(self) -> None:
        down = (
            "-- +goose Up\nCREATE TABLE {0} (x int);\n-- +goose Down\nDROP TABLE {0};"
        )
        self.files(_1_a=down.format("a"), _2_b=down.format("b"))
        for command in ("status", "version", "plan", "up", "status", "version", "plan"):
            self.run(f"{command} in the middle", command)
        for argv in (["down"], ["up"], ["redo"], ["reset"], ["baseline", "1"], ["up"]):
            self.run(" ".join(argv), *argv)
        for command in ("reset", "up"):
            title = f"{command} without versions"
            self.run(title, command, MIGRATOR_NO_VERSIONING="true")
        self.run("wait", "wait", MIGRATOR_WAIT="1s")
        self.run("wait in vain", "wait", "99", MIGRATOR_WAIT="100ms")

    def settings(self) -> None:
        self.files(
            _3_c="CREATE TABLE c ();", _4_d="SET ROLE mallory;\nCREATE TABLE d ();"
        )
        self.run("role", "up-by-one", MIGRATOR_ROLE=US, MIGRATOR_SEARCH_PATH="public")
        self.run("one by one", "up-by-one", MIGRATOR_PIPELINE="false")
        self.run("no history", "up", MIGRATOR_HISTORY="false", MIGRATOR_LOCK="none")

    def without_transaction(self) -> None:
        self.files(
            _10_i=f"{NO_TRANSACTION}CREATE TABLE i (x int);\nCREATE TABLE c ();\n",
            _11_u=f"{NO_TRANSACTION}CREATE TABLE u (x int);\n"
            "INSERT INTO u VALUES (1), (1);\n"
            "CREATE UNIQUE INDEX CONCURRENTLY ux ON u (x);\n",
            _12_v=f"{NO_TRANSACTION}VACUUM a;\nREINDEX INDEX CONCURRENTLY ux;\n"
            "DROP INDEX CONCURRENTLY ux;\n",
            _13_p=f"{NO_TRANSACTION}CREATE TABLE p (x int) PARTITION BY LIST (x);\n"
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);\n"
            "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;\n"
            f"CREATE DATABASE {self.database}_2;\nDROP DATABASE {self.database}_2;\n",
        )
        self.run("half way", "up")
        self.do("DROP TABLE public.c")
        self.run("resume, and a duplicate", "up")
        self.run("an invalid index is kept", "up", MIGRATOR_ON_INVALID_INDEX="fail")
        self.do("TRUNCATE public.u")
        self.run("the rest", "up")

    def contended_locks(self) -> None:
        self.files(_20_l="CREATE TABLE l1 ();", _21_l="CREATE TABLE l2 ();")
        with self.other() as other:
            other.execute("SELECT pg_advisory_lock(4097083626)")
            self.after(0.7, lambda: other.execute("SELECT pg_advisory_unlock_all()"))
            self.run("the session lock is held", "up-by-one")
        with self.other() as other:
            other.execute("SELECT pg_advisory_lock(4097083626)")
            self.after(0.7, lambda: other.execute("SELECT pg_advisory_unlock_all()"))
            self.run("the lease waits for it", "up-by-one", MIGRATOR_LOCK="table")
        self.files(_22_l="CREATE TABLE l3 ();", _23_l="CREATE TABLE l4 ();")
        lease = (
            "UPDATE public.goose_lock SET locked = true, locked_by = 'other',"
            " locked_at = now(), lease_expires_at = now() + '1 s'::interval"
        )
        self.do(lease)
        self.run("the lease is held", "up-by-one", MIGRATOR_LOCK="table")
        self.do(lease)
        self.run("the session lock waits for it", "up-by-one")

    def blocked(self) -> None:
        self.files(_30_x="ALTER TABLE a ADD y int;", _31_s=SLEEP.format("3.5"))
        with self.other() as other:
            other.execute("BEGIN; LOCK TABLE public.a")
            self.after(1.6, lambda: other.execute("ROLLBACK"))
            self.run("blocked and retried", "up-by-one", MIGRATOR_LOCK_TIMEOUT="1s")
        self.run("long", "up-by-one", MIGRATOR_LOCK="none")

    def lost(self) -> None:
        self.files(_40_s=SLEEP.format("1.0"))
        with self.other() as other:
            query = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <>"
                " pg_backend_pid() AND usename = %s AND query LIKE %s"
            )

            def end() -> None:
                until(lambda: other.execute(query, [US, "%pg_sleep%"]).rowcount)

            self.after(0.0, end)
            self.run("a lost session", "up", MIGRATOR_PIPELINE="false")

    def behind_a_pooler(self) -> None:
        self.files(_50_b="CREATE TABLE behind ();")
        with pgbouncer(self.server.database(self.database)) as url:
            for command in ("status", "up", "down-to"):
                argv = (command, "49") if command == "down-to" else (command,)
                self.run(f"{command} behind a pooler", *argv, url=url)

    @contextmanager
    def other(self) -> Iterator[psycopg.Connection]:
        """A session that stands in the way."""
        with admin(self.server, self.database) as conn:
            yield conn
            for thread in self.threads:
                thread.join()
            self.threads.clear()

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Do something from a thread."""
        timer = threading.Timer(seconds, action)
        timer.start()
        self.threads.append(timer)

    def do(self, query: str) -> None:
        """Change something in between."""
        with admin(self.server, self.database) as conn:
            conn.execute(query)

    threads: list[threading.Timer] = []  # noqa: RUF012 - those of the current one


def seen(server: Server, database: str) -> tuple[set[Call], set[int]]:
    """The calls of all that was sent, and of defaults; and the relations in it."""
    texts = list(trees(server.log, US))
    with admin(server, database) as conn:
        rows = conn.execute(
            "SELECT adbin::text FROM pg_attrdef JOIN pg_class ON pg_class.oid = adrelid"
            " WHERE relname IN ('goose_db_version', 'migrator_history', 'goose_lock')"
        )
        texts += [row[0] for row in rows]
    found = {call for text in texts for call in calls(text)}
    relations = {int(n) for text in texts for n in re.findall(r":relid (\d+)", text)}
    return found, relations


def caught(server: Server, since: int) -> list[str]:
    """What objects of mallory's have logged as somebody else."""
    with server.log.open("rb") as log:
        log.seek(since)
        lines = log.read().decode(errors="replace").splitlines()
    return sorted({line for line in lines if CAUGHT in line and f"[{US}] LOG:" in line})


def test_no_function_or_operator_of_another_role_is_called(
    logging_server: Server, tmp_path: Path, tell: Tell
) -> None:
    """The same runs end alike where everything is shadowed, and nothing was caught."""
    server = logging_server
    first = fresh(server, "first")
    expected = Scenarios(server, first, tmp_path / "first").all()
    found, relations = seen(server, first)
    with admin(server, first) as conn:
        conn.execute(f"ALTER ROLE {US} RESET debug_print_parse")
        made = shadows(conn, found)
        names = shadows_of_names(conn, relations)
    since = server.log.stat().st_size

    behind, before = fresh(server, "behind"), fresh(server, "before")
    for database, objects in ((behind, made), (before, [*names, *made])):
        with admin(server, database, "mallory") as conn:
            for each in objects:
                conn.execute(each)
    with admin(server, before) as conn:
        conn.execute(f"ALTER DATABASE {before} SET search_path = public, pg_catalog")
    outcomes = [
        Scenarios(server, each, tmp_path / each).all() for each in (behind, before)
    ]

    functions = {call.oid for call in found if not call.operator}
    operators = {call.oid for call in found if call.operator}
    tell(
        f"shadowed: {len(functions)} functions and {len(operators)} operators, in"
        f" {len(made)} combinations of argument types, and {len(names)} names",
    )
    assert caught(server, since) == []
    assert outcomes == [expected, expected]
    assert len(functions) > 40
    assert len(operators) > 20


def test_a_shadow_is_caught_where_a_query_is_not_guarded(
    logging_server: Server, tmp_path: Path
) -> None:
    """The record works: an ordinary query runs into it."""
    server = logging_server
    database = fresh(server, "unguarded")
    query = "SELECT concat_ws(' ', 1, 'x'::name), array_length(ARRAY['a'], 1)"
    with psycopg.connect(server.database(database), autocommit=True) as conn:
        conn.execute("SET debug_print_parse = on")
        conn.execute(query)
    with admin(server, database) as conn:
        made = shadows(conn, seen(server, database)[0])
    with admin(server, database, "mallory") as conn:
        for each in made:
            conn.execute(each)
    since = server.log.stat().st_size

    with psycopg.connect(server.database(database), autocommit=True) as conn:
        conn.execute(query)

    names = {line.split(CAUGHT)[1] for line in caught(server, since)}
    assert names == {"concat_ws", "array_length"}

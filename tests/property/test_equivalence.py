"""In one stream or one by one: generated migrations end the same, failures included."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from migrator.domain.backoff import Backoff
from migrator.domain.model import Direction, Down, Files, Goal, Split, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import MigratorError
from migrator.events.base import Event
from migrator.exit_codes import exit_code
from migrator.pg.connection.connect import Session
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from migrator.source.load import load
from tests.conftest import with_database
from tests.helpers.support import Recorder, write


SEEDS = 60
_TIMES = {"duration_s", "waited_s", "next_attempt_s", "not_pipelined", "backend_pid"}
GOOD = (
    "INSERT INTO log VALUES ({n}, 'plain');",
    "INSERT INTO log VALUES ({n}, E'it\\'s'); -- a comment",
    "CREATE TABLE t{n} (id int PRIMARY KEY, x text DEFAULT 'a;b');",
    "CREATE TABLE t{n} (id int); INSERT INTO t{n} VALUES (1);",
    "DROP TABLE IF EXISTS nothing_{n};",
    "SELECT set_config('search_path', 'pg_catalog', false);",
    "SET lock_timeout = '{n}s';",
    "SET LOCAL statement_timeout = '1{n}s';",
    "SET ROLE pg_monitor; RESET ROLE;",
    "SET ROLE pg_monitor;",
    "SET LOCAL ROLE pg_monitor;",
    "SET SESSION AUTHORIZATION pg_monitor;",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
    "SET SESSION CHARACTERISTICS AS TRANSACTION DEFERRABLE;",
    "SET default_transaction_read_only = on;",
    "SELECT set_config('default_transaction_isolation', 'repeatable read', false);",
    "SET TIME ZONE 'Asia/Tokyo';",
    "SET client_encoding = 'LATIN1';",
    "SET session_replication_role = replica;",
    "SET row_security = off;",
    "SET standard_conforming_strings = off;",
    "SET search_path = pg_temp, public, pg_catalog;",
    "CREATE TEMPORARY TABLE goose_db_version ();",
    "INSERT INTO public.log SELECT {n}, current_setting('transaction_isolation');",
    "INSERT INTO public.log SELECT {n}, current_setting('transaction_read_only');",
    "INSERT INTO public.log SELECT {n}, current_user || session_user;",
    "INSERT INTO public.log SELECT {n}, current_setting('TimeZone');",
    "INSERT INTO public.log SELECT {n}, current_setting('client_encoding');",
    "INSERT INTO public.log SELECT {n}, current_setting('lock_timeout');",
    "INSERT INTO public.log SELECT {n}, current_setting('search_path');",
    "SAVEPOINT s{n};\nINSERT INTO public.log VALUES ({n}, 'gone');\nROLLBACK TO s{n};",
    "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE;",
    "SELECT generate_series(1, {n}0);",
    "PREPARE p{n} AS SELECT $1::int;\nEXECUTE p{n}(1);\nDEALLOCATE ALL;",
    "COPY public.log FROM stdin;\n{n}\trow\n\\.",
    "INSERT INTO public.log VALUES ({n}, 'row');\n" * 70,
    (
        "-- +goose StatementBegin\nDO $$ BEGIN RAISE NOTICE 'seen {n}'; END $$;\n"
        "-- +goose StatementEnd"
    ),
    (
        "-- +goose StatementBegin\nCREATE FUNCTION f{n}(int) RETURNS int LANGUAGE sql AS\n"
        "$f$ SELECT $1; $f$;\n-- +goose StatementEnd"
    ),
    "CREATE TABLE d{n} (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);",
    "INSERT INTO goose_db_version (version_id, is_applied) VALUES (900{n}, true);",
)
BAD = (
    "SELEC {n};",
    "SELECT 1 / 0;",
    "INSERT INTO nowhere VALUES ({n});",
    "INSERT INTO log VALUES ({n});\nINSERT INTO log VALUES ('x', 'y', 'z');",
    "CREATE INDEX CONCURRENTLY i{n} ON log (n);",
    "SELECT $1;",
    (
        "CREATE TABLE twice{n} (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO twice{n} VALUES (1), (1);"
    ),
    "LOCK TABLE held IN ACCESS EXCLUSIVE MODE;",
    "COPY log FROM stdin;\nnot a number\tx\n\\.",
    "INSERT INTO log VALUES ({n}, 'before');\nSELECT\n  nonsense;",
    "-- +goose StatementBegin\nSELECT 1; SELECT 1 / 0;\n-- +goose StatementEnd",
    "SELECT pg_cancel_backend(pg_backend_pid());",
    "SELECT pg_sleep(60);",
    "INSERT INTO goose_db_version (version_id, is_applied) VALUES ({n}, true);",
)


def contents(dice: random.Random) -> dict[str, str]:
    """Some migrations; in two of three sets one statement somewhere fails."""
    count = dice.randint(1, 7)
    broken = dice.randint(1, count) if dice.random() < 2 / 3 else 0
    return {
        f"{n:05d}_m.sql": _file(dice, n, broken=n == broken)
        for n in range(1, count + 1)
    }


def _file(dice: random.Random, n: int, *, broken: bool) -> str:
    body = [dice.choice(GOOD) for _ in range(dice.randint(0, 5))]
    if broken:
        body.insert(dice.randint(0, len(body)), dice.choice(BAD))
    # `{m}` tells apart what stands in a file twice
    text = "\n".join(s.replace("{n}", f"{n}{i}") for i, s in enumerate(body))
    loose = "-- +goose NO TRANSACTION\n" if dice.random() < 0.1 else ""
    return f"{loose}-- +goose Up\n{text}\n-- +goose Down\nDROP TABLE IF EXISTS t{n}0;\n"


Outcome = tuple[list[dict[str, Any]], str, int, list[tuple[Any, ...]]]


@contextmanager
def fresh(server: str, template: str, name: str) -> Iterator[str]:
    """A database of the same name for both ways, so that every text is the same."""
    with psycopg.connect(server, autocommit=True) as admin:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        yield with_database(server, name)
        gone = sql.SQL("DROP DATABASE {} WITH (FORCE)")
        admin.execute(gone.format(sql.Identifier(name)))


def outcome(dsn: str, files: Files, *, pipeline: bool) -> Outcome:
    """What up, and a step down after it, come to: events, errors, the database."""
    recorder = Recorder()
    runner = Runner(
        database=Database(
            dsn=parse_dsn(dsn),
            session=Session(lock_timeout_s=0.05, statement_timeout_s=1),
        ),
        policy=Policy(pipeline=pipeline, retry_backoff=Backoff(total_s=0)),
        observe=recorder,
    )
    with psycopg.connect(dsn, autocommit=True) as conn, psycopg.connect(dsn) as other:
        conn.execute("CREATE TABLE log (n int, said text); CREATE TABLE held ()")
        conn.execute("GRANT ALL ON log TO PUBLIC")
        other.execute("LOCK TABLE held IN ACCESS SHARE MODE")
        errors = [_error(runner, files, goal) for goal in (Up(), Down())]
        rows = [tuple(row) for query in _STATE for row in conn.execute(query)]
    messages = "; ".join(f"{type(e).__name__}: {e}" for e in errors if e)
    code = int(exit_code(next(filter(None, errors), None)))
    return [_plain(event) for event in recorder.events], messages, code, rows


def _error(runner: Runner, files: Files, goal: Goal) -> MigratorError | None:
    try:
        runner.run(files, goal)
    except MigratorError as error:
        return error
    return None


def _plain(event: Event) -> dict[str, Any]:
    fields = {k: v for k, v in vars(event).items() if k not in _TIMES}
    return {"event": event.name, **fields}


_STATE = (
    "SELECT version_id, is_applied FROM goose_db_version ORDER BY id",
    "SELECT version_id, action, path, checksum FROM migrator_history ORDER BY id",
    "SELECT n, said FROM log ORDER BY n, said",
    (
        "SELECT relname, relkind FROM pg_class WHERE relnamespace ="
        " 'public'::regnamespace ORDER BY 1, 2"
    ),
    "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1",
)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_both_ways_have_the_same_result(
    server: str, templates: dict[str, str], tmp_path: Path, seed: int
) -> None:
    """Schema, rows, events, error text and exit code, wherever a failure is planted."""
    dice = random.Random(seed)
    made = load(write(tmp_path / "m", contents(dice)), split=Split.GOOSE, environ={})
    files = _runnable(made)

    found = []
    for pipeline in (True, False):
        with fresh(server, templates["UTF8"], f"equal_{seed}") as dsn:
            found.append(outcome(dsn, files, pipeline=pipeline))

    assert found[0] == found[1]


def _runnable(files: Files) -> Files:
    """The files without what the parser has to say of them: here they are to run."""
    return Files(
        tuple(
            m._replace(
                up=m.section(Direction.UP)._replace(faults=()),
                down=m.section(Direction.DOWN)._replace(faults=()),
            )
            for m in files.migrations
        )
    )

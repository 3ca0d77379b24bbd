"""What a statement of a NO TRANSACTION file is by nature."""

import pytest

from migrator.sql.classify import Applied, Effect, StatementClass, classify


BLOCK, SESSION, CONTROL = (
    StatementClass(Effect.BLOCK),
    StatementClass(Effect.SESSION),
    StatementClass(Effect.CONTROL),
)
AGAIN, OPAQUE = StatementClass(Effect.AGAIN), StatementClass(Effect.OPAQUE)
MADE = StatementClass(Effect.TRACED, "create view", "v")
CAGG = (
    "CREATE MATERIALIZED VIEW v (day, n) WITH (timescaledb.continuous,"
    " timescaledb.materialized_only = true) AS\nSELECT time_bucket('1 day', t) AS d,"
    " count(*) AS a1, sum(a2) AS a2, sum(a3) AS a3, sum(a4) AS a4, sum(a5) AS a5,"
    " sum(a6) AS a6, sum(a7) AS a7, sum(a8) AS a8 FROM h GROUP BY 1"
)


@pytest.mark.parametrize(
    ("text", "act"),
    [
        ("INSERT INTO a VALUES (1);", BLOCK),
        ("COPY a FROM stdin;", BLOCK),
        ("ALTER TYPE t ADD VALUE 'x';", BLOCK),
        ("CREATE INDEX i ON a (x);", BLOCK),
        ("REINDEX TABLE a;", BLOCK),
        ("DO $$ BEGIN RAISE NOTICE 'x'; END $$;", BLOCK),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1; COMMIT';", BLOCK),
        ("INSERT INTO a VALUES (1); UPDATE a SET x = 2;", BLOCK),
        ("", BLOCK),
        ("-- nothing\n;", BLOCK),
        ("SET search_path = x;", SESSION),
        ("/* c */ set session statement_timeout = 0;", SESSION),
        ("RESET ALL;", SESSION),
        ("DISCARD ALL;", SESSION),
        ("SELECT pg_catalog.set_config('search_path', '', false);", SESSION),
        ("SELECT set_config('a.b', '', false);", SESSION),
        ("BEGIN;", CONTROL),
        ("START TRANSACTION ISOLATION LEVEL SERIALIZABLE;", CONTROL),
        ("COMMIT;", CONTROL),
        ("ROLLBACK TO x;", CONTROL),
        ("SET LOCAL lock_timeout = '1s';", CONTROL),
        ("SET TRANSACTION READ ONLY;", CONTROL),
        ("SET CONSTRAINTS ALL DEFERRED;", CONTROL),
        ("SET CONSTRAINT_exclusion = on;", SESSION),
        ("SAVEPOINT s;", CONTROL),
        ("RELEASE SAVEPOINT s;", CONTROL),
        ("FETCH ALL FROM c;", CONTROL),
        ("MOVE NEXT IN c;", CONTROL),
        ("CLOSE c;", CONTROL),
        ("END;", CONTROL),
        ("ABORT;", CONTROL),
        ("LISTEN c;", SESSION),
        ("UNLISTEN *;", SESSION),
        ("NOTIFY c;", BLOCK),
        ("LOAD 'x';", SESSION),
        ("SHOW work_mem;", SESSION),
        ("ROLLBACK PREPARED 'x';", OPAQUE),
        ("LOCK TABLE a;", CONTROL),
        ("DECLARE c CURSOR FOR SELECT 1;", CONTROL),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1;", BLOCK._replace(keeps=True)),
        ("CREATE TEMP TABLE t (x int);", BLOCK._replace(keeps=True)),
        ("CREATE GLOBAL TEMPORARY TABLE t (x int);", BLOCK._replace(keeps=True)),
        ("PREPARE p AS SELECT 1;", SESSION),
        ("PREPARE transaction AS SELECT 1;", SESSION),
        ("PREPARE TRANSACTION 'x';", OPAQUE),
        ("DEALLOCATE ALL;", SESSION),
        ("SET x.y = 1; INSERT INTO a VALUES (1);", BLOCK._replace(keeps=True)),
        ("VACUUM (ANALYZE) a;", AGAIN),
        ("ALTER SYSTEM SET work_mem = '1MB';", AGAIN),
        ("REINDEX DATABASE d;", AGAIN),
        ("ALTER DATABASE d SET TABLESPACE t;", AGAIN),
        ("CALL p();", OPAQUE),
        ("CALL refresh_continuous_aggregate('v', NULL, NULL);", AGAIN),
        ("call Public . Refresh_Continuous_Aggregate ('v', NULL, NULL)", AGAIN),
        ('CALL "ts"."refresh_continuous_aggregate"(\'v\', NULL, NULL);', AGAIN),
        ("CALL run_job(1000);", OPAQUE),
        ("CALL convert_to_columnstore('c');", OPAQUE),
        (f"{CAGG};", MADE),
        (f"{CAGG} WITH DATA;", MADE),
        (f"{CAGG} WITH NO DATA;", BLOCK),
        (f"{CAGG.replace('timescaledb', 'tsdb')} with /* c */ no data", BLOCK),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1 AS continuous;", BLOCK),
        ("SELECT reorder_chunk('c', 'i');", OPAQUE),
        (
            "CREATE INDEX ON h (t) WITH (timescaledb.transaction_per_chunk);",
            OPAQUE,
        ),
        ("DO $$ BEGIN COMMIT; END $$;", OPAQUE),
        ("DO LANGUAGE plpgsql 'BEGIN CALL p(); END';", OPAQUE),
        ("COMMIT PREPARED 'x';", OPAQUE),
        ("BEGIN; INSERT INTO a VALUES (1); COMMIT;", OPAQUE),
        ("DROP INDEX CONCURRENTLY i, j;", OPAQUE),
        (
            "CREATE INDEX CONCURRENTLY i ON a (x);",
            StatementClass(Effect.TRACED, "create index", "i", "a"),
        ),
        (
            'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "My Index"\n  ON ONLY "S p".a(x);',
            StatementClass(Effect.TRACED, "create index", '"My Index"', '"S p".a'),
        ),
        (
            "CREATE INDEX CONCURRENTLY ON s.a(x);",
            StatementClass(Effect.TRACED, "create index", "", "s.a"),
        ),
        (
            "DROP INDEX CONCURRENTLY IF EXISTS s.i CASCADE;",
            StatementClass(Effect.TRACED, "drop index", "s.i"),
        ),
        (
            "ALTER TABLE IF EXISTS ONLY s.p DETACH PARTITION s.c CONCURRENTLY;",
            StatementClass(Effect.TRACED, "detach partition", "s.c", "s.p"),
        ),
        (
            "REINDEX (VERBOSE) INDEX CONCURRENTLY s.i;",
            StatementClass(Effect.TRACED, "reindex", "s.i"),
        ),
        (
            "CREATE DATABASE d TEMPLATE t;",
            StatementClass(Effect.TRACED, "create database", "d"),
        ),
        (
            'DROP DATABASE IF EXISTS "D" WITH (FORCE);',
            StatementClass(Effect.TRACED, "drop database", '"D"'),
        ),
        (
            "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p;",
            StatementClass(Effect.TRACED, "create subscription", "s"),
        ),
    ],
)
def test_statement_class(text: str, act: StatementClass) -> None:
    """By its words, wherever blanks and comments stand."""
    assert classify(text) == act


@pytest.mark.parametrize(
    ("statements", "through"),
    [
        (["SET a = 1", "PREPARE p AS SELECT 1"], 0),
        (["INSERT INTO a VALUES (1)", "SET a = 1"], 1),
        (["SET a = 1", "VACUUM a"], 2),
        (["BEGIN", "INSERT INTO a VALUES (1)"], 0),
        (["BEGIN", "INSERT INTO a VALUES (1)", "ROLLBACK"], 0),
        (["BEGIN", "INSERT INTO a VALUES (1)", "ROLLBACK TO s", "END"], 4),
        (["BEGIN", "SET a = 1", "/* done */ COMMIT"], 0),
        (["BEGIN", "INSERT INTO a VALUES (1)", "/* done */ COMMIT"], 3),
        (["BEGIN", "COMMIT AND CHAIN", "INSERT INTO a VALUES (1)"], 0),
        (["BEGIN", "ROLLBACK AND CHAIN", "SELECT 1", "COMMIT"], 4),
        (["BEGIN", "CALL p()"], 2),
        (["BEGIN", "SELECT 1", "PREPARE TRANSACTION 'x'"], 3),
        (["COMMIT", "SELECT 1"], 2),
    ],
)
def test_what_is_applied(statements: list[str], through: int) -> None:
    """The number of the last statement whose effect is committed, 0 for none."""
    applied = Applied()

    for text in statements:
        applied.add(text)

    assert applied.last_applied == through

"""What teams do with their migrations, as data."""

from collections.abc import Mapping

from tests.compat.scenario import LEGACY, Call, Scenario, both, call, calls, tables


NOTHING = "nothing to do is no error"
FOUR = tables("a", "b", "c", "d")
_MANY = both(
    "CREATE TABLE m (id serial PRIMARY KEY, v text NOT NULL DEFAULT 'x;y');\n"
    "INSERT INTO m (v) VALUES ('a'); INSERT INTO m (v) VALUES ('b');\n"
    "-- a comment\nINSERT INTO m (v)\n  VALUES ('c -- no comment')\n;\n"
    "CREATE VIEW w AS SELECT v\nFROM m; -- the view\nCOMMENT ON VIEW w IS 'it''s';",
    "DROP VIEW w;\nDROP TABLE m;",
)
_FUNCTION = """-- +goose Up
CREATE TABLE log (at text);
-- +goose StatementBegin
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- a comment; in the body

  INSERT INTO log VALUES (NEW.at || ';');
  RETURN NULL;
END;
$$;
-- +goose StatementEnd
CREATE TABLE seen (at text);
CREATE TRIGGER noting AFTER INSERT ON seen FOR EACH ROW EXECUTE FUNCTION noted();
INSERT INTO seen VALUES ('one');
-- +goose Down
DROP TABLE seen;
-- +goose StatementBegin
DO $$ BEGIN DROP FUNCTION noted(); END $$;
-- +goose StatementEnd
DROP TABLE log;
"""
_PROCEDURES = """-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1;
SELECT 2;';

CREATE FUNCTION two() RETURNS int LANGUAGE sql
BEGIN ATOMIC
  SELECT 2;
END;
-- +goose StatementEnd
"""
_ENVSUB = """-- +goose Up
CREATE TABLE plain (v text DEFAULT '${SCHEMA_OWNER}');
-- +goose ENVSUB ON
CREATE TABLE ${PREFIX}_t (v text DEFAULT '${MISSING:-fallback}');
INSERT INTO ${PREFIX}_t VALUES ('$VALUE'), ('${VALUE:0:3}'), ('\\$VALUE');
-- +goose ENVSUB OFF
INSERT INTO app_t VALUES ('$VALUE');
-- +goose Down
-- +goose ENVSUB ON
DROP TABLE ${PREFIX}_t;
DROP TABLE plain;
"""
_CONCURRENTLY = """-- +goose NO TRANSACTION
-- +goose Up
CREATE INDEX CONCURRENTLY a_id ON a (id);
CREATE UNIQUE INDEX CONCURRENTLY a_unique ON a (id);
-- +goose Down
DROP INDEX CONCURRENTLY a_unique;
DROP INDEX CONCURRENTLY a_id;
"""
_HALF = """-- +goose NO TRANSACTION
-- +goose Up
CREATE TABLE half (id int);
SELECT 1/0;
CREATE TABLE other (id int);
"""
_LATE = {"00001_a.sql": FOUR["00001_a.sql"], "00003_c.sql": FOUR["00003_c.sql"]}

_OWN_TRANSACTION = """-- before
-- +goose Up
-- +goose StatementBegin
BEGIN ISOLATION LEVEL SERIALIZABLE;
CREATE TABLE own (level text DEFAULT current_setting('transaction_isolation'));
INSERT INTO own DEFAULT VALUES;
COMMIT;
-- +goose StatementEnd
-- +goose Down
START TRANSACTION READ WRITE;
DROP TABLE own;
COMMIT AND NO CHAIN;
-- after
"""
_OWN_STATEMENTS = both(
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ WRITE;\n"
    "INSERT INTO own DEFAULT VALUES;\nSAVEPOINT s;\nDROP TABLE own;\n"
    "ROLLBACK TO s;\nEND;",
    "BEGIN WORK; DELETE FROM own WHERE level = 'repeatable read'; COMMIT WORK;",
)
_BLOCK_WITH_COMMIT = """-- +goose StatementBegin
INSERT INTO own DEFAULT VALUES;
{}
COMMIT;
-- +goose StatementEnd"""

SCENARIOS: Mapping[str, Scenario] = {
    "backslashes-in-strings": Scenario(
        files={
            "00001_a.sql": both("CREATE TABLE a AS SELECT 'x\\' AS v;"),
            "00002_b.sql": both(
                "SET LOCAL standard_conforming_strings = off;\nINSERT INTO a VALUES"
                " ('it\\'s; -- x'), ('y\\\\');\nINSERT INTO a VALUES ('z');",
                "DELETE FROM a WHERE v <> 'x\\';",
            ),
        },
        calls=calls("up-to 1", "up", "redo"),
    ),
    "copy-to-the-client": Scenario(
        files={
            "00001_a.sql": both("CREATE TABLE a AS SELECT 1 AS i;\nCOPY a TO STDOUT;"),
            "00002_b.sql": both(
                "-- +goose StatementBegin\nCOPY a TO STDOUT; INSERT INTO a VALUES (2);"
                "\n-- +goose StatementEnd\nCOPY a TO STDIN (FORMAT binary);",
                "COPY (DELETE FROM a WHERE i = 2 RETURNING i) TO STDOUT;",
            ),
        },
        calls=calls("up-to 1", "up", "redo"),
    ),
    "own-transaction": Scenario(
        files={
            **tables("a"),
            "00002_o.sql": _OWN_TRANSACTION,
            "00003_s.sql": _OWN_STATEMENTS,
            "00004_e.sql": both(
                _BLOCK_WITH_COMMIT.format("CREATE TABLE e ();"),
                _BLOCK_WITH_COMMIT.format("DROP TABLE e;"),
            ),
            "00005_d.sql": both("CREATE TABLE d ();"),
        },
        calls=calls("up-to 2", "up", "redo", "down-to 1", "up"),
    ),
    "plain": Scenario(files=FOUR, calls=calls("up-to 1", "up", "up", "version")),
    "many-statements": Scenario(
        files={**tables("a"), "00002_m.sql": _MANY},
        calls=calls("up-by-one", "up", "redo", "down"),
    ),
    "trigger": Scenario(
        files={**tables("a"), "00002_f.sql": _FUNCTION, "00003_p.sql": _PROCEDURES},
        calls=calls("up-to 1", "up", "down", "redo", "up"),
    ),
    "envsub": Scenario(
        files={**tables("a"), "00002_e.sql": _ENVSUB},
        calls=calls("up-to 1", "up", "down", "up"),
        environ={"PREFIX": "app", "VALUE": "it;is"},
    ),
    "envsub-required": Scenario(
        files={
            **tables("a"),
            "00002_e.sql": both("-- +goose ENVSUB ON\nSELECT '${GONE?it is};';"),
        },
        calls=calls("up-to 1", "up", "up"),
    ),
    "no-transaction": Scenario(
        files={**tables("a"), "00002_i.sql": _CONCURRENTLY},
        calls=calls("up-to 1", "up", "redo", "down", "up"),
    ),
    "no-transaction-fails": Scenario(
        files={**tables("a"), "00002_h.sql": _HALF},
        calls=calls("up-to 1", "up", "up", "down"),
    ),
    "empty-up": Scenario(
        files={**tables("a"), "00002_e.sql": both("-- nothing", "SELECT 1;")},
        calls=calls("up-to 1", "up", "down", "redo", "up"),
    ),
    "no-down": Scenario(
        files={
            "00001_a.sql": both("CREATE TABLE IF NOT EXISTS a ();"),
            "00002_b.sql": both("CREATE TABLE IF NOT EXISTS b ();"),
        },
        calls=calls("up", "down", "redo", "up", "reset"),
    ),
    "crlf": Scenario(
        files={
            name: content.replace("\n", "\r\n")
            for name, content in {**tables("a"), "00002_f.sql": _FUNCTION}.items()
        },
        calls=calls("up-to 1", "up", "down", "up"),
    ),
    "late-file-refused": Scenario(
        files=_LATE,
        calls=(
            call("up"),
            call("up", v2="CREATE TABLE b ();"),
            call("up-by-one"),
            call("up-to 3"),
            call("down"),
        ),
    ),
    "late-file-above-the-target": Scenario(
        files=_LATE,
        calls=(
            call("up"),
            call("up-to 1", v2="CREATE TABLE b ();"),
            call("up-to 1 -allow-missing"),
            call("up-to 2 -allow-missing"),
        ),
    ),
    "late-files-allowed": Scenario(
        files=_LATE,
        calls=(
            call("up"),
            call("-allow-missing up-by-one", v2="CREATE TABLE b ();", v4="SELECT 1;"),
            call("up --allow-missing", v5="CREATE TABLE e ();"),
            *calls("down", "-allow-missing down", "redo", "-allow-missing=true up"),
        ),
    ),
    "late-file-taken-back-first": Scenario(
        files=_LATE,
        calls=(
            call("up"),
            call("up -allow-missing", v2="CREATE TABLE b ();"),
            call("down"),
            call("down-to 1"),
            call("up"),
        ),
    ),
    "one-by-one": Scenario(
        files=FOUR,
        calls=(
            *calls("up-by-one", "up-by-one", "up-by-one", "up-by-one"),
            call("up-by-one", lenient=NOTHING),
        ),
    ),
    "up-and-down": Scenario(
        files=FOUR,
        calls=calls("up-to 3", "down", "up", "down-to 2", "up-by-one", "redo", "down"),
    ),
    "down-to-a-gap": Scenario(
        files={name: FOUR[name] for name in ("00001_a.sql", "00004_d.sql")},
        calls=calls("up", "down-to 2", "up-to 3", "up-to 9", "down-to 4", "down-to 0"),
    ),
    "to-nothing-and-back": Scenario(
        files=FOUR,
        calls=(
            *calls("up", "reset", "up", "down-to 0"),
            call("down", lenient=NOTHING),
            call("redo", lenient=NOTHING),
            *calls("reset", "up"),
        ),
    ),
    "reset-in-version-order": Scenario(
        files=_LATE,
        calls=(
            call("up"),
            Call(
                ("up", "-allow-missing"),
                {"00002_b.sql": both("CREATE VIEW b AS TABLE a;", "DROP VIEW b;")},
            ),
            call("reset"),
            call("up"),
        ),
    ),
    "applied-without-a-file": Scenario(
        files=tables("a"),
        before=LEGACY + "INSERT INTO goose_db_version VALUES (9, 9, true, now());",
        calls=calls("up", "down", "redo", "reset", "version"),
    ),
    "failing-file": Scenario(
        files={
            **tables("a"),
            "00002_x.sql": both("CREATE TABLE x ();\nSELECT 1/0;"),
            "00003_c.sql": FOUR["00003_c.sql"],
        },
        calls=calls("up", "up", "up-by-one", "down", "up"),
    ),
    "failing-down": Scenario(
        files={
            **tables("a"),
            "00002_x.sql": both("CREATE TABLE x ();", "DROP TABLE x;\nSELECT 1/0;"),
        },
        calls=calls("up", "down", "redo", "reset", "up"),
    ),
    "failing-at-commit": Scenario(
        files={
            "00001_p.sql": both(
                "CREATE TABLE p (id int PRIMARY KEY);\n"
                "CREATE TABLE q (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED);"
            ),
            "00002_q.sql": both("INSERT INTO q VALUES (1);"),
        },
        calls=calls("up", "up"),
    ),
    "numbers-and-time-stamps": Scenario(
        files={
            "20240102030405_t.sql": both("CREATE TABLE t ();", "DROP TABLE t;"),
            "9_i.sql": both("CREATE TABLE i ();", "DROP TABLE i;"),
            "010_j.sql": both("CREATE TABLE j ();", "DROP TABLE j;"),
            "+11_k.sql": both("CREATE TABLE k ();", "DROP TABLE k;"),
        },
        calls=calls("up-to 10", "up", "down", "up", "down-to 9"),
    ),
    "own-table": Scenario(
        files=FOUR, table="versions", calls=calls("up-to 2", "up", "down")
    ),
    "table-in-a-schema": Scenario(
        files=FOUR,
        table="ops.versions",
        before="CREATE SCHEMA ops",
        calls=calls("up-to 2", "up", "down"),
    ),
    "table-in-no-schema": Scenario(
        files=FOUR, table="nowhere.versions", calls=calls("up", "up")
    ),
    "upper-case-table": Scenario(
        files=FOUR, table="Versions", calls=calls("up-to 2", "up", "down")
    ),
    "quoted-table": Scenario(
        files=FOUR, table='"Quoted.Name"', calls=calls("up-to 2", "up", "down")
    ),
    "quoted-schema": Scenario(
        files=FOUR,
        table='"Ops".Versions',
        before='CREATE SCHEMA "Ops"',
        calls=calls("up-to 2", "up", "down"),
    ),
    "search-path": Scenario(
        files=FOUR,
        before="CREATE SCHEMA app",
        options="-csearch_path=app,public",
        calls=calls("up-to 2", "up", "down"),
    ),
    "table-further-down-the-search-path": Scenario(
        files=FOUR,
        before="CREATE SCHEMA app;" + LEGACY,
        options="-csearch_path=app,public",
        calls=calls("up-to 2", "up", "down"),
    ),
    "legacy-table": Scenario(
        files=FOUR, before=LEGACY, calls=calls("up-to 2", "up", "down", "reset", "up")
    ),
    "no-versioning": Scenario(
        files=FOUR,
        calls=calls(
            "-no-versioning up-to 2",
            "down-to 1 -no-versioning",
            "-no-versioning up-to 1",
            "-no-versioning=1 down-to 0",
            "-no-versioning up",
            "--no-versioning down",
            "-no-versioning redo",
            "-no-versioning up-by-one",
            "reset -no-versioning",
        ),
    ),
    "seeding-without-versions": Scenario(
        files={"00001_s.sql": both("CREATE TABLE IF NOT EXISTS s ();\nSELECT 1;")},
        before=LEGACY,
        calls=calls(
            "up -no-versioning", "up", "-no-versioning up-by-one", "-no-versioning redo"
        ),
    ),
}

"""What pg_dump writes is a migration as it is, but for one line on top."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.conftest import with_database
from tests.helpers.postgres import wheel
from tests.helpers.support import run, write


pytestmark = [pytest.mark.usefixtures("both_ways"), pytest.mark.encoding("UTF8")]


SCHEMA = """
CREATE SCHEMA app;
CREATE EXTENSION IF NOT EXISTS plpgsql;
CREATE TYPE app.mood AS ENUM ('sad', 'it''s; ok', 'ha"ppy');
CREATE DOMAIN app.short AS text CHECK (length(VALUE) < 100 AND VALUE <> ';');
CREATE SEQUENCE app.numbers START 7 INCREMENT 3;
SELECT nextval('app.numbers'), nextval('app.numbers');

CREATE TABLE app.people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "na;me" app.short NOT NULL DEFAULT 'x;' || E'\\n--',
    mood app.mood,
    number int DEFAULT nextval('app.numbers') UNIQUE,
    twice int GENERATED ALWAYS AS (number * 2) STORED,
    data jsonb,
    raw bytea,
    CONSTRAINT "odd; name" CHECK (number IS NULL OR number > 0)
);
CREATE TABLE public.orders (
    id serial,
    person bigint REFERENCES app.people ON DELETE CASCADE,
    at date NOT NULL
) PARTITION BY RANGE (at);
CREATE TABLE public.orders_2026 PARTITION OF public.orders
    FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public."empty" ();
CREATE INDEX "people's" ON app.people (lower("na;me")) WHERE mood IS NOT NULL;
COMMENT ON TABLE app.people IS 'it''s
-- +goose Down
people; "all" of them \\ $$';

CREATE FUNCTION app.plus(a int, b int DEFAULT 1) RETURNS int
    LANGUAGE sql IMMUTABLE RETURN a + b;
CREATE FUNCTION app.atomic(a int) RETURNS int LANGUAGE sql
BEGIN ATOMIC
    SELECT CASE WHEN a > 0 THEN 1 ELSE 2 END;
    SELECT app.plus(a) AS "end";
END;
CREATE FUNCTION app.quoted() RETURNS text LANGUAGE plpgsql AS $f$
DECLARE
    x text := $$;
COPY t FROM stdin;
\\restrict abc
COMMIT;
$$;
BEGIN
    -- 'a comment;
    RETURN x || E'\\';';
END;
$f$;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.data := coalesce(NEW.data, '{}');
    RETURN NEW;
END;
$$;
CREATE PROCEDURE app.nothing() LANGUAGE sql AS 'SELECT 1; SELECT 2;';
CREATE TRIGGER touch BEFORE INSERT ON app.people
    FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE VIEW app.happy AS
    SELECT id, "na;me", ';' AS semicolon FROM app.people WHERE mood = 'ha"ppy';
CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) FROM app.people;
CREATE RULE twice AS ON INSERT TO public.orders_2026
    DO ALSO (SELECT 1; NOTIFY orders; SELECT 2);
CREATE AGGREGATE app.total(int) (SFUNC = app.plus, STYPE = int, INITCOND = '0');
CREATE STATISTICS app.both ON mood, number FROM app.people;
ALTER TABLE app.people ENABLE ROW LEVEL SECURITY;
CREATE POLICY "all; of them" ON app.people USING (true);
GRANT SELECT, INSERT ON app.people TO PUBLIC;
GRANT USAGE ON SCHEMA app TO PUBLIC;
REVOKE ALL ON FUNCTION app.atomic(int) FROM PUBLIC;
"""
ROWS = (
    ("plain", "sad", None, None),
    ("", None, '{"a": "b;\\n"}', b""),
    ("tab\there\nline\rreturn\\N \\. \\", 'ha"ppy', '["\\\\"]', b"\x00\\\xff"),
    ("\\.", "sad", None, b"\\."),
    ("-- +goose Down", "it's; ok", "null", None),
    ("-- +goose StatementBegin\n$$ ' /* ;", None, None, None),
    ("äöü 😀 \u2028 \x0b\x0c\x1c", None, '"\\u00e4"', None),
)
OURS = ("goose_db_version", "migrator_history")


def dump(dsn: str) -> str:
    """Run the wheel's pg_dump: the newest, which dumps the older servers too."""
    text = _run([str(wheel() / "pg_dump"), *_excluded(), dsn])
    with psycopg.connect(dsn) as conn:
        if (
            conn.info.server_version < 170000
        ):  # it is for its own server, and newer ones
            text = text.replace("SET transaction_timeout = 0;\n", "")
    return text


def _excluded() -> list[str]:
    return [f"--exclude-table=*.{name}" for name in OURS]


def _run(argv: list[str]) -> str:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(argv, capture_output=True, check=False, env=path)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def _without_key(text: str) -> str:
    return re.sub(r"^\\((?:un)?restrict) \w+$", r"\\\1", text, flags=re.MULTILINE)


@pytest.fixture
def other(
    server: str, templates: dict[str, str], encoding: str, database: str
) -> Iterator[str]:
    """A second empty database, gone with the first."""
    name = sql.Identifier(f"{conninfo_to_dict(database)['dbname']}_other")
    with psycopg.connect(server, autocommit=True) as conn:
        make = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        conn.execute(make.format(name, sql.Identifier(templates[encoding])))
        yield with_database(server, name.as_string().strip('"'))
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def _fill(conn: psycopg.Connection) -> None:
    conn.execute(SCHEMA.encode())
    for row in ROWS:
        conn.execute(
            'INSERT INTO app.people ("na;me", mood, data, raw)'
            " VALUES (%s, %s::app.mood, %s::jsonb, %s)",
            row,
        )
    conn.execute("INSERT INTO orders_2026 (person, at) SELECT id, '2026-02-03' FROM app.people")  # fmt: skip
    conn.execute("REFRESH MATERIALIZED VIEW app.counted")


@pytest.mark.parametrize("split", ["goose", "postgres"])
def test_a_dump_is_a_migration(
    split: str,
    conn: psycopg.Connection,
    database: str,
    other: str,
    tmp_path: Path,
) -> None:
    """A database made from a dump gives the same dump, and the next file runs too."""
    _fill(conn)
    first = dump(database)
    directory = write(
        tmp_path / "m",
        {
            "1_dump.sql": f"-- +goose Up\n{first}",
            "2_next.sql": "-- +goose Up\nINSERT INTO orders (person, at)"
            " SELECT max(id), '2026-03-04' FROM app.people;\n-- +goose Down\n",
        },
    )
    settings = {
        "MIGRATOR_DATABASE_URL": other,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_SPLIT": split,
    }

    assert "COPY app.people" in first
    result = run("up-to", "1", **settings)
    assert (result.exit_code, result.verdict["error"]) == (0, None)
    assert _without_key(dump(other)) == _without_key(first)

    following = run("up", **settings)
    assert (following.exit_code, following.verdict["error"]) == (0, None)
    with psycopg.connect(other) as made:
        versions = made.execute("SELECT version_id FROM goose_db_version ORDER BY id")
        assert [version for (version,) in versions] == [0, 1, 2]
        orders = made.execute("SELECT count(*) FROM orders").fetchone()
        assert orders == (len(ROWS) + 1,)


def test_without_pg_dumps_first_words_goose_rules(
    conn: psycopg.Connection,
    database: str,
    other: str,
    tmp_path: Path,
) -> None:
    """Tables and their rows run under goose's rule; functions need blocks there."""
    conn.execute("CREATE TABLE t (a text); INSERT INTO t VALUES (E';\\t\\n'), (NULL)")
    body = dump(database).replace("-- PostgreSQL database dump\n", "--\n", 1)
    directory = write(tmp_path / "m", {"1_t.sql": f"-- +goose Up\n{body}"})

    result = run(
        "up", MIGRATOR_DATABASE_URL=other, MIGRATOR_MIGRATIONS_DIR=str(directory)
    )
    assert (result.exit_code, result.verdict["error"]) == (0, None)
    with psycopg.connect(other) as made:
        rows = made.execute("SELECT a FROM t ORDER BY a NULLS LAST").fetchall()
    assert rows == [(";\t\n",), (None,)]

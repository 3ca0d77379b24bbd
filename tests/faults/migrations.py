"""Migrations of every kind, whose effects would show if they came twice or not at all."""

from collections.abc import Mapping


def _atomic(up: str) -> str:
    return f"-- +goose Up\n{up}"


def _loose(up: str) -> str:
    return f"-- +goose NO TRANSACTION\n{_atomic(up)}"


_TABLE = """
CREATE TABLE notes (said text);
INSERT INTO notes VALUES ('first');
CREATE INDEX notes_said ON notes (said);
"""
_TWICE = """
INSERT INTO notes VALUES ('{n}, one');
UPDATE notes SET said = said || '!';
INSERT INTO notes SELECT count(*) || ' so far' FROM notes;
CREATE TABLE kept_{n} (n int PRIMARY KEY, said text DEFAULT 'a;b');
"""
_COPY = """
INSERT INTO notes VALUES ('before the rows');
COPY notes FROM stdin;
a row
another row
\\.
UPDATE notes SET said = said || '?';
"""
_BLOCK = """
-- +goose StatementBegin
INSERT INTO notes VALUES ('in a block');
UPDATE notes SET said = said || '#';
CREATE FUNCTION count_notes_{n}() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM notes;';
-- +goose StatementEnd
INSERT INTO notes SELECT count_notes_{n}() || ' notes';
"""
_PYTHON = b"""
def up(conn):
    conn.execute("INSERT INTO notes VALUES ('from Python')")
    rows = conn.execute("SELECT count(*) FROM notes").fetchone()
    conn.execute("INSERT INTO notes VALUES (%s)", [f"{rows[0]} rows"])
"""
_REPEATABLE = b"""
TRANSACTION = False
REPEATABLE = True


def up(conn):
    conn.execute("CREATE TABLE IF NOT EXISTS numbers (n int PRIMARY KEY)")
    conn.execute("INSERT INTO numbers VALUES (1), (2) ON CONFLICT DO NOTHING")
"""
_INDEX = """
CREATE INDEX CONCURRENTLY notes_length ON notes (length(said));
"""

ATOMIC: Mapping[str, str | bytes] = {
    "00001_table.sql": _TABLE,
    "00002_several.sql": _TWICE.replace("{n}", "2"),
    "00003_copy.sql": _COPY,
    "00004_python.py": _PYTHON,
    "00005_block.sql": _atomic(_BLOCK.replace("{n}", "5")),
    "00006_several.sql": _TWICE.replace("{n}", "6"),
}
"""Each has its transaction."""

LOOSE: Mapping[str, str | bytes] = {
    "00001_table.sql": _TABLE,
    "00002_several.sql": _loose(_TWICE.replace("{n}", "2")),
    "00003_index.sql": _loose(_INDEX),
    "00004_copy.sql": _loose(_COPY),
    "00005_block.sql": _loose(_BLOCK.replace("{n}", "5")),
    "00006_several.sql": _TWICE.replace("{n}", "6"),
    "00007_repeatable.py": _REPEATABLE,
}
"""Most have none."""

ALL: Mapping[str, str | bytes] = {
    **LOOSE,
    "00008_python.py": _PYTHON,
    "00009_copy.sql": _COPY,
    "00010_block.sql": _atomic(_BLOCK.replace("{n}", "10")),
}
"""Some have, some have none."""

KINDS: Mapping[str, Mapping[str, str | bytes]] = {"atomic": ATOMIC, "loose": LOOSE}

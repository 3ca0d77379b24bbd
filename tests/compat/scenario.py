"""What one team does with its migrations: files, and the commands in order."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from tests.compat.program import Place


LEGACY = """
CREATE TABLE goose_db_version (
    id serial PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL,
    tstamp timestamp NULL DEFAULT now());
INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true);
CREATE TABLE a (id int);
"""
"""A table as it was made before v3.22.0: 00001_a.sql is applied."""


@dataclass(frozen=True, slots=True)
class Call:
    """One command, after files have been added."""

    argv: tuple[str, ...]
    add: Mapping[str, str] = field(default_factory=dict)
    lenient: str = ""
    """Why we succeed where goose fails; both must leave the same behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One history of one database."""

    files: Mapping[str, str]
    calls: tuple[Call, ...]
    table: str = "goose_db_version"
    options: str = ""
    """What the DSN's `options` are."""

    before: str = ""
    """SQL that runs first."""

    environ: Mapping[str, str] = field(default_factory=dict)


def call(line: str, lenient: str = "", **add: str) -> Call:
    """Return the call of a command line; *add* has versions as `v2`, and Up parts."""
    files = {f"{name[1:]}_late.sql": both(sql) for name, sql in add.items()}
    return Call(tuple(line.split()), files, lenient)


def calls(*lines: str) -> tuple[Call, ...]:
    """Return one call for each line."""
    return tuple(call(line) for line in lines)


def both(up: str, down: str = "") -> str:
    """Return a file with a way up and, when it is given, a way down."""
    back = f"\n-- +goose Down\n{down}\n" if down else ""
    return f"-- +goose Up\n{up}\n{back}"


def tables(*names: str) -> Mapping[str, str]:
    """Return numbered files that make, and drop, a table each."""
    return {
        f"{number:05d}_{name}.sql": both(
            f"CREATE TABLE {name} (id int);", f"DROP TABLE {name};"
        )
        for number, name in enumerate(names, 1)
    }


def prepared(scenario: Scenario, dsn: str, directory: Path) -> Place:
    """Return where *scenario* begins, with its files written and its SQL run."""
    if scenario.before:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(scenario.before.encode())
    written(directory, scenario.files)
    return Place(
        dsn=make_conninfo(dsn, options=scenario.options) if scenario.options else dsn,
        directory=directory,
        table=scenario.table,
        environ=scenario.environ,
    )


def written(directory: Path, files: Mapping[str, str]) -> None:
    """Write *files* as they are, line ends included."""
    for name, content in files.items():
        (directory / name).write_bytes(content.encode())

"""goose's command and ours on one database, and what can be compared afterwards."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.compat.goose import VERSION
from tests.helpers.cache import cached
from tests.helpers.postgres import wheel
from tests.helpers.support import run


PACKAGE = f"github.com/pressly/goose/v3/cmd/goose@{VERSION}"
_TAGS = ("clickhouse", "libsql", "mssql", "mysql", "sqlite3", "vertica", "ydb")
# Debian's PostgreSQL 17.12 keeps a number in each column's options that is another one
# for each table that is made
_ATTVER = re.compile(r"^ALTER .* SET \(pg_attver=\d+\);\n", re.MULTILINE)
_STATUS = re.compile(r"^\S+ \S+     (.{24}) -- (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What one command line is about."""

    dsn: str
    directory: Path
    table: str = "goose_db_version"
    env_file: str = "none"
    environ: Mapping[str, str] = field(default_factory=dict)

    def line(self, *argv: str) -> tuple[str, ...]:
        """Return the whole command line, the same for both programs."""
        known = (
            "-env",
            self.env_file,
            "-dir",
            str(self.directory),
            "-table",
            self.table,
        )
        where = ("postgres", self.dsn) if self.dsn else ()
        return (*known, *where, *argv)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run came to."""

    succeeded: bool
    text: str
    version: int | None = None
    """What `version` says."""

    applied: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    """What `status` says, by file."""


Program = Callable[..., Answer]


def installed() -> Path:
    """Return goose's command, compiled with Go unless it was before."""
    return cached(f"goose-command-{VERSION}", _install) / "goose"


def _install(folder: Path) -> None:
    tags = ",".join(f"no_{name}" for name in _TAGS)
    subprocess.run(
        ["go", "install", "-tags", tags, PACKAGE],
        env={**os.environ, "GOBIN": str(folder)},
        check=True,
        capture_output=True,
    )


def command() -> Program:
    """
    Return goose's command; compiled once, and kept in the user's cache between runs.

    The test is skipped where there is no Go to compile it.
    """
    if shutil.which("go") is None:
        pytest.skip("go is not installed: goose cannot be run")
    try:
        return goose(installed())
    except subprocess.CalledProcessError as error:
        pytest.fail(f"goose was not built: {error.stderr.decode()}")


def goose(program: Path) -> Program:
    """Return goose's command as a function."""

    def call(place: Place, *argv: str) -> Answer:
        done = subprocess.run(
            [program, *place.line(*argv)],
            env={**place.environ, "PATH": os.environ["PATH"], "TZ": "UTC"},
            capture_output=True,
            text=True,
            check=False,
        )
        text = done.stdout + done.stderr
        version = re.search(r"goose: (?:file )?version (\d+)", text)
        listed = _STATUS.findall(text)
        return Answer(
            not done.returncode,
            text,
            int(version[1]) if version else None,
            tuple(name for state, name in listed if state.strip() != "Pending"),
            tuple(name for state, name in listed if state.strip() == "Pending"),
        )

    return call


def ours(place: Place, *argv: str) -> Answer:
    """Run our command in this process."""
    result = run(*place.line(*argv), **place.environ)
    version = next((e["version"] for e in result.events("version.read")), None)
    listed = [line for line in result.events("migration.listed") if line["path"]]
    return Answer(
        not result.exit_code,
        str(result.lines),
        version,
        tuple(e["path"] for e in listed if e["state"] == "applied"),
        tuple(e["path"] for e in listed if e["state"] != "applied"),
    )


Rows = tuple[tuple[int, bool], ...] | None
"""Version and is_applied by id; None when there is no table."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A database, without what is ours alone and without time stamps."""

    rows: Rows
    dump: str
    """Schema, data and sequences, as pg_dump writes them."""


def recorded(place: Place) -> Rows:
    """Return what the tracking table says."""
    with psycopg.connect(place.dsn, autocommit=True) as conn:
        found = conn.execute("SELECT to_regclass(%s)::text", [place.table]).fetchone()
        name = found[0] if found else None
        query = f"SELECT version_id, is_applied FROM {name} ORDER BY id"
        return None if name is None else tuple(conn.execute(query).fetchall())


def snapshot(place: Place) -> Snapshot:
    """Return what is comparable of the database."""
    return Snapshot(recorded(place), _dump(place))


def _dump(place: Place) -> str:
    apart = (
        "--exclude-table=*.migrator_history*",
        f"--exclude-table-data={place.table}",
    )
    parameters = conninfo_to_dict(place.dsn)
    password = {"PGPASSWORD": str(parameters.get("password") or "")}
    done = subprocess.run(
        [
            *(wheel() / "pg_dump", "--inserts", "--restrict-key=x", "--encoding=UTF8"),
            *(*apart, "-d", place.dsn),
        ],
        env={**password, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    return _ATTVER.sub("", done.stdout)

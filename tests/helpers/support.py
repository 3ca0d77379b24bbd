"""What many tests need: migrations made of SQL, and the command run in this process."""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from jsonschema import Draft202012Validator
from psycopg.pq.abc import PGconn

from migrator.cli import main
from migrator.domain.model import Files, Migration, Section, Statement
from migrator.events.base import Event
from migrator.report.schema import schema


@dataclass(frozen=True, slots=True)
class Result:
    """What one run of the command said."""

    exit_code: int
    lines: tuple[dict[str, Any], ...]

    @property
    def verdict(self) -> dict[str, Any]:
        """The last line, which is always the verdict."""
        assert self.lines[-1]["event"] == "run.finished"
        return self.lines[-1]

    def events(self, name: str) -> list[dict[str, Any]]:
        """All lines of one event."""
        return [line for line in self.lines if line["event"] == name]


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The events' names, in order."""
        return [event.name for event in self.events]

    def of(self, name: str) -> list[Any]:
        """All events of one name."""
        return [event for event in self.events if event.name == name]


def run(*argv: str, **environ: str) -> Result:
    """Run the command in this process, as JSON, and check each line by the schema."""
    stdout = io.StringIO()
    exit_code = main(argv, {"MIGRATOR_LOG_FORMAT": "json", **environ}, stdout)
    return parsed(exit_code, stdout.getvalue())


def parsed(exit_code: int, text: str) -> Result:
    """Read log lines and check each of them by the schema."""
    lines = tuple(json.loads(line) for line in text.splitlines())
    for line in lines:
        _validator().validate(line)
    return Result(exit_code, lines)


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


ROOT = Path(__file__).parents[2]


class Query(NamedTuple):
    """A statement for a pipeline."""

    text: bytes
    flush: bool = True
    discards_rows: bool = True

    def send(self, pgconn: PGconn) -> None:
        """Hand it over."""
        pgconn.send_query_params(self.text, None)


def migration(version: int, *statements: str, transaction: bool = True) -> Migration:
    """A migration of the given statements, one a line from line 2."""
    return Migration(
        version=version,
        path=f"{version:05d}_test.sql",
        up=Section(tuple(Statement(s, n) for n, s in enumerate(statements, 2))),
        down=Section(),
        transaction=transaction,
    )


def files(*migrations: Migration) -> Files:
    """A directory of the given migrations."""
    return Files(migrations)


def write(directory: Path, contents: Mapping[str, str | bytes]) -> Path:
    """Write migration files; text gets an Up annotation when it has none."""
    directory.mkdir(exist_ok=True)
    for name, content in contents.items():
        raw = content if isinstance(content, bytes) else _annotated(content).encode()
        (directory / name).write_bytes(raw)
    return directory


def three_tables(database: str, directory: Path) -> dict[str, str]:
    """Write three files that make the tables a, b and c; the settings of a run of them."""
    names = {f"{n}_{c}.sql": f"CREATE TABLE {c} ();" for n, c in enumerate("abc", 1)}
    return {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(write(directory, names)),
    }


def _annotated(content: str) -> str:
    return content if "+goose" in content else f"-- +goose Up\n{content}\n"


def environment(dsn: str, directory: Path, **environ: str) -> dict[str, str]:
    """What a process of ours needs to know."""
    return {
        "PATH": os.environ["PATH"],
        "MIGRATOR_DATABASE_URL": dsn,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_LOG_FORMAT": "json",
        "MIGRATOR_PIPELINE": os.environ.get("MIGRATOR_PIPELINE", "true"),
        **environ,
    }


@contextmanager
def started(
    dsn: str, directory: Path, **environ: str
) -> Iterator[subprocess.Popen[str]]:
    """The real entry point as a process; ended with the block, whatever happens."""
    with subprocess.Popen(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env=environment(dsn, directory, **environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], signum: int | None = None) -> Result:
    """Send the signal, wait, and return what the process said."""
    if signum is not None:
        process.send_signal(signum)
    text, _ = process.communicate(timeout=20)
    return parsed(process.returncode, text)


def heard(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Read the process's lines up to the first of this event, and return that."""
    assert process.stdout is not None
    for text in process.stdout:
        line: dict[str, Any] = json.loads(text)
        if line["event"] == event:
            return line
    pytest.fail(f"it ended without {event}")


def needs_server(conn: psycopg.Connection, major: int) -> None:
    """Skip the test where the server is older than the first version that has it."""
    if conn.info.server_version < major * 10_000:
        pytest.skip(f"server: PostgreSQL {major} has it first")


def until(true: Callable[[], object]) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not happen within 20 s"
        time.sleep(0.02)

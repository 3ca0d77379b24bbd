"""The container engine through its command line: what users type is what is tested."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg


ROOT = Path(__file__).parents[2]
RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")


def call(*command: str, timeout_s: float = 600) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit code."""
    return subprocess.run(
        command,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def docker(*args: str) -> str:
    """Run a docker command that has to succeed; what it prints."""
    done = call("docker", *args)
    assert done.returncode == 0, f"docker {' '.join(args)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@cache
def engine_answers() -> bool:
    """Whether there is an engine to talk to."""
    try:
        return call("docker", "info", timeout_s=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@cache
def compose() -> tuple[str, ...] | None:
    """The compose command of this machine, if it has one."""
    for command in (("docker", "compose"), ("docker-compose",)):
        try:
            if call(*command, "version").returncode == 0:
                return command
        except OSError:
            continue
    return None


@cache
def waits() -> bool:
    """Whether that command knows `up --wait`, as all do since 2.1.1."""
    command = compose()
    return command is not None and "--wait" in call(*command, "up", "--help").stdout


@dataclass(frozen=True)
class Target:
    """An empty database, as containers reach it and as the tests do."""

    url: str
    dsn: str
    network: str

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query returns."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            return conn.execute(query.encode()).fetchall()

    def versions(self) -> list[int]:
        """The versions in the tracking table, in the order they were applied."""
        if self.rows("select to_regclass('goose_db_version')") == [(None,)]:
            return []
        query = (
            "select version_id from goose_db_version where version_id > 0 order by id"
        )
        return [version for (version,) in self.rows(query)]


@dataclass(frozen=True)
class Run:
    """How a container ended and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines of the log."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def finished(run: Run) -> tuple[int, str, int]:
    """The exit code beside what the last line says."""
    last = run.events[-1]
    return run.code, last["event"], last["exit_code"]


def eventually(condition: str, target: Target) -> None:
    """Wait until a query says true."""
    end = time.monotonic() + 30
    while target.rows(condition) != [(True,)]:
        assert time.monotonic() < end, condition
        time.sleep(0.1)


@dataclass(frozen=True)
class Migrator:
    """The image, ready to be run against a target."""

    image: str
    label: str
    target: Target

    def run(
        self,
        migrations: Path | None,
        *args: str,
        options: Sequence[str] = (),
        image: str = "",
        network: str = "",
    ) -> Run:
        """Run a container to its end."""
        given = self._arguments(migrations, args, options, image, network)
        done = call("docker", "run", "--rm", *given)
        return Run(done.returncode, done.stdout, done.stderr)

    def start(self, migrations: Path, *args: str, options: Sequence[str] = ()) -> str:
        """Start a container and leave it running; its id."""
        return docker(
            "run", "--detach", *self._arguments(migrations, args, options, "")
        )

    def _arguments(
        self,
        migrations: Path | None,
        args: Sequence[str],
        options: Sequence[str],
        image: str,
        network: str = "",
    ) -> list[str]:
        mount = [] if migrations is None else [f"--volume={migrations}:/migrations:ro"]
        return [
            f"--label={self.label}",
            f"--network={network or self.target.network}",
            f"--env=MIGRATOR_DATABASE_URL={self.target.url}",
            *mount,
            *options,
            image or self.image,
            *args,
        ]

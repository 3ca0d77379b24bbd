"""Beside a Go service that migrates under goose's own table lock."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from migrator.domain.backoff import Backoff
from migrator.domain.model import Lock, Up
from migrator.engine.run_context import Policy
from migrator.engine.runner import Runner
from migrator.errors import LockWaitTimeoutError
from migrator.events.base import Event
from migrator.pg.connection.database import Database
from migrator.pg.connection.dsn import parse_dsn
from tests.compat.goose import MODULE
from tests.helpers.pgbouncer import pgbouncer
from tests.helpers.support import files, migration


PROGRAM = Path(__file__).parent / "locker" / "main.go"
ONE = files(migration(1, "CREATE TABLE a ()"))


@pytest.fixture(scope="session")
def locker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that holds goose's lock, built inside goose's module."""
    if shutil.which("go") is None:
        pytest.skip("go is not installed: goose cannot lock")
    folder = tmp_path_factory.mktemp("locker")
    found = json.loads(_go("mod", "download", "-json", MODULE, cwd=folder))
    module, program = folder / "goose", folder / "locker"
    shutil.copytree(found["Dir"], module, copy_function=shutil.copyfile)
    for each in [module, *module.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)
    (module / "internal" / "locker").mkdir()
    shutil.copyfile(PROGRAM, module / "internal" / "locker" / "main.go")
    _go("build", "-o", str(program), "./internal/locker", cwd=module)
    return program


def _go(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        ["go", *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def service(program: Path, dsn: str) -> Iterator[subprocess.Popen[str]]:
    """A Go service that wants the lock, and ends when its standard input does."""
    known = conninfo_to_dict(dsn)
    password = f":{known['password']}" if "password" in known else ""
    url = (
        f"postgres://{known['user']}{password}@{known['host']}:{known['port']}"
        f"/{known['dbname']}?sslmode=disable"
    )
    with subprocess.Popen(
        [program, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """What the service says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> None:
    """Ask the service to unlock."""
    assert process.stdin is not None
    process.stdin.close()


def runner(dsn: str, patience_s: float, observe: list[Event]) -> Runner:
    """A runner that takes the lease; what it tells goes into a list."""
    policy = Policy(lock=Lock.TABLE, lock_backoff=Backoff(total_s=patience_s))
    database = Database(dsn=parse_dsn(dsn), backoff=Backoff(total_s=5))
    return Runner(database=database, policy=policy, observe=observe.append)


def test_a_go_service_keeps_us_out(
    locker: Path, database: str, conn: psycopg.Connection
) -> None:
    """While it holds its lock we wait and say who it is; then we go on."""
    with service(locker, database) as process:
        first = line(process)
        with pytest.raises(LockWaitTimeoutError) as caught:
            runner(database, 0.3, []).run(ONE, Up())
        row = conn.execute("SELECT locked_by FROM goose_lock").fetchone()
        let_go(process)
        second = line(process)
        steps = runner(database, 10, []).run(ONE, Up())

    assert (first, second) == ("locked", "unlocked")
    assert row is not None
    assert (caught.value.holder or "").startswith(f"{row[0]}, since ")
    assert len(steps) == 1


@pytest.mark.parametrize("way", [nullcontext, pgbouncer])
def test_we_keep_a_go_service_out(
    locker: Path, database: str, way: Callable[[str], AbstractContextManager[str]]
) -> None:
    """It gets the lock when our run has ended, also when our run uses a pooler."""
    reports: list[Event] = []
    slow = files(migration(1, "SELECT pg_sleep(1)"))

    def begun() -> bool:
        return any(event.name == "migration.started" for event in list(reports))

    with way(database) as dsn:
        ours = runner(dsn, 10, reports)
        thread = threading.Thread(target=ours.run, args=[slow, Up()])
        thread.start()
        while not begun():
            thread.join(0.01)
        with service(locker, database) as process:
            locked = line(process)
            names = [event.name for event in reports]
            let_go(process)
            unlocked = line(process)
        thread.join()

    assert (locked, unlocked) == ("locked", "unlocked")
    assert "migration.applied" in names

"""Somebody takes the connection and says nothing, or nothing any more."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.faults.proxy import Direction, Fault, Plan, proxied
from tests.faults.server import Server
from tests.helpers.support import (
    ROOT,
    Result,
    ended,
    environment,
    parsed,
    run,
    started,
    write,
)


@pytest.fixture
def silent() -> Iterator[str]:
    """The DSN of what looks like a server and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/db"


def test_start_up_unanswered_times_out(silent: str, tmp_path: Path) -> None:
    """MIGRATOR_CONNECT_WAIT bounds it, without a deadline and without a signal."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})

    with started(silent, directory, MIGRATOR_CONNECT_WAIT="2s") as process:
        result = ended(process)

    assert result.exit_code == 20
    assert "timeout" in result.verdict["error"]


def test_commit_unanswered_times_out(
    roomy: Server, both_ways: str, tmp_path: Path
) -> None:
    """The last one reaches the server, SIGTERM comes, and what became of it is open."""
    pipeline = {"MIGRATOR_PIPELINE": str(both_ways == "on").lower()}
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    with roomy.fresh("answered"), proxied(roomy.port) as proxy:
        dsn = roomy.dsn("answered", proxy.port)
        assert run("up", **environment(dsn, directory, **pipeline)).exit_code == 0
    heard = proxy.seen[Direction.TO_CLIENT]
    commit = len(heard) - heard[::-1].index("1/C")

    with roomy.fresh("silent") as conn:
        result, _ = stopped(roomy, directory, commit, pipeline)
        versions = conn.execute("SELECT version_id FROM goose_db_version ORDER BY id")
        applied = [version for (version,) in versions]

    assert (result.exit_code, result.verdict["applied"]) == (143, [])
    assert "did not answer" in result.verdict["error"]
    assert applied == [0, 1]


def test_unanswered_server_prints_nothing_beside_the_log(
    roomy: Server, tmp_path: Path
) -> None:
    """The driver has its own words for a wait that is given up, which are no JSON."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    start_up = 20

    with roomy.fresh("silent"):
        result, said = stopped(roomy, directory, start_up, {})

    assert (result.exit_code, said) == (143, "")


def stopped(
    server: Server, directory: Path, message: int, environ: Mapping[str, str]
) -> tuple[Result, str]:
    """What a real run says, on stderr too, that hears nothing from *message* on."""
    plan = Plan(Fault.STALL, Direction.TO_CLIENT, message)
    with (
        proxied(server.port, plan) as proxy,
        subprocess.Popen(
            [sys.executable, str(ROOT / "entrypoint.py")],
            env=environment(server.dsn("silent", proxy.port), directory, **environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        proxy.moment.wait(20)
        process.send_signal(signal.SIGTERM)
        log, said = process.communicate(timeout=20)
        return parsed(process.returncode, log), said

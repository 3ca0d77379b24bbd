"""A hundred runners at once: each migration is applied by one of them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.conftest import Tell
from tests.faults.many_runners import RunnerGroup, runner_group
from tests.faults.migrations import ALL
from tests.faults.server import Server
from tests.faults.state import State, state_of
from tests.helpers.support import run, write


RUNNERS = 100
ROUNDS = 10


@pytest.fixture(scope="module")
def runners() -> Iterator[RunnerGroup]:
    """A hundred processes."""
    with runner_group(RUNNERS) as found:
        yield found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrations of all kinds."""
    return write(tmp_path_factory.mktemp("crowd") / "m", ALL)


def settings(server: Server, name: str, directory: Path) -> Mapping[str, str]:
    """The settings of each runner."""
    return {
        "MIGRATOR_DATABASE_URL": server.dsn(name),
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_LOG_FORMAT": "json",
        "MIGRATOR_CONNECT_WAIT": "60s",
    }


def wanted(server: Server, directory: Path) -> State:
    """What one runner alone leaves."""
    with server.fresh("alone") as conn:
        assert run("up", **settings(server, "alone", directory)).exit_code == 0
        return state_of(conn)


def test_each_migration_is_applied_once(
    runners: RunnerGroup, roomy: Server, directory: Path, tell: Tell
) -> None:
    """Ten rounds: every runner ends well, and all is there once."""
    alone = wanted(roomy, directory)
    codes: Counter[int] = Counter()

    for number in range(ROUNDS):
        with roomy.fresh(f"crowd_{number}") as conn:
            members = runners.round(settings(roomy, f"crowd_{number}", directory))
            state = state_of(conn)
        codes.update(code for member in members for code in member.codes)

        assert state == alone
        assert {member.codes[-1] for member in members} == {0}
        assert Counter(v for m in members for v in m.applied) == Counter(
            _versions(alone)
        )
    tell(
        f"{RUNNERS} runners at once, {ROUNDS} rounds: exit codes"
        f" {dict(sorted(codes.items()))}"
    )


def test_too_many_for_the_server(
    runners: RunnerGroup, narrow: Server, tmp_path: Path, tell: Tell
) -> None:
    """A server that has no connection left is waited for."""
    long = {"00011_long.sql": "SELECT pg_sleep(3);"}
    directory = write(tmp_path / "m", {**ALL, **long})
    alone = wanted(narrow, directory)

    with narrow.fresh("crowd") as conn:
        members = runners.round(settings(narrow, "crowd", directory))
        state = state_of(conn)

    codes = Counter(code for member in members for code in member.codes)
    turned_away = sum("53300" in member.waited for member in members)
    tell(
        f"{RUNNERS} runners at once, 100 connections: exit codes"
        f" {dict(sorted(codes.items()))}, {turned_away} were turned away by the server"
    )
    assert state == alone
    assert {member.codes[-1] for member in members} == {0}
    assert Counter(v for m in members for v in m.applied) == Counter(_versions(alone))
    assert turned_away > 0


def _versions(state: State) -> list[int]:
    tracked = [row for row in state if len(row) == 2 and row[1] is True]
    return [row[0] for row in tracked if isinstance(row[0], int) and row[0]]

"""A server, processes that try things on it, and what they tell at the end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.faults.crew import Crew, crew
from tests.faults.server import Server, running
from tests.faults.work import KINDS
from tests.support import write


Tell = Callable[[str], None]
_TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make a place for what the tests tell."""
    config.stash[_TOLD] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Show how much was tried, and what came of it."""
    told = config.stash.get(_TOLD, [])
    if told:
        terminalreporter.section("faults")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Tell:
    """A function that has a line shown when all tests are over."""
    return request.config.stash.setdefault(_TOLD, []).append


@pytest.fixture(scope="session")
def roomy() -> Iterator[Server]:
    """A server that takes many connections."""
    with _folder() as folder, running(folder, max_connections="600") as server:
        yield server


@pytest.fixture(scope="session")
def narrow() -> Iterator[Server]:
    """A server that takes as many connections as it does by default, and may crash."""
    with _folder() as folder, running(folder) as server:
        yield server


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that also another user may enter: the server's, where tests are root's."""
    with TemporaryDirectory(prefix="migrator-faults-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def hands() -> Iterator[Crew]:
    """Processes for trials."""
    with crew() as pool:
        yield pool


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the migrations of each kind are."""
    place = tmp_path_factory.mktemp("migrations")
    return {kind: write(place / kind, files) for kind, files in KINDS.items()}

"""A server, and processes that try things on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.migrations import KINDS
from tests.faults.process_pool import TrialPool, trial_pool
from tests.faults.server import Server, running
from tests.helpers.postgres import server_folder
from tests.helpers.support import write


@pytest.fixture(scope="session")
def roomy() -> Iterator[Server]:
    """A server that takes many connections."""
    with server_folder() as folder, running(folder, max_connections="600") as server:
        yield server


@pytest.fixture(scope="session")
def narrow() -> Iterator[Server]:
    """A server that takes as many connections as it does by default, and may crash."""
    with server_folder() as folder, running(folder) as server:
        yield server


@pytest.fixture(scope="session")
def hands() -> Iterator[TrialPool]:
    """Processes for trials."""
    with trial_pool() as pool:
        yield pool


@pytest.fixture(scope="session")
def directories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where the migrations of each kind are."""
    place = tmp_path_factory.mktemp("migrations")
    return {kind: write(place / kind, files) for kind, files in KINDS.items()}

"""Somebody takes the connection and says nothing."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ended, started, write


@pytest.fixture
def silent() -> Iterator[str]:
    """The DSN of what looks like a server and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/db"


def test_a_start_that_nobody_answers_is_given_up(silent: str, tmp_path: Path) -> None:
    """MIGRATOR_CONNECT_WAIT bounds it, without a deadline and without a signal."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})

    with started(silent, directory, MIGRATOR_CONNECT_WAIT="2s") as process:
        result = ended(process)

    assert result.exit_code == 20
    assert "timeout" in result.verdict["error"]

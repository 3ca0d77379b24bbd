"""How often a run logs in, as the server's own log counts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from tests.helpers.postgres import answers, free_port, initialize, serve, server_folder
from tests.helpers.support import Result, run, until, write


_RIGHT, _WRONG = "the-right-one", "the-wrong-one"


class Guarded(NamedTuple):
    """A server that asks for passwords, and what it has written."""

    port: int
    log: Path

    def dsn(
        self, password: str, database: str = "postgres", user: str = "postgres"
    ) -> str:
        """Return where it is."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def count(self, words: str) -> int:
        """Return how many lines of its log have these words."""
        return sum(words in line for line in self.log.read_text().splitlines())


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A server with SCRAM."""
    with server_folder() as folder:
        data, port, log = folder / "data", free_port(), folder / "log"
        initialize(data, _RIGHT)
        found = Guarded(port, log)
        with serve(data, port, log, {"fsync": "off"}) as process:
            try:
                until(lambda: answers(found.dsn(_RIGHT)))
                yield found
            finally:
                process.terminate()


def up(dsn: str, tmp_path: Path, **environ: str) -> Result:
    """A run that waits for nothing."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT 1;"})
    return run(
        "up",
        MIGRATOR_DATABASE_URL=dsn,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
        **{"MIGRATOR_CONNECT_WAIT": "60s", **environ},
    )


def test_a_wrong_password_is_one_failed_login(guarded: Guarded, tmp_path: Path) -> None:
    """Who counts failed logins and locks an account counts one for each run."""
    before = guarded.count("password authentication failed")

    result = up(guarded.dsn(_WRONG), tmp_path)

    after = guarded.count("password authentication failed")
    assert (result.exit_code, after - before) == (15, 1)
    assert "(SQLSTATE 28P01)" in result.verdict["error"]


def test_a_refused_password_goes_to_no_other_host(
    guarded: Guarded, tmp_path: Path
) -> None:
    """As with libpq: the next host is for one that cannot be reached."""
    before = guarded.count("password authentication failed")
    dsn = guarded.dsn(_WRONG).replace(
        "127.0.0.1", f"127.0.0.1:{guarded.port},127.0.0.1"
    )

    result = up(dsn, tmp_path)

    after = guarded.count("password authentication failed")
    assert (result.exit_code, after - before) == (15, 1)


def test_a_password_of_a_setting_is_refused_once(
    guarded: Guarded, tmp_path: Path
) -> None:
    """Also where it does not stand in the URL."""
    before = guarded.count("password authentication failed")
    dsn = f"postgresql://postgres@127.0.0.1:{guarded.port}/postgres"

    result = up(dsn, tmp_path, MIGRATOR_PASSWORD=_WRONG)

    after = guarded.count("password authentication failed")
    assert (result.exit_code, after - before) == (15, 1)


@pytest.mark.parametrize(
    ("database", "exit_code", "words"),
    [
        ("nowhere", 15, 'database "nowhere" does not exist (SQLSTATE 3D000)'),
        ("closed", 20, 'too many connections for database "closed" (SQLSTATE 53300)'),
    ],
)
def test_whatever_fails_is_one_login(
    guarded: Guarded, tmp_path: Path, database: str, exit_code: int, words: str
) -> None:
    """The SQLSTATE comes with the failure itself, whatever it is."""
    with psycopg.connect(guarded.dsn(_RIGHT), autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS closed")
        conn.execute("CREATE DATABASE closed CONNECTION LIMIT 0")
        conn.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    dsn = guarded.dsn("plain", database, "plain")

    result = up(dsn, tmp_path, MIGRATOR_CONNECT_WAIT="0")

    with psycopg.connect(guarded.dsn(_RIGHT), autocommit=True) as conn:
        conn.execute("DROP ROLE plain")
    refused = guarded.count(words.partition(" (")[0])
    assert (result.exit_code, refused) == (exit_code, 1)
    assert words in result.verdict["error"]

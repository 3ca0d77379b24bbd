"""The process around a run: what it loads when there is nothing to do, how it ends."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.helpers.support import ROOT, run, write


NEEDED = """\
about backoff cancellation cli commands commands.change commands.request environment
errors errors.base errors.before errors.running errors.stopping events events.base
events.run exits facts flags history identifiers job model pg pg.bounded pg.connect
pg.database pg.dsn pg.embedded pg.engine pg.failures pg.foreign pg.greeting pg.ledger
pg.look pg.options pg.own pg.password_file pg.pooler pg.store pg.table pg.tls pg.trouble pg.unversioned
pg.verbosity plan report report.escape report.log report.redact report.stdout
report.tally report.termination runner settings signals source source.checksum
source.discover source.load source.parse sql sql.annotation sql.backslashes sql.buffer
sql.by_line sql.characters sql.findings sql.gaps sql.goose sql.gotext sql.hazards
sql.lexer sql.own_transaction sql.passwords sql.riding sql.rows sql.runs sql.split
sql.structure sql.variables sql.words telling urls values
"""
"""All that a run with nothing to do loads of ours: the rest would delay each start."""

HEAVY = {"dotenv", "pydantic", "pydantic_core", "pydantic_settings"}


@pytest.fixture
def environ(database: str, tmp_path: Path) -> dict[str, str]:
    """What a deployment sets, where every migration is applied."""
    directory = write(tmp_path / "m", {"1_a.sql": "CREATE TABLE a ();"})
    environ = {
        "MIGRATOR_DATABASE_URL": database,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_LOG_FORMAT": "json",
        "MIGRATOR_LOCK_TIMEOUT": "10s",
        "MIGRATOR_DEADLINE": "10m",
        "MIGRATOR_ON_DB_AHEAD": "fail",
        "MIGRATOR_ALLOW_MISSING": "true",
    }
    assert run("up", **environ).exit_code == 0
    return {"PATH": os.environ["PATH"], **environ}


def process(
    environ: dict[str, str], *options: str, stdout: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """The real entry point, run to its end."""
    return subprocess.run(
        [sys.executable, *options, str(ROOT / "entrypoint.py")],
        env=environ,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_run_with_nothing_to_do_loads_little(environ: dict[str, str]) -> None:
    """No model of the settings is built, and nothing that changes a database is there."""
    ended = process(environ, "-v")
    loaded = re.findall(r"^import '([\w.]+)' #", ended.stderr, re.MULTILINE)
    ours = {name.partition(".")[2] for name in loaded if name.startswith("migrator.")}
    # loaded for a warning, where the test's server has another machine's address
    ours.discard("events.trouble")

    assert sorted(ours) == NEEDED.split()
    assert HEAVY.isdisjoint(name.partition(".")[0] for name in loaded)
    assert (ended.returncode, '"pending": 0' in ended.stdout) == (0, True)


def test_what_is_not_certain_is_judged(environ: dict[str, str]) -> None:
    """pydantic-settings is loaded for a value that has to be interpreted."""
    ended = process({**environ, "MIGRATOR_CHECK": "no"}, "-v")

    assert "import 'pydantic_settings' #" in ended.stderr
    assert ended.returncode == 0


def test_a_reader_that_has_gone_changes_no_verdict(environ: dict[str, str]) -> None:
    """Nobody reads the log: the run goes on, and nothing is said about it."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = process(environ, stdout=writing)
    finally:
        os.close(writing)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_log_that_nothing_takes_changes_no_verdict(environ: dict[str, str]) -> None:
    """A full disk, say."""
    with Path("/dev/full").open("w") as full:
        ended = process(environ, stdout=full.fileno())

    assert (ended.returncode, ended.stderr) == (0, "")


def test_what_a_script_has_left_for_the_end_is_done(
    environ: dict[str, str], tmp_path: Path, conn: psycopg.Connection
) -> None:
    """Threads are waited for, and exit functions are called, as in any Python."""
    script = f"""\
import atexit, threading, time
from pathlib import Path

def up(conn):
    atexit.register(Path({str(tmp_path / "at exit")!r}).touch)
    threading.Thread(target=late).start()

def late():
    time.sleep(0.3)
    Path({str(tmp_path / "in a thread")!r}).touch()
"""
    (tmp_path / "m" / "2_b.py").write_text(script)

    ended = process(environ)

    assert ended.returncode == 0
    assert (tmp_path / "at exit").exists()
    assert (tmp_path / "in a thread").exists()
    assert conn.execute("SELECT max(version_id) FROM goose_db_version").fetchone() == (
        2,
    )

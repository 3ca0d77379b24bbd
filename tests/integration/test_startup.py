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
_version cli commands commands.context commands.migrate config config.arguments
config.environment config.settings config.types domain domain.backoff domain.facts
domain.history domain.identifiers domain.model domain.urls engine engine.plan
engine.planner engine.run_context engine.runner errors errors.base errors.preflight
errors.runtime errors.stopping events events.base events.database events.factories
events.run exit_codes job pg pg.connection pg.connection.connect
pg.connection.connection_warnings pg.connection.database pg.connection.dsn
pg.connection.embedded pg.connection.error_verbosity pg.connection.memory_limit
pg.connection.own_messages pg.connection.pooler pg.connection.server_product
pg.connection.session pg.connection.startup_options pg.errors pg.errors.sqlstates
pg.errors.tracking_errors pg.ownership pg.tracking pg.tracking.history_table
pg.tracking.snapshot pg.tracking.store pg.tracking.version_table process
process.cancellation process.linger process.signals report report.escape report.log
report.redact report.stdout report.summary report.termination source source.checksum
source.content source.discover source.entries source.load source.parse sql
sql.backslashes sql.gaps sql.goose sql.goose.annotations sql.goose.encoding
sql.goose.envsub sql.goose.faults sql.goose.hazards sql.goose.line_buffer
sql.goose.line_parser sql.goose.own_transaction sql.goose.parser sql.goose.state_machine
sql.goose.statement_runs sql.goose.text_pieces sql.keywords sql.lexer sql.riding
sql.secrets sql.split sql.transaction_block
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

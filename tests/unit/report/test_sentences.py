"""Every event is a sentence on the console; none appears by its name and fields."""

import io
from typing import Any

import pytest

from migrator.events import database, finding, migration, run, watching
from migrator.events.base import Event
from migrator.report.log import log_to
from migrator.report.progress_bar import duration
from migrator.report.redact import Redactor
from migrator.report.schema import all_events


FILE: dict[str, Any] = {"version": 2, "path": "2_b.sql"}
LINE = FILE | {"line": 3}
FAULT: dict[str, Any] = {
    "path": "2_b.sql",
    "line": 3,
    "column": 5,
    "slug": "bom",
    "message": "it has a BOM; remove it",
}
BLOCKER = watching.Blocker(
    pid=7,
    application="app",
    user=None,
    client=None,
    backend="client backend",
    state="idle in transaction",
    state_s=62,
    transaction_s=65,
    query="SELECT 1",
    waits=False,
)


def finished(**values: Any) -> run.RunFinished:
    """The end of a run that succeeded with nothing to do, but for *values*."""
    usual: dict[str, Any] = dict.fromkeys(run.RunFinished.fields)
    usual |= {"command": "up", "outcome": "ok", "exit_code": 0, "duration_s": 0.4}
    return run.RunFinished(**(usual | {"applied": (), "reverted": ()} | values))


def progressed(**values: Any) -> watching.StatementProgressed:
    """A statement that runs for 75 seconds, but for *values*."""
    usual: dict[str, Any] = dict.fromkeys(watching.StatementProgressed.fields)
    usual |= LINE | {"statement": 1, "elapsed_s": 75.0, "state": "active"}
    return watching.StatementProgressed(**(usual | values))


EXAMPLES: tuple[tuple[Event, str], ...] = (
    (
        migration.CommitConfirmed(**FILE, direction="up"),
        (
            "warning: 2_b.sql: the connection was lost during COMMIT; the tracking table"
            " shows that it committed"
        ),
    ),
    (
        migration.CommitLost(**FILE, direction="up"),
        (
            "warning: 2_b.sql: the server lost its commit, as a failover can; it runs"
            " again; check which other commits the failover lost"
        ),
    ),
    (
        database.ConnectionLost(
            **FILE, reason="closed", sqlstate=None, attempt=1, next_attempt_s=2
        ),
        (
            "warning: connection lost at 2_b.sql: closed; reconnecting in 2.0 s, then the"
            " run continues with what is not recorded yet"
        ),
    ),
    (
        run.ConnectionOpened(
            host="h",
            port=1,
            dbname="d",
            user="u",
            server_version="18.1",
            backend_pid=7,
            pooler=True,
            attempts=3,
            waited_s=2.5,
        ),
        "connected to PostgreSQL 18.1 as u through a pooler after 2.5 s",
    ),
    (
        database.ConnectionRetried(
            attempt=2,
            waited_s=1,
            next_attempt_s=0.5,
            reason="connection refused",
            sqlstate=None,
        ),
        "warning: waiting for the server: connection refused; next attempt in 0.5 s",
    ),
    (
        finding.DatabaseAheadDetected(versions=(8, 9), newest_file=7),
        (
            "warning: the database is ahead of the files: it has 8, 9, the newest file is"
            " 7; this is expected after a rollback of the service, otherwise deploy the"
            " newer files"
        ),
    ),
    (
        finding.DriftFound(**FILE, applied="a", found="b"),
        (
            "warning: 2_b.sql was changed after it was applied; restore it, and put the"
            " change into a new file"
        ),
    ),
    (run.FileCreated(path="2_b.sql"), "created   2_b.sql"),
    (
        finding.FileRejected(**FAULT),
        "error: 2_b.sql:3:5: it has a BOM; remove it",
    ),
    (run.FileRenamed(path="2_b.sql", before="9_b.sql"), "renamed   9_b.sql → 2_b.sql"),
    (
        finding.FileWarned(**FAULT | {"line": 0, "column": 0}),
        "warning: 2_b.sql: it has a BOM; remove it",
    ),
    (
        finding.FilesValidated(files=1, statements=2, newest=1, added=None),
        "valid: 1 file, 2 statements",
    ),
    (
        finding.FilesValidated(files=2, statements=1, newest=2, added=("2_b.sql",)),
        "valid: 2 files, 1 statement; 1 new file: 2_b.sql",
    ),
    (
        finding.HistoryFoundElsewhere(
            table="t", schema="a", schemas=("b",), hint="Set X."
        ),
        "warning: t does not exist in schema a, but has rows in b; Set X.",
    ),
    (
        migration.IndexDropped(**FILE, index="i", table="t"),
        (
            "warning: 2_b.sql: dropped the invalid index i on t, left by an interrupted"
            " build; it is built again"
        ),
    ),
    (database.LockAcquired(kind="session", waited_s=0.2), ""),
    (database.LockAcquired(kind="session", waited_s=2), "lock acquired after 2.0 s"),
    (
        database.LockContended(waited_s=2, holder=None),
        "waiting for another migrator for 2.0 s: its session is not visible",
    ),
    (
        migration.MigrationApplied(**FILE, statements=1, current=2, duration_s=0.008),
        "applied   2_b.sql  (1 statement, 8 ms)",
    ),
    (
        migration.MigrationFailed(**FILE, direction="up", duration_s=0.1, error="x"),
        "failed    2_b.sql  (0.1 s)",
    ),
    (
        finding.MigrationListed(
            **FILE, state="applied", applied_at="2026-01-02T03:04:05.678901Z"
        ),
        (
            "STATE    APPLIED AT            VERSION         FILE\n"
            "applied  2026-01-02T03:04:05Z  2               2_b.sql"
        ),
    ),
    (migration.MigrationRecorded(**FILE), "recorded  2_b.sql"),
    (
        migration.MigrationResumed(
            **FILE,
            direction="up",
            through=1,
            statements=3,
            begun_by="u",
            begun_at="2026-01-02T03:04:05Z",
        ),
        (
            "warning: 2_b.sql: resuming after 1 of 3 statements, applied by an earlier run"
            " (u, 2026-01-02T03:04:05Z); find out why that run stopped"
        ),
    ),
    (
        migration.MigrationRetried(
            **LINE,
            attempt=1,
            next_attempt_s=3.9,
            sqlstate="55P03",
            reason="canceling statement due to lock timeout",
            blocker="pid 7",
        ),
        (
            "warning: 2_b.sql:3: canceling statement due to lock timeout; rolled back,"
            " attempt 2 follows in 3.9 s; blocked by pid 7"
        ),
    ),
    (
        migration.MigrationReverted(**FILE, statements=2, current=1, duration_s=65),
        "reverted  2_b.sql  (2 statements, 1 min 5 s)",
    ),
    (
        migration.MigrationSkipped(**FILE, transaction=False, current=2),
        (
            "warning: 2_b.sql: another run has recorded it already; its statements ran"
            " twice: check their effects; find out who migrates without the lock, such as"
            " goose's own command"
        ),
    ),
    (
        migration.MigrationStarted(
            **FILE, direction="up", statements=1, transaction=True
        ),
        "",
    ),
    (
        run.PlanMade(version=3, target=3, pending=(), not_pipelined={}),
        "nothing to do: the database is at version 3",
    ),
    (
        run.PlanMade(
            version=1, target=2, pending=("2_b.sql",), not_pipelined={"2_b.sql": "why"}
        ),
        "1 migration to run, version 1 → 2",
    ),
    (run.RunCrashed(traceback="Traceback\n  line"), "Traceback\n  line"),
    (finished(), "done in 0.4 s"),
    (
        finished(version_before=0, version_after=7, applied=tuple(range(7)), pending=0),
        "7 applied, version 0 → 7, 0.4 s",
    ),
    (
        finished(version_before=2, version_after=2, applied=(2,), reverted=(2,)),
        "1 applied, 1 reverted, version 2, 0.4 s",
    ),
    (
        finished(
            outcome="failed",
            exit_code=13,
            retryable=False,
            error="boom; fix it",
            hint="Try again.",
            version_before=1,
            version_after=2,
            applied=(2,),
            pending=3,
        ),
        (
            "error: boom; fix it\nhint: Try again.\nexit 13 (failed), not retryable;"
            " 1 applied, 3 pending, version 1 → 2, 0.4 s"
        ),
    ),
    (
        finished(outcome="pending", exit_code=3, retryable=False, error="2 pending"),
        "error: 2 pending\nexit 3 (pending); 0.4 s",
    ),
    (run.RunInterrupted(reason="SIGTERM"), ""),
    (
        run.RunStarted(
            command="up", migrator_version="1", database="db", migrations_dir="/m"
        ),
        "up: files in /m, database db",
    ),
    (migration.ScriptPrinted(**FILE, message="hello"), "2_b.sql: hello"),
    (
        database.ServerNoticed(
            **LINE, notice="NOTICE", sqlstate=None, message="m", detail="d", hint="h"
        ),
        "notice: 2_b.sql:3: m; d; hint: h",
    ),
    (
        database.ServerNoticed(
            version=None,
            path=None,
            line=None,
            notice="WARNING",
            sqlstate=None,
            message="m",
            detail=None,
            hint=None,
        ),
        "warning: m",
    ),
    (
        database.SessionSettingsNotApplied(**FILE, settings=("lock_timeout",)),
        (
            "warning: 2_b.sql: lock_timeout not applied: a pooler is in between; connect to"
            " the server itself, or to a pooler in session mode"
        ),
    ),
    (
        run.SettingIgnored(variable="MIGRATOR_PORT", reason="a service link"),
        "warning: MIGRATOR_PORT is ignored: a service link",
    ),
    (
        run.SidecarFailed(url="http://x/", reason="refused"),
        (
            "warning: http://x/ did not take the request to stop: refused; check"
            " MIGRATOR_SHUTDOWN_URLS, or the Job may not end"
        ),
    ),
    (
        run.SidecarStopped(url="http://x/", status=200),
        "http://x/ takes the request to stop",
    ),
    (
        watching.StatementBlocked(
            **LINE,
            statement=1,
            elapsed_s=2,
            waited_s=2,
            lock="relation ShareLock",
            relation="public.a",
            phase=None,
            blockers=(BLOCKER._asdict(),),
            hint="GRANT pg_read_all_stats",
        ),
        (
            "warning: 2_b.sql:3: blocked for 2.0 s: relation ShareLock on public.a\n"
            f"  by {BLOCKER}\n"
            "  end its transaction if it is stuck\n"
            "  hint: GRANT pg_read_all_stats"
        ),
    ),
    (
        migration.StatementFinished(
            **LINE, statement=1, command="SELECT 1", duration_s=2
        ),
        "          2_b.sql:3: SELECT 1 took 2.0 s",
    ),
    (
        finding.StatementPlanned(
            **LINE, statement=1, transaction=True, text="SELECT 1;"
        ),
        "-- 2_b.sql:3\nSELECT 1;",
    ),
    (progressed(), "2_b.sql:3  1 min 15 s  active"),
    (
        progressed(
            phase="loading",
            percent=45.2,
            done=1234,
            total=2742,
            unit="blocks",
            left_s=3,
        ),
        "2_b.sql:3  [####------]  45 %  1 min 15 s  1,234/2,742 blocks  loading",
    ),
    (
        run.TlsUnverified(sslmode="prefer", hint="set sslmode"),
        (
            "warning: sslmode=prefer sends the password to a server that is not verified;"
            " set sslmode"
        ),
    ),
    (
        finding.VersionAwaited(current=2, missing=(3,), next_attempt_s=1),
        "at version 2; waiting for 1 migration: 3",
    ),
    (
        finding.VersionAwaited(current=None, missing=(3,), next_attempt_s=1),
        "the tracking table cannot be read yet; trying again",
    ),
    (finding.VersionRead(version=3), "the database is at version 3"),
)


@pytest.mark.parametrize(
    ("event", "expected"), EXAMPLES, ids=[event.name for event, _ in EXAMPLES]
)
def test_an_event_is_a_sentence(event: Event, expected: str) -> None:
    """A line that says what happened, and what to do where something is to be done."""
    stream = io.StringIO()

    log_to(stream, log_format="console", level="debug", redactor=Redactor(), run_id="")(
        event
    )

    assert stream.getvalue() == f"{expected}\n" * bool(expected)


def test_no_event_is_left_out() -> None:
    """A new event has an example above, and so a sentence."""
    assert {type(event) for event, _ in EXAMPLES} == set(all_events())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 ms"),
        (0.0994, "99 ms"),
        (0.1, "0.1 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.7, "1 min 0 s"),
        (239.5, "4 min 0 s"),
        (3599.7, "1 h 0 min"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3660, "1 h 1 min"),
    ],
)
def test_a_duration_has_two_digits_or_two_units(seconds: float, expected: str) -> None:
    """As much as a person wants to know."""
    assert duration(seconds) == expected

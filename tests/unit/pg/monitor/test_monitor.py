"""What is seen of a running statement, as it is counted, spaced and shown."""

import io
import os
from typing import Any

import pytest

from migrator.domain.facts import Place
from migrator.events.watching import Blocker, StatementBlocked, StatementProgressed
from migrator.pg.monitor.activity import SessionActivity
from migrator.pg.monitor.current_statement import CheckInterval
from migrator.pg.monitor.progress import StatementProgress, read_progress
from migrator.pg.monitor.statement_events import progressed_event
from migrator.report.log import log_to
from migrator.report.redact import Redactor


HOLDER = Blocker(
    pid=7,
    application="psql",
    user="app",
    client="10.0.0.7",
    backend="client backend",
    state="idle in transaction",
    state_s=62,
    transaction_s=65,
    query="SELECT 1",
    waits=False,
)
BLOCKED = StatementBlocked(
    version=2,
    path="2_b.sql",
    line=3,
    statement=1,
    elapsed_s=2.5,
    waited_s=2.4,
    lock="relation AccessExclusiveLock",
    relation="public.a",
    phase=None,
    blockers=(HOLDER._asdict(),),
    hint=None,
)
COUNTED = StatementProgressed(
    version=2,
    path="2_b.sql",
    line=3,
    statement=1,
    elapsed_s=65.2,
    command="CREATE INDEX",
    relation="public.a",
    phase="building index: scanning table",
    percent=45.0,
    done=1234,
    total=2742,
    unit="blocks",
    rate_per_s=19.0,
    left_s=79.4,
    state="active",
    wait_event=None,
)
ALIVE = StatementProgressed(
    version=2,
    path="2_b.sql",
    line=4,
    statement=2,
    elapsed_s=3.0,
    command=None,
    relation=None,
    phase=None,
    percent=None,
    done=None,
    total=None,
    unit=None,
    rate_per_s=None,
    left_s=None,
    state="active",
    wait_event="Timeout: PgSleep",
)


@pytest.mark.parametrize(
    ("view", "row", "expected"),
    [
        pytest.param(
            "create_index",
            {"phase": "building index: scanning table", "blocks_total": 8}
            | {"blocks_done": 2, "tuples_total": 0, "lockers_total": 1},
            (2, 8, "blocks", 25.0),
            id="index-blocks",
        ),
        pytest.param(
            "create_index",
            {"phase": "building index: loading tuples in tree", "blocks_total": 0}
            | {"tuples_total": 3, "tuples_done": 1},
            (1, 3, "tuples", 33.3),
            id="index-tuples",
        ),
        pytest.param(
            "create_index",
            {"phase": "waiting for old snapshots", "blocks_total": 8}
            | {"blocks_done": 8, "lockers_total": 2, "lockers_done": 1},
            (1, 2, "sessions", 50.0),
            id="index-waits",
        ),
        pytest.param(
            "create_index",
            {"phase": "building index", "partitions_total": 4, "partitions_done": 1}
            | {"blocks_total": 8, "blocks_done": 2},
            (1, 4, "partitions", 25.0),
            id="index-partitions",
        ),
        pytest.param(
            "create_index",
            {"phase": "initializing"},
            (None, None, None, None),
            id="index-begins",
        ),
        pytest.param(
            "vacuum",
            {"phase": "vacuuming heap", "heap_blks_total": 4, "heap_blks_vacuumed": 1}
            | {"heap_blks_scanned": 4, "indexes_total": 0},
            (1, 4, "blocks", 25.0),
            id="vacuum-heap",
        ),
        pytest.param(
            "vacuum",
            {"phase": "vacuuming indexes", "indexes_total": 2, "indexes_processed": 1},
            (1, 2, "indexes", 50.0),
            id="vacuum-indexes-17",
        ),
        pytest.param(
            "vacuum",
            {"phase": "vacuuming indexes", "heap_blks_total": 4},
            (None, None, None, None),
            id="vacuum-indexes-14",
        ),
        pytest.param(
            "cluster",
            {"phase": "index scanning heap", "heap_tuples_scanned": 5},
            (5, None, "tuples", None),
            id="cluster-by-index",
        ),
        pytest.param(
            "cluster",
            {
                "phase": "seq scanning heap",
                "heap_blks_total": 4,
                "heap_blks_scanned": 3,
            },
            (3, 4, "blocks", 75.0),
            id="cluster",
        ),
        pytest.param(
            "cluster",
            {"phase": "writing new heap", "heap_tuples_scanned": 4}
            | {"heap_tuples_written": 1},
            (1, 4, "tuples", 25.0),
            id="cluster-writes",
        ),
        pytest.param(
            "cluster",
            {"phase": "rebuilding index"},
            (None, None, None, None),
            id="cluster-rebuilds",
        ),
        pytest.param(
            "copy",
            {"bytes_total": 0, "bytes_processed": 9, "tuples_processed": 3},
            (3, None, "rows", None),
            id="copy-from-stdin",
        ),
        pytest.param(
            "copy",
            {"bytes_total": 10, "bytes_processed": 9, "tuples_processed": 3},
            (9, 10, "bytes", 90.0),
            id="copy-from-a-file",
        ),
        pytest.param(
            "analyze",
            {"phase": "acquiring sample rows", "sample_blks_total": 4}
            | {"sample_blks_scanned": 1},
            (1, 4, "blocks", 25.0),
            id="analyze",
        ),
        pytest.param(
            "analyze",
            {"phase": "computing statistics", "sample_blks_total": 4},
            (None, None, None, None),
            id="analyze-computes",
        ),
    ],
)
def test_what_is_counted(view: str, row: Any, expected: tuple[object, ...]) -> None:
    """Each phase by what PostgreSQL counts in it; columns differ between versions."""
    found = {"view": view, "command": "IT", "relation": "a", "row": row}

    progress = read_progress(found)

    assert progress is not None
    assert (progress.done, progress.total, progress.unit, progress.percent) == expected


def test_what_is_not_counted() -> None:
    """Most statements have no row in any of the views."""
    assert read_progress(None) is None


def test_a_rate_needs_two_snapshots_of_one_phase() -> None:
    """Else the numbers are of different things."""
    first = StatementProgress("VACUUM", "a", "scanning heap", 10, 40, "blocks")
    later = first._replace(done=25)

    assert later.since(first) == 15
    assert later._replace(phase="vacuuming heap").since(first) is None
    assert later._replace(done=None).since(first) is None


def test_pauses_between_snapshots_grow() -> None:
    """At 3 s, then after twice the time, at last every 30 s."""
    pace, at, looks = CheckInterval(), 3.0, []
    for _ in range(6):
        looks.append(at)
        at = pace.next(at)

    assert looks == [3, 6, 12, 24, 48, 78]
    assert pace.next(2.5) == 3


def test_a_warning_is_repeated_more_and_more_rarely() -> None:
    """After as long again, and then every 30 seconds."""
    assert [CheckInterval().again(at) for at in (2, 20, 40, 300)] == [4, 40, 70, 330]


def test_what_is_left_is_told_by_what_is_done() -> None:
    """Half of a hundred at ten a second is five seconds; nothing done yet is all."""
    place = Place(1, "1.sql", 1, 1, 1)
    half = StatementProgress("COPY", None, None, 50, 100, "bytes")

    left = [
        progressed_event(place, 5.0, SessionActivity(progress=seen), 10.0).left_s
        for seen in (half, half._replace(done=None), half._replace(done=120))
    ]

    assert left == [5.0, 10.0, 0.0]


@pytest.mark.parametrize(
    ("blocker", "expected"),
    [
        pytest.param(
            HOLDER,
            "pid 7, application psql, user app, client 10.0.0.7, idle in transaction for"
            " 62 s, transaction open for 65 s, query: SELECT 1",
            id="all",
        ),
        pytest.param(
            HOLDER._replace(
                application=None, user=None, client=None, backend="autovacuum worker"
            )._replace(state="active", transaction_s=None, waits=True, query=""),
            "pid 7, autovacuum worker, active for 62 s, blocked itself",
            id="a-worker",
        ),
        pytest.param(
            Blocker(
                pid=0,
                application=None,
                user=None,
                client=None,
                backend=None,
                state="prepared transaction",
                state_s=None,
                transaction_s=None,
                query="PREPARE TRANSACTION 'x'",
                waits=False,
            ),
            "prepared transaction, query: PREPARE TRANSACTION 'x'",
            id="prepared",
        ),
    ],
)
def test_a_blocker_in_words(blocker: Blocker, expected: str) -> None:
    """What is known of it, in one line."""
    assert str(blocker) == expected


def test_root_blocker_is_the_nearest_that_does_not_wait() -> None:
    """The nearest that waits for nobody; where all do, the nearest."""
    queued = HOLDER._replace(pid=8, waits=True)

    assert SessionActivity(blockers=(queued, HOLDER)).root_blocker == HOLDER
    assert SessionActivity(blockers=(queued,)).root_blocker == queued


PROGRESS = (
    "2_b.sql:3  [####------]  45 %  1 min 5 s  1,234/2,742 blocks"
    "  building index: scanning table"
)


def test_a_file_gets_whole_lines() -> None:
    """Nothing is written over where nobody sits before it."""
    stream = io.StringIO()
    tell = log_to(
        stream, log_format="console", level="info", redactor=Redactor(), run_id=""
    )

    for event in (COUNTED, ALIVE, BLOCKED):
        tell(event)

    assert stream.getvalue().splitlines() == [
        PROGRESS,
        "2_b.sql:4  3.0 s  Timeout: PgSleep",
        "warning: 2_b.sql:3: blocked for 2.5 s: relation AccessExclusiveLock on public.a",
        f"  by {HOLDER}",
        "  end its transaction if it is stuck",
    ]


def test_a_terminal_shows_one_line_that_changes() -> None:
    """It is cut to the width, written over, and gone before another line comes."""
    ours, theirs = os.openpty()
    with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123 - a descriptor
        tell = log_to(
            stream, log_format="console", level="info", redactor=Redactor(), run_id=""
        )
        for event in (COUNTED, COUNTED, BLOCKED):
            tell(event)
        shown = ""
        while "SELECT 1" not in shown:
            shown += os.read(ours, 10_000).decode()
    os.close(ours)

    bar, clear = PROGRESS[:79], "\r\x1b[K"
    assert shown.replace("\r\n", "\n").startswith(
        f"{bar}{clear}{bar}{clear}\x1b[33mwarning: 2_b.sql:3: blocked for 2.5 s: "
    )


def test_somebody_elses_words_move_no_cursor() -> None:
    """A query may hold anything."""
    stream = io.StringIO()
    tell = log_to(
        stream, log_format="console", level="info", redactor=Redactor(), run_id=""
    )
    rude = HOLDER._replace(query="\x1b[2J", application="a\tb")

    tell(
        StatementBlocked(
            version=1,
            path="1_a.sql",
            line=1,
            statement=0,
            elapsed_s=1,
            waited_s=None,
            lock=None,
            relation=None,
            phase="waiting for old snapshots",
            blockers=(rude._asdict(),),
            hint="GRANT",
        )
    )

    assert stream.getvalue().splitlines() == [
        "warning: 1_a.sql:1: blocked for 1.0 s: waiting for old snapshots",
        (
            "  by pid 7, application a\\tb, user app, client 10.0.0.7, idle in transaction"
            " for 62 s, transaction open for 65 s, query: \\x1b[2J"
        ),
        "  end its transaction if it is stuck",
        "  hint: GRANT",
    ]

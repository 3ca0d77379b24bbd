"""What a terminal shows: our own lines and colours, and nobody else's."""

import io
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import main
from migrator.domain.facts import Drift, Fault
from migrator.errors import DriftError, FilesInvalidError
from migrator.events.base import Event
from migrator.events.database import LockContended, ServerNoticed
from migrator.events.finding import (
    DriftFound,
    FileRejected,
    MigrationListed,
    StatementPlanned,
    VersionAwaited,
    VersionRead,
)
from migrator.events.migration import (
    MigrationApplied,
    MigrationStarted,
    StatementFinished,
)
from migrator.events.run import PlanMade, RunCrashed
from migrator.report.log import log_to
from migrator.report.redact import Redactor
from migrator.report.schema import all_events
from migrator.report.summary import RunSummary
from tests.helpers.support import write


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


ACTING = "".join(
    [
        *map(chr, range(0x20)),
        *map(chr, range(0x7F, 0xA0)),
        *("\u2028", "\u2029", "\u061c", "\u200e", "\u200f"),
        *map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))),
        *("\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\udcff"),
        "\U000e0041",
    ]
)
RUDE = f"a{ACTING}\x1b[2J\x1b]0;title\x07\r\nerror: forged\x9b31mz"
OWN = re.compile(r"\x1b\[(31|33|2|0)?m|\r\x1b\[K")


def shown(
    *events: Event, stream: io.StringIO | None = None, level: str = "debug"
) -> str:
    """What events look like; our own colours left out."""
    stream = stream or Screen()
    tell = log_to(
        stream, log_format="console", level=level, redactor=Redactor(), run_id=""
    )
    for event in events:
        tell(event)
    return OWN.sub("", stream.getvalue())


def filled(kind: type[Event]) -> Event:
    """An event all of whose texts are rude, those in lists and objects as well."""
    blocker = {
        **dict.fromkeys(("application", "user", "client", "backend", "state"), RUDE),
        **dict.fromkeys(("pid", "state_s", "transaction_s", "waits"), 1),
        "query": RUDE,
    }
    values: dict[str, Any] = {}
    for name in kind.fields:
        declared = str(kind.__annotations__[name])
        if name == "blockers":
            values[name] = (blocker,)
        elif "tuple[str" in declared:
            values[name] = (RUDE, RUDE)
        elif "Mapping" in declared:
            values[name] = {RUDE: RUDE}
        elif "tuple" in declared:
            values[name] = (1,)
        elif "str" in declared:
            values[name] = RUDE
        else:
            values[name] = 1
    return kind(**values)


@pytest.mark.parametrize("kind", all_events(), ids=lambda kind: kind.name)
def test_foreign_text_moves_no_cursor_and_makes_no_line(kind: type[Event]) -> None:
    """In every field of every event: only what prints, and our own line breaks."""
    text = shown(filled(kind))

    assert [c for c in text if c != "\n" and not c.isprintable()] == []
    if kind not in (StatementPlanned, RunCrashed):
        assert not re.search(r"^error: forged", text, re.MULTILINE)


def test_it_is_the_same_in_a_file() -> None:
    """Console format without a terminal has no colours of ours either."""
    text = shown(filled(ServerNoticed), stream=io.StringIO())

    assert "\x1b" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("character", ACTING, ids=lambda c: f"{ord(c):04x}")
def test_what_becomes_of_a_character(character: str) -> None:
    """It is shown as Python writes it, so nothing is lost."""
    event = RunCrashed(traceback=f"a{character}b")
    escape = character.encode("unicode_escape").decode()

    kept = {"\n": "a\nb", "\t": "a       b"}.get(character, f"a{escape}b")

    assert shown(event) == f"{kept}\n"
    assert unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp", "Cs"}


def test_letters_of_all_languages_stay() -> None:
    """Only what acts or has no width is escaped."""
    text = "ä ß 漢字 кириллица العربية 🐘 …"

    assert text in shown(RunCrashed(traceback=text))


def test_a_planned_statement_keeps_its_line_breaks_and_nothing_else() -> None:
    """It is shown as it is laid out, tabs as blanks."""
    event = StatementPlanned(
        version=1,
        path="1_a.sql",
        line=2,
        statement=1,
        transaction=True,
        text="SELECT\r\n\t1,\n  '\x1b[2J\r\x0b\u2028'",
    )

    assert shown(event) == (
        "-- 1_a.sql:2\nSELECT\n        1,\n  '\\x1b[2J\\r\\x0b\\u2028'\n"
    )


def test_our_own_line_breaks_stay() -> None:
    """A sentence of several lines."""
    event = MigrationListed(version=1, path="1\r.sql", state="x\n", applied_at=None)

    assert shown(event).splitlines()[1:] == [
        "x\\n      -                     1               1\\r.sql"
    ]


def test_faults_are_shown_once() -> None:
    """What is listed is not repeated at the end; a drift stops a run in the same way."""
    fault = Fault(path="2_b.sql", line=1, column=1, slug="bom", message="m")
    error = FilesInvalidError((fault, fault))
    drift = Drift(version=1, path="1_a.sql", applied="x", found="y")

    files = shown(
        *(FileRejected(**fault._asdict()) for fault in error.faults),
        RunSummary("up").verdict(error, duration_s=1),
    )
    drifted = shown(
        DriftFound(**drift._asdict()),
        RunSummary("up").verdict(DriftError((drift,)), duration_s=1),
    )

    assert files.splitlines() == [
        "error: 2_b.sql:1:1: m",
        "error: 2_b.sql:1:1: m",
        "error: 2 faults, listed above",
        "exit 10 (files_invalid), not retryable; 1.0 s",
    ]
    assert drifted.splitlines()[1:] == [
        "error: 1 changed file, listed above",
        "exit 12 (drift), not retryable; 1.0 s",
    ]


def test_the_table_has_one_head_and_its_totals() -> None:
    """`status` counts what it has listed."""
    listed = [
        MigrationListed(version=version, path="x", state=state, applied_at=None)
        for version, state in ((1, "applied"), (2, "pending"), (3, "pending"))
    ]

    lines = shown(
        *listed, RunSummary("status").verdict(None, duration_s=1)
    ).splitlines()

    assert [line.split()[0] for line in lines[:-1]] == [
        "STATE",
        "applied",
        "pending",
        "pending",
    ]
    assert lines[-1] == "1 applied, 2 pending, 1.0 s"


def test_what_comes_again_is_progress_on_a_terminal_and_one_line_in_a_file() -> None:
    """The first is kept; later ones that differ in times alone take one line's place."""
    waiting = [VersionAwaited(current=1, missing=(2,), next_attempt_s=1)] * 3
    locked = [LockContended(waited_s=n, holder="pid 7, idle for 9 s") for n in (1, 2)]
    first, second = (
        f"waiting for another migrator for {n}.0 s: pid 7, idle for 9 s" for n in (1, 2)
    )
    awaited = "at version 1; waiting for 1 migration: 2"

    terminal = shown(*waiting, *locked)
    file = shown(*waiting, *locked, stream=io.StringIO())

    assert terminal == f"{awaited}\n{awaited}{awaited}{first}\n{second}"
    assert file == f"{awaited}\n{first}\n{second}\n"


def test_what_runs_now_is_shown_on_a_terminal_with_its_number_in_the_plan() -> None:
    """Also how many of its statements are done, which the log's level leaves out."""
    name: dict[str, Any] = {"version": 2, "path": "2_b.sql"}
    plan = PlanMade(
        version=0, target=2, pending=("1_a.sql", "2_b.sql"), not_pipelined={}
    )
    first = MigrationApplied(
        version=1, path="1_a.sql", statements=1, current=1, duration_s=1
    )
    start = MigrationStarted(**name, direction="up", statements=3, transaction=True)
    statement = StatementFinished(
        **name, line=3, statement=2, command="SELECT 1", duration_s=0
    )

    terminal = shown(plan, first, start, statement, level="info")
    file = shown(plan, first, start, statement, level="info", stream=io.StringIO())

    assert terminal.splitlines()[2] == "[2/2] 2_b.sql[2/2] 2_b.sql  2 of 3 statements"
    assert file.splitlines() == [
        "2 migrations to run, version 0 → 2",
        "applied   1_a.sql  (1 statement, 1.0 s)",
    ]


def test_plain_separates_the_answer_from_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A script reads a bare number, or a table; a person sees why there is none."""
    stdout = io.StringIO()
    tell = log_to(
        stdout, log_format="plain", level="info", redactor=Redactor(), run_id=""
    )

    for event in (
        VersionRead(version=7),
        RunSummary("version").verdict(None, duration_s=1),
    ):
        tell(event)

    assert (stdout.getvalue(), capsys.readouterr().err) == ("7\n", "done in 1.0 s\n")


@pytest.mark.parametrize(
    "environ",
    [
        {"MIGRATOR_TABLE": "a.b.\x1b[2J\x9b"},
        {"MIGRATOR_COMMAND": "\x1b]0;x\x07\u202e"},
        {"MIGRATOR_ROLE_FILE": "/nonexistent/\x1b[2J\u2028"},
        {"GOOSE_DRIVER": "\x1b[2J\r"},
        {"MIGRATOR_\x1b[2J": "x"},
        {"MIGRATOR_DATABASE_URL": "postgresql://u@127.0.0.1:1/\x1b[2J\x9b"},
        {"MIGRATOR_SEARCH_PATH": "a\r\x1b[2J"},
    ],
)
def test_values_of_settings(environ: Mapping[str, str], tmp_path: Path) -> None:
    """An error repeats them, and the first line of a run."""
    directory = write(tmp_path / "\x1b[2J", {"1_\x1b[2J\u202e.sql": "x;\x1b[2J\n"})
    usual = {
        "MIGRATOR_LOG_FORMAT": "console",
        "MIGRATOR_LOG_LEVEL": "debug",
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
        "MIGRATOR_CONNECT_WAIT": "0",
    }
    stdout = Screen()

    main([], {**usual, **environ}, stdout)

    text = OWN.sub("", stdout.getvalue())
    assert text
    assert [c for c in text if c != "\n" and not c.isprintable()] == []

"""What a terminal shows: our own lines and colours, and nobody else's."""

import io
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from migrator.cli import main
from migrator.events.base import Event
from migrator.events.database import ServerNoticed
from migrator.events.finding import StatementPlanned
from migrator.events.run import PlanMade, RunCrashed
from migrator.report.log import log_to
from migrator.report.redact import Redactor
from migrator.report.schema import all_events
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


def shown(event: Event, stream: io.StringIO | None = None) -> str:
    """What an event looks like; our own colours left out."""
    stream = stream or Screen()
    log_to(stream, console=True, level="debug", redactor=Redactor(), run_id="")(event)
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
    text = shown(filled(ServerNoticed), io.StringIO())

    assert "\x1b" not in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("character", ACTING, ids=lambda c: f"{ord(c):04x}")
def test_what_becomes_of_a_character(character: str) -> None:
    """It is shown as Python writes it, so nothing is lost."""
    event = RunCrashed(traceback=f"a{character}b")
    escape = character.encode("unicode_escape").decode()

    kept = {"\n": "a\nb", "\t": "a       b"}.get(character, f"a{escape}b")

    assert shown(event) == f"run.crashed  traceback={kept}\n"
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
    event = PlanMade(
        version=1, target=2, pending=("2\r.sql",), apart={"2\r.sql": "w\n"}
    )

    assert shown(event) == (
        "1 to run, from version 1 to 2\nwaits for its answers: 2\\r.sql: w\\n\n"
    )


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

"""Lines of the log: masked, short enough, valid."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator.domain.facts import Fault, Place, ServerMessage
from migrator.errors import FilesInvalidError, StatementFailedError
from migrator.events.migration import MigrationApplied
from migrator.events.run import PlanMade, RunFinished
from migrator.report import termination
from migrator.report.redact import Redactor
from migrator.report.schema import schema
from migrator.report.summary import RunSummary


PLACE = Place(version=2, path="2_b.sql", line=3, column=4, statement=1)


def failed(message: str = "boom") -> StatementFailedError:
    """A failed statement."""
    server = ServerMessage(sqlstate="42601", message=message, hint="Try again.")
    return StatementFailedError(PLACE, server)


@pytest.mark.parametrize(
    ("secret", "text", "expected"),
    [
        ("hunter2", "password hunter2!", "password ********!"),
        ("p@ss/w", "postgres://u:p%40ss%2Fw@h", "postgres://u:********@h"),
        ("abcd", "abcd abcdef", "******** abcdef"),
        ("", "nothing", "nothing"),
        ("a.bc", "a.bc axbc", "******** axbc"),
        ("", "ALTER ROLE a PASSWORD 'hunter2' x", "ALTER ROLE a PASSWORD '********' x"),
        ("", "near \"password e'it''s", "near \"password '********'"),
    ],
)
def test_secrets_are_masked(secret: str, text: str, expected: str) -> None:
    """Plain and percent-encoded; a short one only as a word."""
    assert Redactor([secret]).text(text) == expected


KEY = "-----BEGIN KEY-----\nMIIEvQ'IBADAN\\Bgkqhki\nshrt\n}\n-----END KEY-----\n"


@pytest.mark.parametrize(
    "form",
    [str, repr, ascii, json.dumps, str.strip, lambda key: "; ".join(key.split("\n"))],
)
def test_each_line_of_a_secret_is_masked(form: Callable[[str], str]) -> None:
    """As it is, as Python and JSON write it, and line by line."""
    text = Redactor([KEY]).text(f"key {form(KEY)} end")

    assert [part for part in ("MIIE", "Bgkq", "shrt", "BEGIN") if part in text] == []
    assert (text[:4], text[-4:]) == ("key ", " end")


def test_secrets_are_masked_at_any_depth() -> None:
    """In lists and objects as well; numbers stay numbers."""
    value = {"a": ["hunter2", 7], "b": {"c": "x hunter2"}, "d": ("hunter2",)}

    assert Redactor(["hunter2"]).value(value) == {
        "a": ["********", 7],
        "b": {"c": "x ********"},
        "d": ["********"],
    }


def test_the_verdict_of_a_success() -> None:
    """The totals of the run."""
    tally = RunSummary("up")
    tally.see(
        PlanMade(version=1, target=3, pending=("2_b.sql", "3_c.sql"), not_pipelined={})
    )
    for version in (2, 3):
        tally.see(
            MigrationApplied(
                version=version, path="", statements=1, current=version, duration_s=0.1
            )
        )

    assert tally.verdict(None, duration_s=1.23456) == RunFinished(
        command="up",
        outcome="ok",
        exit_code=0,
        retryable=False,
        error=None,
        hint=None,
        failed=None,
        version_before=1,
        version_after=3,
        applied=(2, 3),
        reverted=(),
        pending=0,
        duration_s=1.235,
    )


def test_the_verdict_of_a_failure() -> None:
    """What broke, where, and what was done before."""
    tally = RunSummary("up")
    tally.see(
        PlanMade(version=1, target=3, pending=("2_b.sql", "3_c.sql"), not_pipelined={})
    )

    verdict = tally.verdict(failed(), duration_s=1)

    assert (verdict.outcome, verdict.exit_code, verdict.hint) == (
        "failed",
        13,
        "Try again.",
    )
    assert (verdict.applied, verdict.pending, verdict.version_after) == ((), 2, 1)
    assert verdict.failed == {
        "version": 2,
        "path": "2_b.sql",
        "line": 3,
        "column": 4,
        "statement": 1,
        "sqlstate": "42601",
        "message": "boom",
        "hint": "Try again.",
    }


def test_the_verdict_of_broken_files() -> None:
    """The first fault and how many there are."""
    fault = Fault(path="a", line=1, column=2, slug="bom", message="It has a BOM.")

    verdict = RunSummary("up").verdict(FilesInvalidError((fault, fault)), duration_s=0)

    assert verdict.failed == {
        "path": "a",
        "line": 1,
        "column": 2,
        "slug": "bom",
        "message": "It has a BOM.",
        "faults": 2,
    }
    assert (
        verdict.error == "a:1:2: It has a BOM. (and 1 more; `validate` lists them all)"
    )


def test_an_internal_error_is_reported_as_one() -> None:
    """What nobody foresaw is not dressed up."""
    verdict = RunSummary("up").verdict(KeyError("x"), duration_s=0)

    assert (verdict.exit_code, verdict.outcome) == (1, "internal")
    assert verdict.error == "internal error: KeyError: 'x'; please report it"


@pytest.mark.parametrize("size", [10, 4_000, 100_000])
@pytest.mark.parametrize("letter", ["x", "ä", "🐘", '"', "\n"])
def test_the_termination_message_fits(size: int, letter: str) -> None:
    """At most 4096 bytes of valid JSON, the verdict first, however long an error is."""
    verdict = RunSummary("up").verdict(failed(letter * size), duration_s=0)

    message = termination.message(vars(verdict))

    assert len(message.encode()) <= 4096
    assert list(json.loads(message))[:4] == [
        "outcome",
        "exit_code",
        "retryable",
        "error",
    ]
    assert json.loads(message)["failed"]["sqlstate"] == "42601"


def test_a_long_verdict_without_a_place_fits() -> None:
    """Neither a bug nor a wrong setting has `failed`: the error alone is cut."""
    verdict = RunSummary("up").verdict(KeyError("x" * 5000), duration_s=0)

    message = json.loads(termination.message(vars(verdict)))

    assert "failed" not in message
    assert len(json.dumps(message, separators=(",", ":"))) <= 4096
    assert message["error"].endswith("…")


def test_the_termination_message_is_written_where_the_file_exists(
    tmp_path: Path,
) -> None:
    """It replaces what was there; no file is made."""
    there, not_there = tmp_path / "there", tmp_path / "not_there"
    there.write_text("x" * 5000)
    fields = vars(RunSummary("up").verdict(None, duration_s=0.5))

    termination.write(there, fields)
    termination.write(not_there, fields)

    assert json.loads(there.read_text()) == {
        "outcome": "ok",
        "exit_code": 0,
        "retryable": False,
        "command": "up",
        "applied": 0,
        "duration_s": 0.5,
    }
    assert not not_there.exists()


def test_the_schema_says_what_each_line_begins_with() -> None:
    """Time, level and run, whatever the event is."""
    for case in schema()["oneOf"]:
        found = {name: case["properties"][name] for name in case["required"][:3]}
        assert found == {
            "timestamp": {"type": "string", "format": "date-time"},
            "level": {"enum": ["debug", "info", "warning", "error"]},
            "run_id": {"type": "string"},
        }

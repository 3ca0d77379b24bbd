"""One line: an annotation, a near miss, a comment."""

import pytest

from migrator.sql.goose.annotations import Annotation, Mark, Verdict, find_marks


def verdicts(text: str) -> list[tuple[str, Annotation | None]]:
    """Return what goose thinks of the lines of a text, and what was meant."""
    return [(mark.verdict.name, mark.annotation) for mark in find_marks(text)]


@pytest.mark.parametrize(
    ("line", "annotation"),
    [
        pytest.param("-- +goose Up", Annotation.UP, id="up"),
        pytest.param("-- +goose Down", Annotation.DOWN, id="down"),
        pytest.param("-- +goose StatementBegin", Annotation.BEGIN, id="begin"),
        pytest.param("-- +goose StatementEnd", Annotation.END, id="end"),
        pytest.param("-- +goose NO TRANSACTION", Annotation.NO_TRANSACTION, id="no-transaction"),
        pytest.param("-- +goose ENVSUB ON", Annotation.ENVSUB_ON, id="envsub-on"),
        pytest.param("-- +goose ENVSUB OFF", Annotation.ENVSUB_OFF, id="envsub-off"),
        pytest.param("--+goose up", Annotation.UP, id="no-blank-lower-case"),
        pytest.param("-- +gooseUp", Annotation.UP, id="nothing-between"),
        pytest.param("---- +goose Up --", Annotation.UP, id="more-dashes"),
        pytest.param("-- Up +goose", Annotation.UP, id="other-order"),
        pytest.param("-- +goose no transaction  ", Annotation.NO_TRANSACTION, id="blanks-behind"),
        pytest.param("-- +goose \u017ftatementEnd", Annotation.END, id="long-s"),
        pytest.param("\u00a0-- +goose Up", Annotation.UP, id="no-break-space"),
    ],
)  # fmt: skip
def test_annotations(line: str, annotation: Annotation) -> None:
    """goose v3.27.3 takes the line for an annotation."""
    assert verdicts(line) == [("TAKEN", annotation)]


@pytest.mark.parametrize(
    ("line", "verdict", "meant"),
    [
        pytest.param("-- +goose Up;", "UNKNOWN", Annotation.UP, id="semicolon"),
        pytest.param("-- +goose Up -- comment", "UNKNOWN", None, id="comment"),
        pytest.param("-- +goose NO  TRANSACTION", "UNKNOWN", Annotation.NO_TRANSACTION, id="two-blanks"),
        pytest.param("-- +goose ENVSUB", "UNKNOWN", None, id="half"),
        pytest.param("--- +goose Up", "UNKNOWN", Annotation.UP, id="three-dashes"),
        pytest.param("-- see +goose", "UNKNOWN", None, id="ordinary-comment"),
        pytest.param(" -- +goose Up", "INDENTED", Annotation.UP, id="indented"),
        pytest.param("\t-- +goose Down", "INDENTED", Annotation.DOWN, id="tab"),
        pytest.param("-- +goose Up +goose", "REPEATED", None, id="twice"),
        pytest.param("-- +goose", "EMPTY", None, id="empty"),
    ],
)  # fmt: skip
def test_what_goose_refuses(line: str, verdict: str, meant: Annotation | None) -> None:
    """goose v3.27.3 refuses the file for this line."""
    assert verdicts(line) == [(verdict, meant)]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        pytest.param("--+GOOSE DOWN", Annotation.DOWN, id="upper-case"),
        pytest.param("-- +Goose Up", Annotation.UP, id="capital"),
        pytest.param("-- + goose Up", Annotation.UP, id="blank-behind-plus"),
        pytest.param("  -- +GOOSE Up", Annotation.UP, id="indented"),
        pytest.param("-- goose StatementBegin", Annotation.BEGIN, id="no-plus"),
        pytest.param("-- +GOOSE Up first", None, id="more-words"),
        pytest.param("/* +goose Up */", Annotation.UP, id="block-comment"),
        pytest.param("- +goose Down", Annotation.DOWN, id="one-dash"),
        pytest.param("\u2014 +goose Down", Annotation.DOWN, id="em-dash"),
        pytest.param("# +goose Down", Annotation.DOWN, id="hash"),
        pytest.param("\ufeff-- +goose Down", Annotation.DOWN, id="byte-order-mark"),
    ],
)
def test_near_misses(line: str, meant: Annotation | None) -> None:
    """goose takes the line for something else, a reader for an annotation."""
    assert verdicts(line) == [("NEAR", meant)]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("-- a goose goes up and down", id="prose"),
        pytest.param("SELECT 'goose up';", id="string"),
        pytest.param("goose up", id="shell"),
        pytest.param("SELECT 1; -- +goose Up", id="behind-sql"),
        pytest.param("-- run goose before +1", id="words-apart"),
    ],
)
def test_other_lines(line: str) -> None:
    """Nobody takes the line for an annotation."""
    assert verdicts(line) == []


def test_marks_know_their_place() -> None:
    """A mark has line and offsets of its line, from the text's start."""
    text = "\n-- +goose Up\nSELECT 1;\n -- +goose Down"

    assert list(find_marks(text)) == [
        Mark(2, 1, 1, 13, Verdict.TAKEN, Annotation.UP, "Up"),
        Mark(4, 24, 25, 39, Verdict.INDENTED, Annotation.DOWN, "-- +goose Down"),
    ]

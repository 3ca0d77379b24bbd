"""Statements that end the transaction in which a file runs and is recorded."""

import pytest

from migrator.domain.model import Split
from migrator.sql.keywords import ends_transaction
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"
NO_TRANSACTION = "-- +goose NO TRANSACTION\n"
FUNCTION = "CREATE FUNCTION f() RETURNS int"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("COMMIT;", "COMMIT", id="commit"),
        pytest.param("commit work and chain;", "commit", id="chain"),
        pytest.param("Commit /* c */ Transaction", "Commit", id="commit-transaction"),
        pytest.param("END;", "END", id="end"),
        pytest.param("END TRANSACTION AND NO CHAIN;", "END", id="end-transaction"),
        pytest.param("ABORT;", "ABORT", id="abort"),
        pytest.param("ROLLBACK;", "ROLLBACK", id="rollback"),
        pytest.param("ROLLBACK WORK AND CHAIN;", "ROLLBACK", id="rollback-and-chain"),
        pytest.param("PREPARE TRANSACTION 'x';", "PREPARE", id="prepare-transaction"),
        pytest.param("ROLLBACK TO a;", "", id="rollback-to"),
        pytest.param("ROLLBACK WORK TO SAVEPOINT a;", "", id="rollback-work-to"),
        pytest.param("rollback transaction to a;", "", id="rollback-transaction-to"),
        pytest.param("COMMIT PREPARED 'x';", "", id="commit-prepared"),
        pytest.param("ROLLBACK PREPARED 'x';", "", id="rollback-prepared"),
        pytest.param("PREPARE p AS SELECT 1;", "", id="prepare"),
        pytest.param("PREPARE transaction AS SELECT 1;", "", id="prepared-transaction"),
        pytest.param("PREPARE transaction (int) AS SELECT $1;", "", id="prepared-with-types"),
        pytest.param("BEGIN;", "", id="begin"),
        pytest.param("SAVEPOINT a;", "", id="savepoint"),
        pytest.param("RELEASE a;", "", id="release"),
        pytest.param("commits;", "", id="longer-word"),
        pytest.param("end$;", "", id="dollar-in-a-word"),
        pytest.param('"commit";', "", id="quoted"),
        pytest.param("SELECT 1 AS commit;", "", id="name"),
    ],
)  # fmt: skip
def test_words(text: str, said: str) -> None:
    """What ends a transaction is known by its first words, in any case."""
    assert ends_transaction(text) == said


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param("SELECT 1;\nCOMMIT;\n", "2:1", id="line"),
        pytest.param("BEGIN;\nSELECT 1;\n  end work;\nSELECT 2;\n", "3:3", id="indented"),
        pytest.param("SELECT 1; COMMIT;\n", "1:11", id="second-in-a-line"),
        pytest.param("SELECT 1;--c\nROLLBACK;\n", "2:1", id="merged"),
        pytest.param(" \n-- c\nABORT;\n", "3:1", id="below-a-comment-that-is-kept"),
        pytest.param("SELECT 1;\nPREPARE\n  TRANSACTION 'x';\n", "2:1", id="over-lines"),
        pytest.param(f"{BEGIN}SELECT 1;\n ABORT\n{END}", "3:2", id="block"),
        pytest.param(f"{BEGIN}COMMIT;\n{END}", "2:1", id="alone-in-a-block"),
        pytest.param("SELECT $x$;\n$x$;COMMIT;\n", "2:5", id="behind-what-goose-splits"),
    ],
)  # fmt: skip
def test_an_end_stops_its_direction(split: Split, body: str, place: str) -> None:
    """In a file that runs in a transaction, its end is a fault at the statement's place."""
    line, _, column = place.partition(":")
    up = parsed(f"{UP}{body}{DOWN}SELECT 0;\n", split)
    down = parsed(f"{UP}SELECT 0;\n{DOWN}{body}", split)

    assert f"ends_transaction {int(line) + 1}:{column}" in faults(up.up)
    assert texts(up.down) == ["SELECT 0;"]
    assert f"ends_transaction {int(line) + 3}:{column}" in faults(down.down)
    assert texts(down.up) == ["SELECT 0;"]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("SAVEPOINT a;\nROLLBACK TO a;\nBEGIN;\n", id="savepoint"),
        pytest.param(f"{BEGIN}DO $$\nBEGIN\nCOMMIT;\nEND;\n$$;\n{END}", id="do"),
        pytest.param(f"{BEGIN}{FUNCTION}\nBEGIN ATOMIC\nSELECT 1;\nEND;\n{END}", id="atomic"),
        pytest.param(f"{BEGIN}{FUNCTION} AS $$\nBEGIN;\nEND;\n$$;\n{END}", id="function"),
        pytest.param(f"{BEGIN}SELECT '\nCOMMIT;\n';\n{END}", id="string"),
        pytest.param("/* COMMIT; */ SELECT 1;\n", id="comment"),
        pytest.param("SELECT 1\n-- COMMIT;\n;\n", id="line-comment"),
    ],
)  # fmt: skip
def test_the_same_words_elsewhere_are_harmless(split: Split, body: str) -> None:
    """Bodies, strings and comments end nothing, nor does a way back to a savepoint."""
    assert faults(parsed(f"{UP}{body}", split).up) == []


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("last", [False, True], ids=["first", "last"])
def test_without_a_transaction_a_file_makes_its_own(split: Split, last: bool) -> None:  # noqa: FBT001  # two places
    """NO TRANSACTION, wherever it stands, leaves BEGIN and COMMIT to the file."""
    body = f"{UP}BEGIN;\nSELECT 1;\nCOMMIT;\n"
    content = body + NO_TRANSACTION if last else NO_TRANSACTION + body

    assert faults(parsed(content, split).up) == []


def test_the_message_says_both_ways_out() -> None:
    """One may leave the transaction to the migrator, or do without."""
    (fault,) = parsed(f"{UP}COMMIT;\n").up.faults

    assert str(fault) == (
        "1_a.sql:2:1: COMMIT ends the transaction in which this file runs and is"
        " recorded, and part of the file would be in effect without its version;"
        " remove it, and the BEGIN before it, for the transaction is made for you, or"
        " mark the file '-- +goose NO TRANSACTION'"
    )

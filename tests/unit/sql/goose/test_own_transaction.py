"""A half that is one BEGIN … COMMIT is the transaction of its migration."""

import pytest

from migrator.domain.model import Section, Split, Statement
from tests.unit.sql.support import faults, parsed


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
BLOCK = "-- +goose StatementBegin\n{}\n-- +goose StatementEnd\n"


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    ("begin", "commit", "sent"),
    [
        ("BEGIN", "COMMIT", "BEGIN"),
        ("begin work", "commit work", "BEGIN"),
        ("BEGIN /* c; */ TRANSACTION", "COMMIT -- c\n TRANSACTION", "BEGIN"),
        ("START TRANSACTION", "END", "BEGIN"),
        ("START TRANSACTION READ WRITE", "END WORK", "BEGIN READ WRITE"),
        ("BEGIN", "COMMIT AND NO CHAIN", "BEGIN"),
        (
            "BEGIN ISOLATION LEVEL Serializable, READ WRITE NOT DEFERRABLE",
            "END TRANSACTION AND NO CHAIN",
            "BEGIN ISOLATION LEVEL SERIALIZABLE , READ WRITE NOT DEFERRABLE",
        ),
        (
            "BEGIN WORK ISOLATION LEVEL READ UNCOMMITTED",
            "COMMIT",
            "BEGIN ISOLATION LEVEL READ UNCOMMITTED",
        ),
    ],
)
def test_own_transaction_is_the_migrations(
    split: Split, begin: str, commit: str, sent: str
) -> None:
    """BEGIN and COMMIT are left out; what the BEGIN asks for is sent with ours."""
    body = f"-- c\n{begin};\nSELECT 1;\n  SELECT\n 2;\n{commit}; -- d\n-- e\n"
    migration = parsed(f"{UP}{body}{DOWN}{body}", split)
    line = 4 + begin.count("\n")
    statements = (Statement("SELECT 1;", line), Statement("SELECT\n 2;", line + 1, 3))

    assert migration.up == Section(statements, begin=sent)
    assert migration.down.begin == sent
    assert [s.text for s in migration.down.statements] == ["SELECT 1;", "SELECT\n 2;"]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "inner",
    [
        "BEGIN;\n\n  CREATE TABLE a (); SELECT\n  1;\nCOMMIT;",
        "-- c\nBEGIN;\n  CREATE TABLE a (); SELECT\n  1;\n/* c */ COMMIT",
        "/* c\n */BEGIN; -- d\n  CREATE TABLE a (); SELECT\n  1;\nEND; /* c */\n-- d",
    ],
)
def test_own_transaction_may_be_one_block(split: Split, inner: str) -> None:
    """What is left of the block stands where it stood in the file."""
    section = parsed(UP + BLOCK.format(inner), split).up
    line = 3 + inner[: inner.index("CREATE")].count("\n")
    (statement,) = section.statements

    assert section == Section((Statement("CREATE TABLE a (); SELECT\n  1;", line, 3),))
    assert statement.locate(statement.text.index("1") + 1) == (line + 1, 3)


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "inner",
    [
        "-- c\n\n  CREATE TABLE a (); SELECT\n  1;\nCOMMIT;",
        "  CREATE TABLE a (); SELECT\n  1;\n/* c */ END WORK -- d",
    ],
)
def test_a_blocks_last_commit_is_the_migrations(split: Split, inner: str) -> None:
    """One block that ends with COMMIT needs no BEGIN: goose's own stands before it."""
    section = parsed(f"-- a\n{UP}-- b\n{BLOCK.format(inner)}-- c\n", split).up
    line = 5 + inner[: inner.index("CREATE")].count("\n")
    (statement,) = section.statements

    assert (section.faults, section.begin) == ((), "BEGIN")
    assert statement.text.endswith("CREATE TABLE a (); SELECT\n  1;")
    assert statement.locate(statement.text.index("CREATE") + 1) == (line, 3)


@pytest.mark.parametrize("split", Split)
def test_own_transaction_holds_bodies_and_rows(split: Split) -> None:
    """Words in bodies end nothing; variables and cut lines keep their places."""
    body = (
        "BEGIN; SELECT 1;\n-- +goose StatementBegin\nDO $$ BEGIN NULL;\nEND; $$;\n"
        "-- +goose StatementEnd\nCOPY a FROM stdin;\nx\n\\.\nSAVEPOINT a;\n"
        "ROLLBACK TO a;\nSELECT 2; COMMIT;\n"
    )

    section = parsed(UP + body, split).up

    assert section.faults == ()
    assert [(s.text, s.line, s.column) for s in section.statements] == [
        ("SELECT 1;", 2, 8),
        ("DO $$ BEGIN NULL;\nEND; $$;", 4, 1),
        ("COPY a FROM stdin;", 7, 1),
        ("SAVEPOINT a;", 10, 1),
        ("ROLLBACK TO a;", 11, 1),
        ("SELECT 2;", 12, 1),
    ]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "body",
    [
        "SELECT 1;\nBEGIN;\nSELECT 1;\nCOMMIT;\n",
        "BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 1;\n",
        "BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 1;\nCOMMIT;\n",
        "BEGIN;\nBEGIN;\nSELECT 1;\nCOMMIT;\n",
        "BEGIN;\nSELECT 1;\nROLLBACK;\n",
        "BEGIN;\nSELECT 1;\nCOMMIT AND CHAIN;\n",
        "BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;\n",
        "BEGIN ISOLATION LEVEL SNAPSHOT;\nSELECT 1;\nCOMMIT;\n",
        "BEGIN;\nSELECT 1;\nPREPARE TRANSACTION 'a';\n",
        "COMMIT;\n",
        BLOCK.format("BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 1;"),
        BLOCK.format("BEGIN;\nSELECT 1;\nCOMMIT;") + "SELECT 1;\n",
        BLOCK.format("COMMIT;"),
        BLOCK.format("SELECT 1;\nCOMMIT;\nSELECT 1;"),
        BLOCK.format("SELECT 1;\nCOMMIT;\nCOMMIT;"),
        BLOCK.format("SELECT 1;\nBEGIN;\nSELECT 1;\nCOMMIT;"),
        BLOCK.format("SELECT 1;\nCOMMIT AND CHAIN;"),
        BLOCK.format("SELECT 1;\nROLLBACK;"),
        BLOCK.format("SELECT 1;\nCOMMIT;") + "SELECT 1;\n",
        BLOCK.format("SELECT 1;\nCOMMIT;") * 2,
        BLOCK.format("SELECT 1;") + BLOCK.format("SELECT 1;\nCOMMIT;"),
        "SELECT 1;\nCOMMIT;\n",
        "SELECT 1; COMMIT;\n",
    ],
)
def test_other_transactions_stay_refused(split: Split, body: str) -> None:
    """More than one transaction, or something outside of it, is refused as before."""
    kinds = {fault.partition(" ")[0] for fault in faults(parsed(UP + body, split).up)}

    assert kinds == {"ends_transaction"}


@pytest.mark.parametrize("split", Split)
def test_own_transaction_without_a_transaction_is_the_files(split: Split) -> None:
    """In a NO TRANSACTION file, BEGIN and COMMIT are sent as they are."""
    body = f"{UP}BEGIN;\nSELECT 1;\nCOMMIT;\n-- +goose NO TRANSACTION\n"

    assert [s.text for s in parsed(body, split).up.statements] == [
        "BEGIN;",
        "SELECT 1;",
        "COMMIT;",
    ]


@pytest.mark.parametrize("split", Split)
def test_own_transaction_of_variables_keeps_places(split: Split) -> None:
    """A variable of several lines before what is left does not move it."""
    body = "-- +goose ENVSUB ON\n" + BLOCK.format("BEGIN; $A\nSELECT 1;\nCOMMIT;")

    (statement,) = parsed(UP + body, split, {"A": "SELECT\n0;"}).up.statements

    assert statement.text == "SELECT\n0;\nSELECT 1;"
    assert [statement.locate(at)[0] for at in (1, 8, 11)] == [4, 4, 5]

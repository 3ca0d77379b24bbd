"""What only the server refused once is found in the file, before anything is applied."""

import pytest

from migrator.domain.model import Split
from tests.helpers.not_in_transaction import REFUSED
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
NO_TRANSACTION = "-- +goose NO TRANSACTION\n"
BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"
SPLITS = pytest.mark.parametrize("split", Split)


@SPLITS
@pytest.mark.parametrize("text", REFUSED)
def test_what_no_transaction_takes(text: str, split: Split) -> None:
    """A statement that must be outside of a transaction needs NO TRANSACTION."""
    said = REFUSED[text]
    refused = parsed(f"{UP}SELECT 1;\n{text};\nSELECT 2;\n", split).up
    accepted = parsed(f"{NO_TRANSACTION}{UP}SELECT 1;\n{text};\nSELECT 2;\n", split).up

    assert faults(refused) == ["refuses_transaction 3:1"]
    assert refused.faults[0].message.startswith(
        f"{said} cannot run in a transaction block"
    )
    assert "'-- +goose NO TRANSACTION'" in refused.faults[0].message
    assert texts(accepted) == ["SELECT 1;", f"{text};", "SELECT 2;"]


@SPLITS
@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param(f"{BEGIN}SELECT 1;\nVACUUM\n{END}", "4:1", id="in-a-block"),
        pytest.param("SELECT 1; /* c */ VACUUM;\n", "2:19", id="in-a-line"),
        pytest.param("/* c */ VACUUM;\n", "2:9", id="behind-a-comment"),
        pytest.param("-- c\n  vacuum\n;\n", "3:3", id="over-lines"),
        pytest.param("BEGIN;\nVACUUM;\nCOMMIT;\n", "3:1", id="in-its-own-transaction"),
    ],
)
def test_where_a_refused_statement_stands(body: str, place: str, split: Split) -> None:
    """The place is the statement's own, wherever in the file it is."""
    assert faults(parsed(f"{UP}{body}", split).up) == [f"refuses_transaction {place}"]


@SPLITS
@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX i ON concurrently.t (a)",
        "CREATE INDEX i ON t (concurrently.a)",
        "ANALYZE t",
        "CLUSTER t",
        "CLUSTER VERBOSE t USING i",
        "REINDEX TABLE t",
        "REINDEX (CONCURRENTLY false) TABLE t",
        "REINDEX (CONCURRENTLY 0) TABLE t",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY v",
        "ALTER DATABASE d SET default_tablespace = ''",
        "ALTER TABLE t SET TABLESPACE s",
        "ALTER TABLE p DETACH PARTITION p1",
        "ALTER TABLE IF EXISTS p DETACH PARTITION p1 CONCURRENTLY",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (create_slot = false)",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (\"connect\" = false)",
        "ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)",
        "ALTER SUBSCRIPTION s DISABLE",
        "DROP SUBSCRIPTION s",
        "DISCARD TEMP",
        "SELECT 'VACUUM'",
        "DO $$ BEGIN EXECUTE 'VACUUM'; END $$",
        "ALTER TYPE e ADD VALUE 'x'",
        "COMMENT ON DATABASE d IS 'CREATE DATABASE'",
    ],
)
def test_what_a_transaction_may_take(text: str, split: Split) -> None:
    """Only what is certain from the words is refused; the rest is the server's."""
    assert faults(parsed(f"{UP}{text};\n", split).up) == []


@pytest.mark.parametrize("head", ["", NO_TRANSACTION], ids=["", "no-transaction"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(
            "SELECT 1;\n/* one;\n two */\nSELECT 2;\n",
            "semicolon_in_comment 3:7",
            id="short",
        ),
        pytest.param(
            "/*\nCREATE TABLE x (\n);\n*/\nSELECT 2;\n",
            "semicolon_in_comment 4:2",
            id="long",
        ),
        pytest.param(
            "/* a /* b; */\n c;\n*/ /* d */\nSELECT 2;\n",
            "semicolon_in_comment 3:3",
            id="nested",
        ),
        pytest.param(
            "SELECT 1;\n/* a;\n*/ ;\nSELECT 2;\n",
            "semicolon_in_comment 3:5",
            id="lone-semicolon",
        ),
        pytest.param(
            "SELECT 1;\n/* a;\n b;\n*/\n", "semicolon_in_comment 3:5", id="at-the-end"
        ),
        pytest.param(
            f"/* a;\n*/\n{BEGIN}SELECT 1;\n{END}",
            "semicolon_in_comment 2:5",
            id="before-a-block",
        ),
        pytest.param("/* a;\n; */\n", "semicolon_in_comment 2:5", id="nothing-else"),
    ],
)
def test_a_line_end_in_a_comment_between_statements(
    body: str, expected: str, head: str
) -> None:
    """goose ends a statement at a `;` in a block comment: that is a fault, with its place."""
    kind, _, place = expected.partition(" ")
    line, _, column = place.partition(":")
    expected = f"{kind} {int(line) + bool(head)}:{column}"
    found = parsed(f"{head}{UP}{body}").up
    by_lexer = parsed(f"{head}{UP}{body}", Split.POSTGRES).up

    assert faults(found)[:1] == [expected]
    assert "inside a block comment" in found.faults[0].message
    assert faults(by_lexer) == []


@SPLITS
@pytest.mark.parametrize(
    ("body", "place", "inside"),
    [
        ("SELECT 'a;\n", "3:8", "a string"),
        ("SELECT E'a\\';\n", "3:8", "a string"),
        ('SELECT 1 AS "x;\n', "3:13", "a quoted name"),
        ("SELECT 1; /* c\n", "3:11", "a block comment"),
        ("/* c /* d */\n", "3:1", "a block comment"),
        ("DO $a$ BEGIN\nEND $b$;\n", "3:4", "a dollar-quoted text"),
        ("SELECT (1;\n", "3:8", "parentheses"),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n1;\n", "3:49", "a dollar-quoted text"),
    ],
)  # fmt: skip
def test_what_a_block_never_closes(
    body: str, place: str, inside: str, split: Split
) -> None:
    """A block is sent as it is: what is open at its end is open for the server."""
    found = parsed(f"{UP}{BEGIN}{body}{END}SELECT 2;\n", split).up

    assert faults(found) == [f"unclosed {place}"]
    assert found.faults[0].message.startswith(f"{inside} is opened here")


@SPLITS
def test_parentheses_that_nothing_closes(split: Split) -> None:
    """Outside of a block, too, a statement ends with an open parenthesis."""
    found = parsed(f"{UP}SELECT (1;\n", split).up

    assert faults(found) == ["unclosed 2:8"]


@SPLITS
@pytest.mark.parametrize(
    ("body", "place", "said"),
    [
        pytest.param("SELECT 1 \\gset\nSELECT 2;\n", "2:10", "\\gset", id="gset"),
        pytest.param("SELECT 1\\gset x_\n;\n", "2:9", "\\gset x_", id="no-blank"),
        pytest.param("SELECT 1 \\g\n", "2:10", "\\g", id="at-the-end"),
        pytest.param("SELECT 'a'\n\\gexec\n", "3:1", "\\gexec", id="own-line"),
        pytest.param("SELECT 'a';\\gexec\nSELECT 1;\n", "2:12", "\\gexec", id="behind"),
        pytest.param("SELECT 'a'; \\watch 1\n", "2:13", "\\watch 1", id="behind-last"),
        pytest.param("SELECT 1 \\; SELECT 2;\n", "2:10", "\\;", id="separator"),
        pytest.param("SELECT (1\n\\crosstabview\n);\n", "3:1", "\\crosstabview", id="inside"),
        pytest.param(f"{BEGIN}SELECT 1 \\gdesc\n{END}", "3:10", "\\gdesc", id="block"),
        pytest.param(
            "INSERT INTO a VALUES ('it\\'s', 'it\\'s');\n", "2:35", "\\'s');", id="quote"
        ),
    ],
)  # fmt: skip
def test_a_psql_command_in_a_line_of_sql(
    body: str, place: str, said: str, split: Split
) -> None:
    """A backslash outside of quotes is psql's: the fault is where the command begins."""
    found = parsed(f"{UP}{body}", split).up

    assert [f for f in faults(found) if "psql" in f] == [f"psql_command {place}"]
    assert f"'{said}' is a command of psql" in found.faults[0].message


@SPLITS
@pytest.mark.parametrize(
    "text",
    ["SELECT 'a \\gset';", "SELECT E'\\'\\g';", "SELECT $$ \\g $$;", "SELECT 1 /* \\g */;", 'SELECT 1 AS "\\g";', "SELECT 1 -- \\g\n;"],
)  # fmt: skip
def test_a_backslash_in_quotes_and_comments(text: str, split: Split) -> None:
    """Inside of something a backslash means nothing to psql."""
    found = parsed(f"{UP}{text}\n", split).up

    assert (faults(found), texts(found)) == ([], [text])


def test_a_backslash_before_a_quote_says_how_it_escapes() -> None:
    """Where an escape was meant, the message says where it is one."""
    (fault,) = parsed(f"{UP}SELECT 'it\\'s', 'it\\'s';\n").up.faults

    assert "a backslash before a quote escapes it only in E'…'" in fault.message

"""split=postgres: the lexer says what is a statement and what an annotation."""

import pytest

from migrator.domain.model import Split, Statement
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("SELECT 1; SELECT ';';\n", ["SELECT 1;", "SELECT ';';"], id="in-a-line"),
        pytest.param("DO $$\nBEGIN;\nEND $$;\n", ["DO $$\nBEGIN;\nEND $$;"], id="no-block-needed"),
        pytest.param("SELECT 1\n", ["SELECT 1"], id="last-without-semicolon"),
        pytest.param("SELECT 1; /* c */ -- d\n;;\n", ["SELECT 1;"], id="rest-of-comments"),
        pytest.param("/* c; */ SELECT 1 /* d\n*/;", ["SELECT 1 /* d\n*/;"], id="comments"),
        pytest.param(f"{BEGIN}SELECT 1; SELECT 2;\n{END}SELECT 3;", ["SELECT 1; SELECT 2;", "SELECT 3;"], id="block"),
        pytest.param(f"{BEGIN}-- c\n\nSELECT 1 -- d\n{END}", ["SELECT 1 -- d"], id="comments-in-a-block"),
        pytest.param(f"{BEGIN}-- c\n{END}SELECT 1;", ["SELECT 1;"], id="empty-block-loses-nothing"),
        pytest.param(f"SELECT\n{BEGIN}1;2\n{END}SELECT 3;", ["SELECT\n1;2", "SELECT 3;"], id="block-in-mid-statement"),
        pytest.param("SELECT '\n-- +goose Down\n';\n", ["SELECT '\n-- +goose Down\n';"], id="annotation-in-a-string"),
        pytest.param("SELECT 1 /*\n-- +goose Down\n*/;\n", ["SELECT 1 /*\n-- +goose Down\n*/;"], id="annotation-in-a-comment"),
        pytest.param("/*\n-- +goose Down\n*/\nSELECT 1;\n", ["SELECT 1;"], id="annotation-in-a-comment-between"),
        pytest.param("DO $$\n  -- see +goose\n$$;\n", ["DO $$\n  -- see +goose\n$$;"], id="annotation-in-a-body"),
        pytest.param("SELECT 1,\n-- +goose NO TRANSACTION\n2;\n", ["SELECT 1,\n2;"], id="annotation-in-mid-statement"),
        pytest.param("SELECT 1;\r\nSELECT\r\n2;\r\n", ["SELECT 1;", "SELECT\n2;"], id="crlf"),
        pytest.param("--" + "x" * 4194304 + "\nSELECT 1;\n", ["SELECT 1;"], id="no-limit-for-lines"),
    ],
)  # fmt: skip
def test_statements(body: str, expected: list[str]) -> None:
    """Statements end where PostgreSQL ends them."""
    up = parsed(f"{UP}{body}", Split.POSTGRES)
    both = parsed(f"{UP}{body}\n{DOWN}{body}", Split.POSTGRES)

    assert (texts(up.up), faults(up.up)) == (expected, [])
    assert (texts(both.up), texts(both.down)) == (expected, expected)


@pytest.mark.parametrize(
    ("body", "up", "down"),
    [
        pytest.param("SELECT 'a;\n", ["unclosed 2:8"], ["unclosed 2:8"], id="open-string-hides-down"),
        pytest.param("/* a;\n", ["unclosed 2:1"], ["unclosed 2:1"], id="open-comment-hides-down"),
        pytest.param("\\connect x\nSELECT 1;\n", ["psql_command 2:1"], [], id="psql-command"),
        pytest.param("--+GOOSE DOWN\n", ["near_annotation 2:1"], ["near_annotation 2:1"], id="near-miss"),
        pytest.param("SELECT 1,\n-- + goose Up\n2;\n", ["near_annotation 3:1"], ["near_annotation 3:1"], id="near-miss-in-a-statement"),
        pytest.param("COPY t FROM stdin;\n1\n", ["copy_unended 2:1"], ["copy_unended 2:1"], id="rows-never-end"),
        pytest.param("COPY t FROM stdin\n", ["copy_unended 2:1"], [], id="copy-without-semicolon"),
        pytest.param("COPY t FROM stdin; SELECT 1;\n1\n\\.\n", ["copy_followed 2:20"], [], id="sql-behind-copy"),
        pytest.param(f"{BEGIN}COPY t FROM stdin;\n{END}", ["copy_in_block 3:1"], [], id="copy-in-a-block"),
        pytest.param(f"{BEGIN}SELECT 1; VACUUM;\n{END}-- +goose NO TRANSACTION\n", ["merged 3:11"], [], id="merged-in-a-block"),
        pytest.param(f"{BEGIN}x\n", ["down_in_block 4:1"], ["down_in_block 4:1"], id="down-in-a-block"),
        pytest.param("SELECT '\0';\n", ["nul 2:9"], [], id="nul"),
        pytest.param("COPY t FROM stdin;\na\nb\udce9\n\\.\n", ["invalid_utf8 4:2"], [], id="bytes-in-rows"),
        pytest.param("-- +goose ENVSUB ON\n  SELECT ${A?};\n", ["envsub 3:10"], [], id="variable"),
    ],
)  # fmt: skip
def test_faults(body: str, up: list[str], down: list[str]) -> None:
    """A fault stops the half that it is in; both, when it may hide where Down starts."""
    content = f"{UP}{body}{DOWN}SELECT 2;\n".encode("utf-8", "surrogateescape")
    migration = parsed(content, Split.POSTGRES)

    assert (faults(migration.up), faults(migration.down)) == (up, down)


def test_rows_follow_copy() -> None:
    """Rows are read up to a line with a backslash and a dot, whatever they hold."""
    content = (
        f"{UP}COPY t (a) FROM stdin; -- rows\n1;'\n-- +goose Down\n\\.\n  SELECT 1;\n"
    )
    migration = parsed(content, Split.POSTGRES)

    assert migration.up.faults == ()
    assert migration.up.statements == (
        Statement("COPY t (a) FROM stdin;", 2, data=("1;'\n-- +goose Down\n",)),
        Statement("SELECT 1;", 6, 3),
    )


def test_no_rows_follow_copy() -> None:
    """A COPY may have no rows; the end of rows may be the file's last line."""
    (statement,) = parsed(f"{UP}COPY t FROM stdin;\n\\.", Split.POSTGRES).up.statements

    assert statement == Statement("COPY t FROM stdin;", 2, data=("",))


def test_sql_before_up_is_refused_once() -> None:
    """What stands before Up belongs to no half."""
    migration = parsed(f"SELECT 1;\nSELECT 2;\n{UP}SELECT 3;\n", Split.POSTGRES)

    assert faults(migration.up) == faults(migration.down) == ["before_up 1:1"]


def test_places_count_the_lines_that_were_taken_out_or_added() -> None:
    """A position in what is sent leads to the file's line, ENVSUB and annotations or not."""
    content = f"{UP}\n  SELECT 'ä',\n-- +goose ENVSUB ON\n$LINES,\n-- +goose ENVSUB OFF\n  2; SELECT 4;\n"
    first, second = parsed(content, Split.POSTGRES, {"LINES": "1,\n  3"}).up.statements

    assert first.text == "SELECT 'ä',\n1,\n  3,\n  2;"
    assert [
        first.locate(first.text.index(x) + 1) for x in ("S", "ä", "1", "3", "2")
    ] == [(3, 3), (3, 11), (5, 1), (5, 3), (7, 3)]
    assert second.locate(8) == (7, 13)

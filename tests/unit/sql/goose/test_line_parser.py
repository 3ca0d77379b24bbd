"""goose's grammar, rule by rule: what is a statement, what is refused, and where."""

import pytest

from migrator.domain.model import Direction, Split, Statement
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
BEGIN = "-- +goose StatementBegin\n"
END = "-- +goose StatementEnd\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("SELECT 1;\nSELECT 2;\n", ["SELECT 1;", "SELECT 2;"], id="lines"),
        pytest.param("SELECT\n  1\n;\n", ["SELECT\n  1\n;"], id="over-lines"),
        pytest.param("SELECT 1;", ["SELECT 1;"], id="no-line-end"),
        pytest.param("SELECT 1,\n-- +goose NO TRANSACTION\n'x';\n", ["SELECT 1,\n'x';"], id="annotation-before-a-string"),
        pytest.param("  SELECT 1;\n\tSELECT 2;\n", ["SELECT 1;", "SELECT 2;"], id="indented"),
        pytest.param("SELECT 1;\r\nSELECT\r\n2;\r\n", ["SELECT 1;", "SELECT\n2;"], id="crlf"),
        pytest.param("SELECT 1; SELECT 2;\n", ["SELECT 1; SELECT 2;"], id="two-in-a-line"),
        pytest.param("SELECT 1; -- c\n", ["SELECT 1; -- c"], id="comment-behind"),
        pytest.param("SELECT 1;--c\nSELECT 2;\n", ["SELECT 1;--c\nSELECT 2;"], id="merged"),
        pytest.param("SELECT 1; /* c */\nSELECT 2;\n", ["SELECT 1; /* c */\nSELECT 2;"], id="merged-by-block-comment"),
        pytest.param("SELECT ' -- ';\nSELECT 2;\n", ["SELECT ' -- ';\nSELECT 2;"], id="merged-by-dashes-in-a-string"),
        pytest.param(";\n", [";"], id="lone-semicolon"),
        pytest.param("-- a\n\nSELECT 1,\n-- b\n\n2;\n-- c\n", ["SELECT 1,\n-- b\n\n2;"], id="comments"),
        pytest.param(" \n-- a\nSELECT 1;\n", ["-- a\nSELECT 1;"], id="a-line-of-blanks-keeps-comments"),
        pytest.param(f"{BEGIN}SELECT 1;\nSELECT 2\n{END}", ["SELECT 1;\nSELECT 2"], id="block"),
        pytest.param(f"{BEGIN}-- a\nSELECT 1\n-- b\n{END}", ["SELECT 1\n-- b"], id="comments-in-a-block"),
        pytest.param(f"SELECT\n{BEGIN}1;\n2\n{END}", ["SELECT\n1;\n2"], id="block-in-mid-statement"),
        pytest.param(f"{BEGIN}{END}{BEGIN}SELECT 1\n{END}", ["SELECT 1"], id="empty-block-before-a-block"),
        pytest.param(f"{BEGIN} \n{END}SELECT 1;\n", ["SELECT 1;"], id="block-of-blanks"),
        pytest.param("", [], id="nothing"),
    ],
)  # fmt: skip
def test_statements(body: str, expected: list[str]) -> None:
    """The statements of a half are goose's, character by character, in both halves."""
    up = parsed(f"{UP}{body}")
    down = parsed(f"{UP}{DOWN}{body}")

    assert (texts(up.up), faults(up.up)) == (expected, [])
    assert (texts(down.down), faults(down.down)) == (expected, [])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param("", ["no_up"], id="empty"),
        pytest.param("\n-- c\n", ["no_up"], id="comments-only"),
        pytest.param("SELECT 1;\n", ["before_up 1:1"], id="no-annotation"),
        pytest.param(f"\n  /* c */\n{UP}", ["before_up 2:3"], id="block-comment-first"),
        pytest.param(f"{UP}{UP}", ["duplicate_up 2:1"], id="up-twice"),
        pytest.param(f"{UP}{DOWN}{DOWN}", ["duplicate_down 3:1"], id="down-twice"),
        pytest.param(f"{UP}{DOWN}{UP}", ["duplicate_up 3:1"], id="up-after-down"),
        pytest.param(DOWN, ["down_before_up 1:1"], id="down-first"),
        pytest.param(f"{BEGIN}{UP}", ["begin_before_up 1:1"], id="block-first"),
        pytest.param(f"{END}{UP}", ["end_without_begin 1:1"], id="end-first"),
        pytest.param(f"{UP}{END}", ["end_without_begin 2:1"], id="end-alone"),
        pytest.param(f"{UP}{BEGIN}x\n{BEGIN}{END}", ["begin_in_block 4:1"], id="nested"),
        pytest.param(f"{UP}{BEGIN}x\n", ["end_missing 2:1"], id="never-ended"),
        pytest.param(f"{UP}{BEGIN}x\n{DOWN}", ["down_in_block 4:1"], id="down-in-a-block"),
        pytest.param("-- +goose Up;\n", ["annotation_unknown 1:1"], id="unknown"),
        pytest.param(f"{UP} {DOWN}", ["annotation_indented 2:1"], id="indented"),
        pytest.param(f"{UP}-- +goose\n", ["annotation_empty 2:1"], id="empty-annotation"),
        pytest.param(f"{UP}-- +goose Down +goose\n", ["annotation_repeated 2:1"], id="repeated"),
        pytest.param(f"{UP}{BEGIN}f $$\n-- see +goose\n$$\n{END}", ["annotation_unknown 4:1"], id="comment-in-a-body"),
        pytest.param(f"\ufeff{UP}", ["bom 1:1"], id="byte-order-mark"),
        pytest.param(f"\ufeff{UP}".encode("utf-16-le"), ["bom 1:1"], id="utf-16"),
        pytest.param("-- +goose Up\rSELECT 1;\r", ["carriage_return"], id="old-mac"),
        pytest.param(f"{UP}--{'x' * 4194302}\n", ["line_too_long 2:1"], id="4-mib-line"),
        pytest.param(f"{UP}--+GOOSE DOWN\nSELECT 1;\n", ["near_annotation 2:1"], id="near-down"),
        pytest.param(b"-- +goose Up\n-- +goose ENVSUB ON\nSELECT '\xe9';\n", ["invalid_utf8 3:9"], id="bytes-under-envsub"),
    ],
)  # fmt: skip
def test_what_stops_both_directions(content: str | bytes, expected: list[str]) -> None:
    """Errors in the order of annotations, and in the file itself, stop both halves."""
    expected = [each if " " in each else f"{each} 0:0" for each in expected]
    migration = parsed(content)

    assert [faults(migration.section(way)) for way in Direction] == [expected, expected]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param("SELECT 1\n", "unfinished 1:1", id="no-semicolon"),
        pytest.param("SELECT 1; -- c\n  SELECT 2 -- ;\n", "unfinished 2:3", id="semicolon-in-a-comment"),
        pytest.param("SELECT 1; /* c */\n", "unfinished 1:9", id="semicolon-before-a-comment"),
        pytest.param("SELECT 1;--c\n", "unfinished 1:9", id="semicolon-before-dashes"),
        pytest.param("SELECT 'a\n", "unfinished 1:8", id="open-string"),
        pytest.param("SELECT 1;\n \n-- c\n", "unfinished 3:1", id="comment-behind-blanks"),
        pytest.param(f"{BEGIN}-- c\n{END}SELECT 1;\n", "empty_block 1:1", id="comment-only-block"),
        pytest.param(f"{BEGIN}{END}\n-- c\nSELECT 1;\n", "empty_block 1:1", id="empty-block"),
        pytest.param("SELECT 'a;\nb';\n", "split_inside 1:10", id="string"),
        pytest.param('SELECT "a;\nb";\n', "split_inside 1:10", id="quoted-name"),
        pytest.param("DO $$\nBEGIN;\nEND $$;\n", "split_inside 2:6", id="dollar-quote"),
        pytest.param("SELECT 1 /*;\n*/;\n", "split_inside 1:12", id="block-comment"),
        pytest.param("SELECT 5--only five;\n+ 1;\n", "split_inside 1:20", id="comment-without-blank"),
        pytest.param("CREATE RULE r AS ON INSERT TO t DO (\na;\nb);\n", "split_inside 2:2", id="parentheses"),
        pytest.param("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC\nSELECT 1;\nEND;\n", "split_inside 2:9", id="atomic-body"),
        pytest.param("SELECT 'its;\nSELECT 2;\n", "unclosed 1:8", id="never-closed"),
        pytest.param("SELECT 1; COPY t FROM stdin;\n1;\n\\.\n", "copy_merged 1:11", id="copy-behind-a-statement"),
        pytest.param("COPY t FROM stdin; SELECT 1;\n1;'\n\\.\n", "copy_followed 1:20", id="sql-behind-copy"),
        pytest.param("COPY t FROM stdin; /* c\n*/\n\\.\n", "copy_followed 1:20", id="open-comment-behind-copy"),
        pytest.param(f"{BEGIN}COPY t FROM stdin;\n1;\n\\.\n{END}", "copy_in_block 2:1", id="copy-in-a-block"),
        pytest.param("COPY t FROM stdin\n1\n\\.\n", "unfinished 1:1", id="copy-without-semicolon"),
        pytest.param("COPY t FROM stdin;\na\nb\0\n\\.\n", "nul 3:2", id="nul-in-rows"),
        pytest.param("SELECT 1;\n\\connect x\n", "psql_command 2:1", id="psql-command-at-the-end"),
        pytest.param("\\restrict\nSELECT 1;\n", "psql_command 1:1", id="restrict-without-key"),
        pytest.param(f"{BEGIN}\\restrict a\nSELECT 1;\n{END}", "psql_command 2:1", id="restrict-in-a-block"),
        pytest.param("SELECT 1;\n\\connect x\nSELECT 2;\n", "psql_command 2:1", id="psql-command"),
        pytest.param("-- a\rSELECT 1;\n", "lost_after_cr 1:5", id="cr-in-a-comment"),
        pytest.param("SELECT '\n-- +goose NO TRANSACTION\n';\n", "annotation_inside 2:1", id="annotation-in-a-string"),
        pytest.param("-- + goose StatementBegin\nSELECT 1;\n", "near_annotation 1:1", id="near-begin"),
        pytest.param("SELECT '\0';\n", "nul 1:9", id="nul"),
        pytest.param("SELECT 1;VACUUM;\n-- +goose NO TRANSACTION\n", "merged 1:10", id="merged"),
    ],
)  # fmt: skip
def test_what_stops_one_direction(body: str, expected: str) -> None:
    """A fault inside a half stops that half alone."""
    kind, _, place = expected.partition(" ")
    line, _, column = place.partition(":")
    up = parsed(f"{UP}{body}{DOWN}SELECT 0;\n")
    down = parsed(f"{UP}SELECT 0;\n{DOWN}{body}")

    assert faults(up.up) == [f"{kind} {int(line) + 1}:{column}"]
    assert texts(up.down) == ["SELECT 0;"]
    assert faults(down.down) == [f"{kind} {int(line) + 3}:{column}"]
    assert texts(down.up) == ["SELECT 0;"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("VACUUM;\nSELECT 1;\n", id="lines-of-their-own"),
        pytest.param("SELECT 1; SELECT 2;\n", id="nothing-that-refuses"),
        pytest.param("SELECT 1;--c\nSELECT 2;\n", id="merged-but-harmless"),
    ],
)
def test_without_a_transaction_harmless_merging_is_accepted(body: str) -> None:
    """What goose sends together is a fault only where it cannot run together."""
    migration = parsed(f"-- +goose NO TRANSACTION\n{UP}{body}")

    assert (faults(migration.up), migration.transaction) == ([], False)


@pytest.mark.parametrize("copy", ["COPY t FROM stdin;", "copy t (a,\n  b)\nfrom stdin; -- rows", "COPY t FROM stdin;--c", "COPY t\n  FROM stdin (NULL ''); /* c */", "COPY t FROM stdin; /* c */"])  # fmt: skip
@pytest.mark.parametrize("rows", ["", "1;\t'\n", "-- +goose Down\n\\N\n/* $$\n-- + goose Up\n"])  # fmt: skip
def test_rows_follow_copy(copy: str, rows: str) -> None:
    """Rows are read up to a line with a backslash and a dot, whatever they hold."""
    migration = parsed(f"{UP}SELECT 0;\n{copy}\n{rows}\\.\nSELECT 1;\n{DOWN}SELECT 2;")
    text = copy[: copy.index(";") + 1]
    behind = 4 + copy.count("\n") + rows.count("\n") + 1

    assert migration.up.faults == migration.down.faults == ()
    assert migration.up.statements == (
        Statement("SELECT 0;", 2),
        Statement(text, 3, data=(rows,)),
        Statement("SELECT 1;", behind),
    )
    assert texts(migration.down) == ["SELECT 2;"]


def test_rows_that_never_end_are_one_fault() -> None:
    """What follows up to the next annotation is not looked at; Down is read as ever."""
    migration = parsed(f"{UP}SELECT 1;\nCOPY t FROM stdin;\n1;'\n2\n{DOWN}SELECT 2;\n")

    assert faults(migration.up) == ["copy_unended 3:1"]
    assert texts(migration.down) == ["SELECT 2;"]


def test_rows_have_variables_too() -> None:
    """ENVSUB expands lines, whatever they are; rows of the other half are not its own."""
    content = f"{UP}-- +goose ENVSUB ON\nCOPY $T FROM stdin;\n$A\n${{B?}}\n\\.\n"
    migration = parsed(content, environ={"T": "t", "A": "a", "B": "b"})
    broken = parsed(content, environ={"T": "t", "A": "a"})

    assert migration.up.statements == (
        Statement("COPY t FROM stdin;", 3, data=("a\nb\n",)),
    )
    assert (faults(broken.up), faults(broken.down)) == (["envsub 5:1"], [])


@pytest.mark.parametrize("split", Split)
def test_what_only_restricts_psql_is_dropped(split: Split) -> None:
    """pg_dump's key for psql is nothing for the server; other commands are faults."""
    content = (
        f"{UP}\\restrict k3y\n\n-- c\nSELECT 1;\n \n \\unrestrict k3y \r\nSELECT 2;\n"
        f"\\unrestrict k3y\n{DOWN}\\unrestrict k3y"
    )
    migration = parsed(content, split)

    assert migration.up.faults == migration.down.faults == ()
    assert migration.up.statements == (
        Statement("SELECT 1;", 5),
        Statement("SELECT 2;", 8),
    )
    assert migration.down.statements == ()


@pytest.mark.parametrize("line", [1, 2, 3, 4], ids=lambda line: f"line-{line}")
def test_no_transaction_stands_anywhere(line: int) -> None:
    """NO TRANSACTION holds for both halves wherever it stands."""
    lines = [UP, "SELECT 1;\n", DOWN, "SELECT 2;\n"]
    lines.insert(line, "-- +goose NO TRANSACTION\n")
    migration = parsed("".join(lines))

    assert not migration.transaction
    assert texts(migration.up) + texts(migration.down) == ["SELECT 1;", "SELECT 2;"]


def test_bytes_that_are_not_utf8_matter_where_they_are_sent() -> None:
    """A comment in Latin 1 above a statement is dropped; a string in it is a fault."""
    migration = parsed(
        b"-- caf\xe9\n-- +goose Up\nSELECT 'caf\xe9';\n-- +goose Down\n-- \xe9\nSELECT 1;\n"
    )

    assert faults(migration.up) == ["invalid_utf8 3:12"]
    assert texts(migration.down) == ["SELECT 1;"]


def test_all_faults_of_a_file_are_reported_in_order() -> None:
    """Independent faults are gathered, sorted by place."""
    migration = parsed(
        f"{UP}SELECT 'a;\nb';\n{BEGIN}x\n{END}-- +goose Dwn\nSELECT 1;\n--+GOOSE UP\nCOPY t FROM stdin;\n"
    )

    assert faults(migration.up) == [
        "split_inside 2:10",
        "annotation_unknown 7:1",
        "near_annotation 9:1",
        "copy_unended 10:1",
    ]


ON = "-- +goose ENVSUB ON\n"
OFF = "-- +goose ENVSUB OFF\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(f"SELECT $A;\n{ON}SELECT $A;\n{OFF}SELECT $A;\n", ["SELECT $A;", "SELECT x;", "SELECT $A;"], id="between"),
        pytest.param(f"{ON}-- $1\nSELECT 1,\n-- $A\n2;\n", ["SELECT 1,\n-- x\n2;"], id="comments-inside-only"),
        pytest.param(f"{ON}SELECT 1$SEMI\n", ["SELECT 1;"], id="before-the-semicolon-is-looked-for"),
        pytest.param(f"{BEGIN}DO $$\n{ON}'$A'\n{OFF}$$;\n{END}", ["DO $$\n'x'\n$$;"], id="inside-a-body"),
        pytest.param(f"{ON}SELECT '$$A';\n", ["SELECT '$A';"], id="two-dollars-are-one"),
    ],
)  # fmt: skip
def test_variables(body: str, expected: list[str]) -> None:
    """Between ENVSUB ON and OFF variables are expanded line by line."""
    migration = parsed(f"{UP}{body}", environ={"A": "x", "SEMI": ";"})

    assert (texts(migration.up), faults(migration.up)) == (expected, [])


def test_envsub_holds_on_into_down() -> None:
    """ENVSUB ON in Up expands Down too."""
    migration = parsed(f"{UP}{ON}{DOWN}SELECT $A;\n", environ={"A": "x"})

    assert texts(migration.down) == ["SELECT x;"]


def test_a_missing_variable_in_down_stops_up_too() -> None:
    """goose expands the whole file for each direction."""
    migration = parsed(f"{UP}{ON}SELECT 1;\n{DOWN}  SELECT ${{A?}};\n")

    assert faults(migration.up) == faults(migration.down) == ["envsub 5:10"]


def test_behind_a_block_the_other_direction_expands_nothing() -> None:
    """goose's parser is in another state there: a missing variable stops one half."""
    migration = parsed(f"{UP}{DOWN}{ON}{BEGIN}x\n{END}SELECT ${{A?}};\n")

    assert (faults(migration.up), faults(migration.down)) == ([], ["envsub 7:8"])


def test_places_count_the_lines_that_were_taken_out_or_added() -> None:
    """A position in what is sent leads to the file's line, ENVSUB and annotations or not."""
    content = f"{UP}\n-- c\n  SELECT 'ä',\n{ON}$LINES,\n{OFF}  2;\n"
    (statement,) = parsed(content, environ={"LINES": "1,\n  3"}).up.statements

    assert statement.text == "SELECT 'ä',\n1,\n  3,\n  2;"
    assert [
        statement.locate(statement.text.index(x) + 1) for x in ("S", "ä", "1", "3", "2")
    ] == [(4, 3), (4, 11), (6, 1), (6, 3), (8, 3)]


def test_a_psql_command_is_shown_as_it_is_written() -> None:
    """The message has one backslash where the file has one."""
    (fault,) = parsed(f"{UP}\\connect app\nSELECT 1;\n").up.faults

    assert fault.message.startswith("'\N{REVERSE SOLIDUS}connect app' is a command")


def test_messages_end_with_the_way_out() -> None:
    """A fault says place, reason and fix in one line."""
    (fault,) = parsed(f"{UP}{BEGIN}{END}SELECT 1;\n").up.faults

    assert str(fault) == (
        "1_a.sql:2:1: this block is empty, and goose would lose line 4 instead;"
        " remove the block"
    )

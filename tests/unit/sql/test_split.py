"""Where statements end, and what kind they are."""

import pytest

from migrator.sql.keywords import copies_in
from migrator.sql.restrictions import may_refuse_transaction
from migrator.sql.split import (
    Inside,
    StatementSpan,
    Stop,
    inside,
    is_plain,
    split_statements,
)


def texts(text: str) -> list[str]:
    """Return the statements of a text."""
    return [text[part.start : part.end] for part in split_statements(text)]


_ATOMIC = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("select 1;", id="simple"),
        pytest.param(f"{_ATOMIC} select a.end, 1 as end, 2; select 3; end;", id="names-behind-a-dot-and-as"),
        pytest.param("select 1", id="without-semicolon"),
        pytest.param("select ';', \";\", $$;$$, $a$;$a$, E'\\';';", id="quotes"),
        pytest.param("select 1 /* ; */ -- ;\n;", id="comments"),
        pytest.param("create rule r as on insert to t do (select 1; select 2);", id="rule"),
        pytest.param("select (((((((1; 2)))))));", id="deep-parentheses"),
        pytest.param("select 1);", id="too-many-closing"),
        pytest.param(f"{_ATOMIC} select 1; select 2; end;", id="atomic"),
        pytest.param(f"{_ATOMIC} select case when a then 1 end; end;", id="case-in-atomic"),
        pytest.param(f"{_ATOMIC} select (case when a then 1 end); end;", id="case-in-parentheses"),
        pytest.param(f"{_ATOMIC} select 1 as end; select t.case; end;", id="keywords-as-names"),
        pytest.param("create /* c */ or -- d\n replace procedure p() begin\natomic select 1; end;", id="or-replace-procedure"),
        pytest.param("create function begin(a int) returns int return 1;", id="function-named-begin"),
        pytest.param("create function f() returns int as 'begin atomic' language sql;", id="atomic-in-a-string"),
    ],
)  # fmt: skip
def test_one_statement(text: str) -> None:
    """The text is one statement, whatever semicolons it holds."""
    assert texts(f"{text}") == [text]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a;b;", ["a;", "b;"], id="two"),
        pytest.param(";; ; a;;", ["a;"], id="lone-semicolons-are-none"),
        pytest.param("-- c\n/* d */", [], id="comments-are-none"),
        pytest.param("-- c\na /* x */;/* d */ b -- e", ["a /* x */;", "b -- e"], id="comments-around"),
        pytest.param("begin; select 1; end;", ["begin;", "select 1;", "end;"], id="begin-without-atomic"),
        pytest.param("create table begin (atomic int); a;", ["create table begin (atomic int);", "a;"], id="only-routines-have-bodies"),
        pytest.param("create functionx begin atomic; a;", ["create functionx begin atomic;", "a;"], id="whole-words"),
    ],
)  # fmt: skip
def test_several_statements(text: str, expected: list[str]) -> None:
    """Statements start at their first token and end behind their semicolon."""
    assert texts(text) == expected


@pytest.mark.parametrize(
    ("text", "inside", "since"),
    [
        pytest.param("a 'b;", Inside.STRING, 2, id="string"),
        pytest.param('a "b;', Inside.NAME, 2, id="name"),
        pytest.param("a $x$ b;", Inside.DOLLAR, 2, id="dollar"),
        pytest.param("a /* b;", Inside.BLOCK, 2, id="comment"),
        pytest.param("/* b;", Inside.BLOCK, 0, id="comment-alone"),
        pytest.param("a (b (c);", Inside.PARENTHESES, 2, id="parentheses"),
        pytest.param(f"{_ATOMIC} b;", Inside.BODY, 38, id="body"),
        pytest.param(
            "create function f() as 'b;", Inside.STRING, 23, id="string-in-a-routine"
        ),
        pytest.param(
            "create function f(;", Inside.PARENTHESES, 17, id="parentheses-in-a-routine"
        ),
    ],
)
def test_what_is_open_at_the_end_is_reported(
    text: str, inside: Inside, since: int
) -> None:
    """A statement that its text cuts off says in what and since where."""
    assert list(split_statements(text)) == [
        StatementSpan(0, len(text), Stop.OPEN, inside, since)
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("insert into t values (1, 'a;''b', \"c\");", True, id="insert"),
        pytest.param("select E'\\'', $$;$$; -- c", True, id="escapes-and-dollars"),
        pytest.param("a; b;", False, id="two-statements"),
        pytest.param("a", False, id="no-semicolon"),
        pytest.param("a 'b;", False, id="open-string"),
        pytest.param("a (b;", False, id="open-parenthesis"),
        pytest.param("copy t from stdin;", False, id="copy"),
        pytest.param("copyright;", True, id="copyright"),
        pytest.param(f"{_ATOMIC} a;", False, id="routine"),
        pytest.param("a /* b */;", True, id="comment"),
        pytest.param("a /* /* b */ */;", False, id="left-to-the-tokens"),
        pytest.param("create function f() as $f$;$f$;", True, id="tag"),
        pytest.param("a ($a$;$a$, ';') $b$;$a$;$b$ c;", True, id="two-tags"),
        pytest.param("vacuum;", False, id="refused-in-a-transaction"),
        pytest.param("drop index -- c\n concurrently i;", False, id="concurrently"),
        pytest.param("alter table a add b int;", True, id="alter-table"),
        pytest.param("alter table a detach partition b;", False, id="detach"),
    ],
)
def test_plain_statements_need_no_second_pass(text: str, expected: bool) -> None:  # noqa: FBT001  # expected value
    """A statement is plain when nothing in it can hide where it ends."""
    assert is_plain(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("COPY t FROM STDIN;", True, id="upper"),
        pytest.param(
            "copy t (a, b) from /* c */ stdin with (format csv);", True, id="columns"
        ),
        pytest.param(
            "copy (select 1 from stdin) to stdout;", False, id="in-parentheses"
        ),
        pytest.param("copy t from 'stdin';", False, id="file"),
        pytest.param('copy t from "stdin";', False, id="quoted"),
        pytest.param("copy t to stdout;", False, id="out"),
        pytest.param("copying from stdin;", False, id="other-word"),
    ],
)
def test_copy_from_stdin(text: str, expected: bool) -> None:  # noqa: FBT001  # expected value
    """COPY … FROM stdin is found by its words, in any case."""
    assert copies_in(text, 0, len(text)) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("CREATE INDEX CONCURRENTLY i ON t (a);", True, id="create-index"),
        pytest.param(
            "create unique index /* c */ concurrently i on t (a);", True, id="unique"
        ),
        pytest.param("DROP INDEX CONCURRENTLY i;", True, id="drop-index"),
        pytest.param("REINDEX (VERBOSE) TABLE CONCURRENTLY t;", True, id="reindex"),
        pytest.param("REINDEX DATABASE d;", True, id="reindex-database"),
        pytest.param("VACUUM (ANALYZE) t;", True, id="vacuum"),
        pytest.param("CREATE DATABASE d;", True, id="database"),
        pytest.param("DROP TABLESPACE s;", True, id="tablespace"),
        pytest.param("ALTER SYSTEM SET a = 1;", True, id="alter-system"),
        pytest.param(
            "ALTER TABLE t DETACH PARTITION p CONCURRENTLY;", True, id="detach"
        ),
        pytest.param("CLUSTER;", True, id="cluster-all"),
        pytest.param("/* c */ -- d\n CLUSTER VERBOSE;", True, id="behind-comments"),
        pytest.param("DISCARD ALL;", True, id="discard"),
        pytest.param("ALTER SUBSCRIPTION s ADD PUBLICATION p;", True, id="publication"),
        pytest.param("DROP SUBSCRIPTION s;", True, id="subscription"),
        pytest.param("CLUSTER t;", False, id="cluster-one"),
        pytest.param("CREATE INDEX i ON t (a);", False, id="plain-index"),
        pytest.param("REINDEX TABLE t;", False, id="plain-reindex"),
        pytest.param("REFRESH MATERIALIZED VIEW CONCURRENTLY v;", False, id="refresh"),
        pytest.param("SELECT 'vacuum';", False, id="in-a-string"),
    ],
)
def test_statements_that_refuse_a_transaction(text: str, expected: bool) -> None:  # noqa: FBT001  # expected value
    """What PostgreSQL runs outside a transaction block only is found by its words."""
    assert may_refuse_transaction(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT (^", Inside.PARENTHESES),
        ("SELECT ^(", None),
        ("SELECT (1)^", None),
        ("SELECT '^'", Inside.STRING),
        ("SELECT ''^", None),
        (f"{_ATOMIC} ^", Inside.BODY),
        (f"{_ATOMIC} SELECT 1; END^", None),
    ],
)
def test_what_a_character_is_inside_of(text: str, expected: Inside | None) -> None:
    """What ends just before it counts, what begins at it does not."""
    at, plain = text.index("^"), text.replace("^", "")

    assert inside(plain, StatementSpan(0, len(plain), Stop.OPEN), at) is expected

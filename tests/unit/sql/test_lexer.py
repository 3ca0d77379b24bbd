"""Tokens, case by case; each case is a rule of scan.l."""

import re
from pathlib import Path

import pytest

from migrator.sql.lexer import Kind, Token, possessive, tokenize


def pieces(text: str) -> list[tuple[str, str]]:
    """Return the kind and the text of each token but blanks."""
    return [
        (token.kind.name, text[token.start : token.end])
        for token in tokenize(text)
        if token.kind is not Kind.SPACE
    ]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("'a;b'", "STRING", id="string"),
        pytest.param("'it''s;'", "STRING", id="doubled-quote"),
        pytest.param("E'it\\'s;'", "STRING", id="escaped-quote"),
        pytest.param("e'\\\\'", "STRING", id="escaped-backslash"),
        pytest.param("E'a'\n'\\';'", "STRING", id="escapes-go-on-in-the-next-line"),
        pytest.param(
            "E'a' -- '\n --\n '\\';'", "STRING", id="escapes-go-on-behind-comments"
        ),
        pytest.param('"a;""b"', "NAME", id="quoted-name"),
        pytest.param("$$;$$", "DOLLAR", id="dollar-quote"),
        pytest.param("$a_1$ ; $$ ; $b$ ; $a_1$", "DOLLAR", id="dollar-tag"),
        pytest.param("$f$ x $$f$", "DOLLAR", id="dollar-before-closing-tag"),
        pytest.param("$é$ ; $é$", "DOLLAR", id="dollar-tag-beyond-ascii"),
        pytest.param("/* ; /* ; */ ; */", "BLOCK", id="nested-comment"),
        pytest.param("/*/**/*/", "BLOCK", id="tight-nested-comment"),
        pytest.param("-- ;\\", "COMMENT", id="line-comment"),
        pytest.param("a$b$c", "WORD", id="dollar-inside-a-name"),
        pytest.param("é\u00a0x", "WORD", id="every-other-character-is-a-letter"),
    ],
)
def test_one_token(text: str, kind: str) -> None:
    """The text is one token, whatever characters it holds."""
    assert pieces(text) == [(kind, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "name'\\'", [("WORD", "name"), ("STRING", "'\\'")], id="e-that-ends-a-name"
        ),
        pytest.param(
            "'a\\' 'b'", [("STRING", "'a\\'"), ("STRING", "'b'")], id="backslash-is-plain"
        ),
        pytest.param(
            "1$a$;$a$", [("OTHER", "1"), ("DOLLAR", "$a$;$a$")], id="dollar-behind-a-number"
        ),
        pytest.param(
            "1e5$a$;$a$", [("OTHER", "1e5"), ("DOLLAR", "$a$;$a$")], id="dollar-behind-a-real"
        ),
        pytest.param(
            "$1$a$;$a$",
            [("OTHER", "$"), ("OTHER", "1"), ("DOLLAR", "$a$;$a$")],
            id="dollar-behind-a-parameter",
        ),
        pytest.param(
            "$1a$", [("OTHER", "$"), ("OTHER", "1"), ("WORD", "a$")], id="tag-cannot-start-with-a-digit"
        ),
        pytest.param(
            "-- a\r;", [("COMMENT", "-- a"), ("SEMICOLON", ";")], id="cr-ends-a-comment"
        ),
        pytest.param(
            "+--c", [("OTHER", "+"), ("COMMENT", "--c")], id="comment-behind-an-operator"
        ),
        pytest.param(
            "*/*c*/", [("OTHER", "*"), ("BLOCK", "/*c*/")], id="block-behind-an-operator"
        ),
        pytest.param(
            "U&'a;'", [("WORD", "U"), ("OTHER", "&"), ("STRING", "'a;'")], id="unicode-string"
        ),
        pytest.param("B'1;'", [("WORD", "B"), ("STRING", "'1;'")], id="bit-string"),
        pytest.param("N'a;'", [("WORD", "N"), ("STRING", "'a;'")], id="national-string"),
        pytest.param(
            "(a;)",
            [("OPEN", "("), ("WORD", "a"), ("SEMICOLON", ";"), ("CLOSE", ")")],
            id="punctuation",
        ),
    ],
)  # fmt: skip
def test_tokens(text: str, expected: list[tuple[str, str]]) -> None:
    """Tokens end where PostgreSQL's do."""
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param("'a; ", Kind.STRING, id="string"),
        pytest.param("E'a\\'", Kind.STRING, id="escaped-string"),
        pytest.param("E'a\\", Kind.STRING, id="backslash-at-the-end"),
        pytest.param("E'a'\n'b\\'", Kind.STRING, id="continued-string"),
        pytest.param('"a', Kind.NAME, id="name"),
        pytest.param("$a$ $A$", Kind.DOLLAR, id="dollar"),
        pytest.param("/* /* */", Kind.BLOCK, id="comment"),
    ],
)
def test_what_is_never_closed_reaches_to_the_end(text: str, kind: Kind) -> None:
    """An open string, name or comment is a token with a flag, not an error."""
    assert list(tokenize(text)) == [Token(kind, 0, len(text), closed=False)]


def test_lexing_starts_anywhere() -> None:
    """Tokens of the rest of a text count from the text's start."""
    assert list(tokenize("a 'b'", 2)) == [Token(Kind.STRING, 2, 5)]


@pytest.mark.parametrize(
    ("pattern", "times", "text", "end"),
    [
        pytest.param("ab?c", "*", "aca", 2, id="many"),
        pytest.param("ab?c", "?", "a", 0, id="none"),
        pytest.param("'[^']*'|x", "*", "x'y'x'z", 5, id="string-that-is-never-closed"),
    ],
)
def test_repeats_end_where_a_whole_one_ends(
    pattern: str, times: str, text: str, end: int
) -> None:
    """A repeat that fails midway leaves no trace, on every CPython (gh-106052)."""
    match = re.match(possessive(pattern, times), text)

    assert match is not None
    assert match.end() == end


def test_repeats_give_nothing_back() -> None:
    """What was repeated is not tried with one less."""
    assert re.match(possessive("a") + "a", "aaa") is None


def test_no_group_repeats_possessively_but_by_our_own_function() -> None:
    """Possessive quantifiers behind groups are wrong before CPython 3.11.5."""
    sources = (Path(__file__).parents[3] / "migrator").rglob("*.py")
    found = [
        (path.name, line)
        for path in sources
        for line in path.read_text("utf-8").splitlines()
        if re.search(r"\)[*+?]\+", line)
    ]

    assert found == []

"""Passwords are found by the words before them."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from migrator.sql.gaps import Gaps
from migrator.sql.secrets import (
    MASK,
    find_passwords,
    is_secret,
    mask_passwords,
    mask_pattern,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER ROLE a PASSWORD 'zq7' x", "ALTER ROLE a PASSWORD '********' x"),
        ("password E'z\\'q7' x", "password '********' x"),
        ("password 'z''q7' x", "password '********' x"),
        ("password U&'zq7'", "password '********'"),
        ("password $$z'q7$$ x", "password '********' x"),
        ("password $a$zq7$$$a$ x", "password '********' x"),
        (
            "password /* new */ -- or so\n 'zq7'",
            "password /* new */ -- or so\n '********'",
        ),
        (
            "OPTIONS (user 'u', password 'zq7')",
            "OPTIONS (user 'u', password '********')",
        ),
        ("OPTIONS (sslpassword 'zq7')", "OPTIONS (sslpassword '********')"),
        ("app_password := 'zq7'", "app_password := '********'"),
        ("set_role(secret => 'zq7')", "set_role(secret => '********')"),
        ('{"token": "zq7"}', "{\"token\": '********'}"),
        ('password = "z\\"q7"', "password = '********'"),
        ("'host=h password=zq7 user=u'", "'host=h password=******** user=u'"),
        ("?sslpassword=zq7&x=1", "?sslpassword=********&x=1"),
        ("postgresql://u:zq7@h/d", "postgresql://u:********@h/d"),
        ("postgresql://u:z/q@7@h/d", "postgresql://u:********@h/d"),
        ("postgres:/u:zq7@h/d", "postgres:/u:********@h/d"),
        ("near \"password e'zq7", "near \"password '********'"),
        ("LINE 1: ...ORD 'zq7' VALID\n   ^", "LINE 1: ********\n   ^"),
    ],
)
def test_what_is_called_a_password_is_masked(text: str, expected: str) -> None:
    """In SQL's, libpq's, Python's and JSON's ways to say so; once is enough."""
    assert mask_passwords(text) == expected
    assert mask_passwords(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        'password authentication failed for user "u"',
        "write postgresql://user:password@host:5432/dbname",
        "host=… user=… password=…",
        "CREATE TABLE u (password text NOT NULL DEFAULT 'x', token uuid)",
        "OPTIONS (password_required 'false')",
        'duplicate key value violates unique constraint "users_token" of "x"',
        'column "password" of relation "users" does not exist',
        'Token "x" is invalid.',
        "LINE 1: SELECT 'x'",
        "postgresql://u@h:5432/d, or me@example.com",
        "10:20:30 a@b",
    ],
)
def test_other_words_stay(text: str) -> None:
    """What only looks like a password is not masked."""
    assert mask_passwords(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ALTER ROLE a PASSWORD 'zq7'", {"zq7"}),
        ("ALTER ROLE a PASSWORD 'z''q7'", {"z''q7", "z'q7"}),
        ("ALTER ROLE a PASSWORD 'z'q7'", {"z", "q7"}),
        ("ALTER ROLE a PASSWORD $$zq7$$", {"zq7"}),
        ('ALTER ROLE a PASSWORD "zq7"', {"zq7"}),
        ("ALTER ROLE a PASSWORD zq7 VALID", {"zq7"}),
        ("CREATE ROLE a PASSWORD zq7", {"zq7"}),
        ("create user a password zq7", {"zq7"}),
        ("ALTER USER a WITH PASSWORD zq7", {"zq7"}),
        ("CREATE GROUP a ENCRYPTED PASSWORD zq7", {"zq7"}),
        ("CREATE USER a PASSWORD NULL", set()),
        ("ALTER TABLE a ADD PASSWORD zq7", set()),
        ("SELECT dblink('host=h password=zq7')", {"zq7"}),
        ("SELECT dblink('postgresql://u:z%40q7@h/d')", {"z%40q7", "z@q7"}),
        ("CREATE TABLE t (password text)", set()),
        ("SELECT 1", set()),
    ],
)
def test_what_a_server_may_repeat(text: str, expected: set[str]) -> None:
    """Without the words that gave it away, as in `syntax error at or near "zq7"`."""
    assert find_passwords(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'a PASSWORD '' zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD '';zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD '')zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD '',zq7z'' x'", "'a PASSWORD ''********'' x'********'"),
        (
            f"PASSWORD {'zq7z'.join(['`' * 16] * 2)} x".replace("`", "'"),
            f"PASSWORD {MASK.join(['`' * 16] * 2)} x".replace("`", "'"),
        ),
        (r"E'a PASSWORD \'z\'''zq7z\' x'", r"E'a PASSWORD \'********\' x'"),
        (r"E'a PASSWORD \'z''zq7z\' x'", r"E'a PASSWORD \'********\' x'"),
        (r"E'a PASSWORD ''z\'zq7z'' x'", "E'a PASSWORD ''********'' x'"),
        ("'a PASSWORD E''zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD /* c */' || 'zq7z'", "'a PASSWORD /* c */'********'"),
        ("'a PASSWORD ' /* c */ || 'zq7z'", "'a PASSWORD '********'"),
        ("format($$a PASSWORD %L$$, 'zq7z')", "format($$a PASSWORD %L$$, '********')"),
        (r"{\"password\": \"zq7z\"}", r"{\"password\": \"********\"}"),
        (r"{\"password\": \"z\\\"zq7z\"}", r"{\"password\": \"********\"}"),
        (
            "EXECUTE 'ALTER ROLE x PASSWORD ''zq7z''' x",
            "EXECUTE 'ALTER ROLE x PASSWORD ''********''' x",
        ),
        (
            "'EXECUTE ''ALTER ROLE x PASSWORD ''''zq7z'''''' x'",
            "'EXECUTE ''ALTER ROLE x PASSWORD ''''********'''''' x'",
        ),
        ("'a PASSWORD ''z''''zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD ''''''zq7z'' x'", "'a PASSWORD ''********'' x'"),
        ("'a PASSWORD ''zq7z", "'a PASSWORD ''********''"),
        (r"E'a PASSWORD \'zq7z\' x'", r"E'a PASSWORD \'********\' x'"),
        (r"E'a PASSWORD \'z\'\'zq7z\''", r"E'a PASSWORD \'********\''"),
        ("'a PASSWORD $$zq7z$$'", "'a PASSWORD '********''"),
        ("'f(password := ''zq7z'')'", "'f(password := ''********'')'"),
        (
            "'set_config(''app.password'', ''zq7z'')'",
            "'set_config(''app.password'', ''********'')'",
        ),
        (
            "format('ALTER ROLE x PASSWORD %L', 'zq7z'); f('x')",
            "format('ALTER ROLE x PASSWORD %L', '********'); f('x')",
        ),
        (
            "format('ALTER ROLE %I PASSWORD ''%s''', 'x', $$zq7z$$)",
            "format('ALTER ROLE %I PASSWORD ''********''', '********', '********')",
        ),
        (
            "'ALTER ROLE x PASSWORD ' || quote_literal('z;zq7z')",
            "'ALTER ROLE x PASSWORD '********')",
        ),
        (
            "'a PASSWORD ''' || 'zq7z' || ' VALID'",
            "'a PASSWORD '********' || '********'",
        ),
    ],
)
def test_passwords_in_literals_within_literals(text: str, expected: str) -> None:
    """
    However deep their quotes are, and where a statement is put together.

    There more is masked than has to be: a password may begin with `||` or a comma, too.
    """
    assert mask_passwords(text) == expected
    assert "zq7z" not in mask_passwords(expected)
    assert any("zq7z" in found for found in find_passwords(text))


def test_an_empty_password_ends_where_it_begins() -> None:
    """What stands behind it is not taken for one."""
    text = "UPDATE u SET password = '' WHERE a = 'x'"

    assert mask_passwords(text) == text.replace("''", "'********'")


PIECES = (
    *("password ", "x", "'", "password='", "a:/b:", "LINE 1: .", "token='abcd"),
    *("/* */", "password/* */", "password /* ", "/*password*/", "--password \n"),
    *("password --", "password \n--", "token    ", "create role password ", "\\"),
    *(
        "password ''x",
        "password \\'",
        "password %L'",
        "password ' ||",
        "''''x",
        "\\\\'",
    ),
    *('password "', "password $a", "password e'\\", 'missing "=" after "'),
)
LARGE = """
import sys
from migrator.sql.secrets import mask_everywhere, mask_passwords

piece = sys.argv[1]
for text in ("password " + piece * (200_000 // len(piece)), piece * 20_000 + "'"):
    mask_passwords(text)
    mask_everywhere(text)
many = (f'"password": "$2b$10$hash-{n:x}-{n * 7919:x}", ' for n in range(10_000))
mask_everywhere("".join(many))
"""


@pytest.mark.parametrize("piece", PIECES)
def test_long_texts_take_no_time(piece: str) -> None:
    """Whatever they are made of, 200 kB are read within a limit that is far away."""
    done = subprocess.run([sys.executable, "-c", LARGE, piece], check=False, timeout=60)

    assert done.returncode == 0


@pytest.mark.parametrize(
    "gap",
    [
        "/* a */ /* b */ /* c */",
        "/* a /* b */ c */",
        "/* 'a' */",
        "-- it's\n",
        "/* a */" * 20_000,
    ],
    ids=["several", "in each other", "quotes", "a line", "many"],
)
def test_comments_before_a_password(gap: str) -> None:
    """However many they are, and in each other, as PostgreSQL reads them."""
    text = f"ALTER ROLE a PASSWORD {gap} 'zq7z'"

    assert mask_passwords(text) == f"ALTER ROLE a PASSWORD {gap} '********'"
    assert find_passwords(text) == {"zq7z"}


def test_each_place_of_a_gap_is_visited_once() -> None:
    """The words in a comment have gaps of their own, whose ends are known by then."""
    visits: Counter[int] = Counter()

    class Counted(Gaps):
        def _piece(self, at: int) -> int | None:
            visits[at] += 1
            return super()._piece(at)

    text = "--password \n" * 1000
    gaps = Counted(text)
    ends = {gaps.end(found.end()) for found in re.finditer("password", text)}

    assert ends == {len(text)}
    assert max(visits[at] for at in visits.keys() - ends) == 1


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("abc", False),
        (" abc\n", False),
        ("abcd", True),
        ("1", False),
        ("12345", True),
        *(
            (word, False)
            for word in ("yes", "no", "on", "off", "True", "FALSE", "null")
        ),
    ],
)
def test_what_is_too_short_or_a_word_is_no_secret(text: str, secret: bool) -> None:  # noqa: FBT001
    """It is found everywhere: a mask in each place hides nothing."""
    found = mask_pattern([text]).sub("*", f"= {text} =") != f"= {text} ="

    assert (is_secret(text), found) == (secret, secret)

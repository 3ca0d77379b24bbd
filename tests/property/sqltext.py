"""Random SQL: what PostgreSQL accepts, made of what confuses splitters."""

import random


_INSIDE = ("'", '"', "$", "$$", "$a$", "--", "/*", "*/", ";", "\\", "\n", "a", "e", " ", "(", ")", "END", "ä")  # fmt: skip
_NOISE = "ab1eE$'\"\\;-/*()\n .,"


def noise(rng: random.Random, longest: int = 40) -> str:
    """Return characters that mean something to the lexer, in any order."""
    return "".join(rng.choices(_NOISE, k=rng.randint(0, longest)))


def near_sql(rng: random.Random) -> str:
    """Return a SELECT of noise: seldom valid, often unclosed."""
    return "SELECT " + "".join(
        rng.choice((*_INSIDE, "1", ", ", "'x'", "E'", "$$x$$", "/**/", "as a$b$"))
        for _ in range(rng.randint(1, 8))
    )


def script(rng: random.Random) -> str:
    """Return several statements that run on any empty database, in one text."""
    text = _gap(rng)
    for _ in range(rng.randint(1, 5)):
        text += _statement(rng) + rng.choice(("", _gap(rng))) + ";"
        text += rng.choice((_gap(rng), _gap(rng), "", ";", " ; "))
    if rng.random() < 0.3:
        text += rng.choice(("\n", " ")) + _select(rng)
    return text


def _statement(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        return _select(rng)
    if kind < 0.7:
        return _routine(rng)
    if kind < 0.8:
        return f"DO{_gap(rng)}{_dollar(rng, 'BEGIN PERFORM 1; END')}"
    if kind < 0.9:
        return (
            f"CREATE{_gap(rng)}OR REPLACE RULE r AS ON INSERT TO pg_temp.t DO ALSO"
            f" ({_select(rng)};{_gap(rng)}{_select(rng)}{rng.choice((';', ''))})"
        )
    return (
        f"PREPARE p{rng.getrandbits(60)} (int) AS SELECT $1{_gap(rng)}, {_value(rng)}"
    )


def _routine(rng: random.Random) -> str:
    head = f"CREATE OR REPLACE{_gap(rng)}FUNCTION pg_temp.f{rng.getrandbits(60)}(a text DEFAULT {_string(rng)}) RETURNS text"
    kind = rng.random()
    if kind < 0.3:
        return f"{head} LANGUAGE plpgsql AS {_dollar(rng, 'BEGIN RETURN 1; END;')}"
    if kind < 0.4:
        return f"{head} RETURN{_gap(rng)}CAST({_value(rng)} AS text)"
    body = ";".join(
        f"{_gap(rng)}{_select(rng)}{_gap(rng)}" for _ in range(rng.randint(1, 3))
    )
    last = rng.choice(
        (
            "SELECT 'x'::text",
            "SELECT CASE WHEN true THEN 'a' ELSE (CASE WHEN false THEN 'b' END) END",
        )
    )
    return f"{head} BEGIN{_gap(rng)}ATOMIC {body}; {last}; END"


def _select(rng: random.Random) -> str:
    values = (_column(rng) for _ in range(rng.randint(1, 3)))
    return f"SELECT{_gap(rng)}" + f"{_gap(rng)},{_gap(rng)}".join(values)


def _column(rng: random.Random) -> str:
    alias = rng.choice(("", "", f" AS{_gap(rng)}{_name(rng)}"))
    return _value(rng) + alias


def _value(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.4:
        return _string(rng)
    if kind < 0.5:
        return _dollar(rng, _inside(rng))
    if kind < 0.6:
        return f"CASE{_gap(rng)}WHEN true THEN {_string(rng)} END"
    if kind < 0.7:
        return f"({_gap(rng)}{_string(rng)}{_gap(rng)})"
    return rng.choice(
        ("1", "1.5", "1e5", ".5", "1-1", "2/1", "1 - -1", "1<2", "- 1", "5%2")
    )


def _string(rng: random.Random) -> str:
    kind = rng.random()
    plain = _inside(rng).replace("'", "''")
    if kind < 0.4:
        return f"'{plain}'"
    if kind < 0.6:
        return f"{rng.choice('eE')}'{_escaped(rng)}'"
    if kind < 0.7:  # in scan.l: quotecontinue, with its comments
        between = rng.choice(("\n", " \n ", "\n\n", "-- ' \n", " --x\n --y\n "))
        return f"{rng.choice('eE')}'{_escaped(rng)}'{between}'{_escaped(rng)}'"
    if kind < 0.8:
        return f"'{plain}'\n'{plain}'"
    if kind < 0.9:
        return rng.choice(("B'101'", "x'1F'", "n'a;'", "N'it''s'"))
    return "U&'" + plain.replace("\\", "\\\\") + "'"


def _escaped(rng: random.Random) -> str:
    return (
        _inside(rng)
        .replace("\\", rng.choice(("\\\\", "\\n")))
        .replace("'", rng.choice(("''", "\\'")))
    )


def _inside(rng: random.Random) -> str:
    return "".join(rng.choice(_INSIDE) for _ in range(rng.randint(0, 6)))


def _dollar(rng: random.Random, body: str) -> str:
    tag = rng.choice(("$$", "$a$", "$_b1$", "$é$"))
    if tag in body + tag[:-1]:
        tag = "$unlikely$"
    return f"{tag}{body}{tag}"


def _name(rng: random.Random) -> str:
    quoted = '"x' + _inside(rng).replace('"', '""') + '"'
    return rng.choice(
        (
            "a",
            "a$b$",
            "é$$",
            "_1",
            quoted,
            'U&"x;"',
            "end",
            "case",
            '"end"',
            "e",
            "begin",
        )
    )


def _gap(rng: random.Random) -> str:
    comments = (
        "/* ; */",
        "/* ' */",
        "/* /* ; */ $$ */",
        "-- ;'\n",
        "--\\\n",
        "--$$\r",
        "/***/",
        "/*/**/*/",
        "-- /*\n",
    )
    return (
        " "
        + "".join(
            rng.choice((" ", "\n", "\t", "", *comments))
            for _ in range(rng.randint(0, 2))
        )
        + " "
    )

"""Random migration files, made of lines that provoke goose's grammar."""

import random


ENVIRON = {
    "A": "alpha",
    "EMPTY": "",
    "SEMI": "1;",
    "LINES": "x;\ny",
    "Q": "it's",
    "U": "äöü",
}

_ANNOTATIONS = (
    "-- +goose Up",
    "-- +goose Down",
    "-- +goose StatementBegin",
    "-- +goose StatementEnd",
    "-- +goose NO TRANSACTION",
    "-- +goose ENVSUB ON",
    "-- +goose ENVSUB OFF",
)
_ODD_ANNOTATIONS = (
    "--+goose up",
    "-- +gooseDown",
    "---- +goose StatementBegin --",
    "-- +goose statementend",
    "-- +goose no transaction",
    "-- +goose \u017ftatementEnd",
    "\u00a0-- +goose Up",
    "\v-- +goose Down",
    "-- +goose Up;",
    "-- +goose Up -- comment",
    "-- +goose NO  TRANSACTION",
    "-- +goose ENVSUB",
    "-- +goose",
    "-- +goose +goose Up",
    " -- +goose Up",
    "\t-- +goose Down",
    "-- this mentions +goose",
    "--- +goose Up",
    "--+GOOSE DOWN",
    "-- +Goose Up",
    "-- + goose Up",
    "-- goose StatementBegin",
    "/* +goose Up */",
    "# +goose Down",
    "SELECT 1; -- +goose Down",
    "\ufeff-- +goose Up",
)
_SQL = (
    "SELECT 1;",
    "SELECT 1;",
    "INSERT INTO t (a, b) VALUES (1, 'x');",
    "SELECT 1; SELECT 2;",
    "SELECT 1",
    "FROM t",
    "WHERE a = 'b';",
    "SELECT 1; -- comment",
    "SELECT 1;--comment",
    "SELECT 1; /* c */",
    "SELECT 1 /* c; */;",
    "SELECT 1 -- c;",
    "SELECT 1--c;",
    "SELECT 1--c d;",
    "SELECT ' -- ;",
    "SELECT 'a;",
    "b;'",
    "b';",
    "SELECT 'a; -- b'",
    "SELECT 'x -- y';",
    'SELECT "a;',
    'b";',
    "CREATE FUNCTION f() AS $$",
    "CREATE FUNCTION f() AS $tag$ x;",
    "BEGIN",
    "  RETURN 1;",
    "END;",
    "$$ LANGUAGE plpgsql;",
    "$tag$;",
    "$1;",
    "a$b$;",
    "/*",
    "*/",
    "/* a; */",
    "/* /* */;",
    "(",
    ");",
    "CREATE RULE r AS ON INSERT TO t DO (SELECT 1;",
    "SELECT 2);",
    "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC",
    "SELECT CASE WHEN a THEN 1 END;",
    "END",
    ";",
    ";;",
    "; ;",
    "E'a\\';",
    "e'\\\\';",
    "COPY t FROM stdin;",
    "COPY t (a) FROM STDIN WITH (FORMAT csv);",
    "1\t2",
    "\\.",
    "\\restrict abc",
    "\\unrestrict abc ",
    "COMMIT;",
    "BEGIN; ROLLBACK;",
    "ROLLBACK TO a;",
    "COPY t FROM stdin; /* c */",
    "\\connect x;",
    "VACUUM;",
    "CREATE INDEX CONCURRENTLY i ON t (a); SELECT 1;",
    "DROP INDEX CONCURRENTLY i;--x",
    "",
    "",
    " ",
    "\t",
    "  SELECT 1;  ",
    "\u00a0",
    "\u2028;",
    "SELECT\u00a0';",
    "-- comment",
    "-- comment;",
    "  -- comment",
    "--",
    "-- a\rSELECT 1;",
    "-- a\r-- b",
    "a\rb;",
    "SELECT 1;\r",
    "\x1c;",
    ";\x1c",
    "\x1c-- c",
    "x;\x85",
    "\0;",
)
_ENVSUB = (
    "SELECT $A;",
    "SELECT ${A};",
    "SELECT '${UNSET}';",
    "SELECT ${UNSET:-d};",
    "SELECT ${EMPTY-d}${EMPTY:-d};",
    "SELECT ${UNSET-${A}};",
    "SELECT ${A:1:2}${A: -2}${A:0:-1};",
    "SELECT ${U:1}${U:0:3};",
    "SELECT ${UNSET?};",
    "SELECT ${UNSET?no $A};",
    "SELECT ${A:?x};",
    "SELECT ${A+x};",
    "SELECT ${A;",
    "SELECT $1;",
    "SELECT $;",
    "SELECT $",
    "SELECT $$a$$;",
    "SELECT \\$A \\\\ $(x);",
    "SELECT $SEMI",
    "SELECT '$Q';",
    "$LINES",
    "$UNSET",
    "-- comment $1",
    "-- comment $A",
    "${LINES};",
    "${A:+1:\ufffd2};",
)
_BYTES = (b"caf\xe9;", b"-- \xff", b"\xc3", b"SELECT '\xed\xa0\x80';", b"$A\xe2\x82;")


def random_file(rng: random.Random) -> bytes:
    """Return a file: often well formed, often nearly so, sometimes noise."""
    shape = rng.random()
    if shape < 0.5:
        lines = _formed(rng)
    elif shape < 0.9:
        lines = _formed(rng)
        for _ in range(rng.randint(1, 2)):
            at = rng.randint(0, len(lines))
            lines[at : at + rng.randint(0, 1)] = [_any(rng)]
    else:
        lines = [_any(rng) for _ in range(rng.randint(0, 12))]
    end = b"\r\n" if rng.random() < 0.1 else b"\n"
    content = end.join(lines)
    if rng.random() < 0.02:
        content = b"\xef\xbb\xbf" + content
    return content + (end if rng.random() < 0.8 else b"")


def _formed(rng: random.Random) -> list[bytes]:
    lines = [b"-- top"] * rng.randint(0, 1)
    for text in ("-- +goose Up", "-- +goose Down")[: rng.choice((1, 2, 2))]:
        lines.append(text.encode())
        for _ in range(rng.randint(0, 5)):
            lines.extend(_piece(rng))
    return lines


def _piece(rng: random.Random) -> list[bytes]:
    kind = rng.random()
    some = [_sql(rng) for _ in range(rng.randint(1, 3))]
    if kind < 0.2:
        some = [_sql(rng) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
        return [b"-- +goose StatementBegin", *some, b"-- +goose StatementEnd"]
    if kind < 0.35:
        some.insert(0, rng.choice(_ENVSUB).encode())
        return [b"-- +goose ENVSUB ON", *some, b"-- +goose ENVSUB OFF"][
            : rng.choice((2, 9))
        ]
    if kind < 0.45:
        return [b"-- +goose NO TRANSACTION", *some]
    return some


def _sql(rng: random.Random) -> bytes:
    if rng.random() < 0.02:
        return rng.choice(_BYTES)
    line = rng.choice(_SQL)
    if rng.random() < 0.1:
        line += rng.choice(_SQL)
    return line.encode()


def _any(rng: random.Random) -> bytes:
    source = rng.choice((_ANNOTATIONS, _ODD_ANNOTATIONS, _SQL, _ENVSUB))
    return rng.choice(source).encode()


def random_line(rng: random.Random) -> bytes:
    """Return a line for ENVSUB: pieces of its grammar in any order."""
    pieces = (
        "$", "$$", "\\", "\\$", "$(", "{", "}", "${", ":", ":-", "-", "?", ":?", "+",
        "A", "EMPTY", "UNSET", "U", "LINES", "_", "1", "-1", " ", "ä", "\u0660", "\u2160",
        "\ufffd", "${A", "${U:", "${UNSET", "${A:1:", "${UNSET:-", "x", "99", "#",
    )  # fmt: skip
    return "".join(rng.choice(pieces) for _ in range(rng.randint(0, 9))).encode()

"""Where inside a statement something failed: COPY's row, PL/pgSQL's line, the key."""

import io
from pathlib import Path

import psycopg
import pytest

from migrator.cli import main
from tests.helpers.support import Result, run, write


pytestmark = pytest.mark.usefixtures("both_ways")


@pytest.fixture
def environ(database: str, conn: psycopg.Connection) -> dict[str, str]:
    """A database with tables to fail on."""
    conn.execute("CREATE TABLE p (i int CONSTRAINT p_pk PRIMARY KEY)")
    conn.execute("CREATE TABLE c (i int CONSTRAINT c_p_fk REFERENCES p, n int)")
    return {"MIGRATOR_DATABASE_URL": database}


def fail(environ: dict[str, str], directory: Path, text: str) -> Result:
    """Run one file that the server refuses."""
    where = str(write(directory, {"1_a.sql": text}))
    result = run("up", **environ, MIGRATOR_MIGRATIONS_DIR=where)
    assert result.exit_code in {13, 14}, result.verdict
    return result


COPY = "-- +goose Up\nCOPY c FROM stdin;\n1\t1\n2\tx\n\\.\n"


def test_the_row_of_a_copy_is_reported(environ: dict[str, str], tmp_path: Path) -> None:
    """Row and column are in the error, which a person reads, and in its field."""
    result = fail(environ, tmp_path, COPY.replace("1\t1", "\\N\t1"))

    context = 'COPY c, line 2, column n: "x"'
    assert result.verdict["error"] == (
        '1_a.sql:2:1: invalid input syntax for type integer: "x"; '
        f"{context} (SQLSTATE 22P02); the migration was rolled back;"
        " fix the file and re-run"
    )
    assert result.verdict["failed"]["context"] == context


def test_a_person_sees_the_row_of_a_copy_and_the_key(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """On a terminal there are no fields."""
    write(tmp_path, {"1_a.sql": COPY.replace("1\t1", "\\N\t1")})
    console = io.StringIO()
    main(
        ["up"],
        {
            **environ,
            "MIGRATOR_MIGRATIONS_DIR": str(tmp_path),
            "MIGRATOR_LOG_FORMAT": "console",
        },
        console,
    )

    assert 'COPY c, line 2, column n: "x"' in console.getvalue()


def test_a_foreign_key_failure_has_its_key_and_its_constraint(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """DETAIL is in the text; the constraint's name is a field as well."""
    result = fail(environ, tmp_path, "INSERT INTO c VALUES (7, 1);")

    failed, detail = result.verdict["failed"], 'Key (i)=(7) is not present in table "p"'
    assert f'"c_p_fk": {detail} (SQLSTATE 23503)' in result.verdict["error"]
    assert (failed["constraint"], failed["table"]) == ("c_p_fk", "c")
    assert failed["detail"] == f"{detail}."


CALL = (
    "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n"
    "  RAISE 'no';\nEND $$;\nDO $$\nBEGIN\n  PERFORM 1;\n"
    "  PERFORM pg_temp.f();\nEND $$;"
)
BLOCKS = {
    "raise": ("DO $$\nBEGIN\n  PERFORM 1;\n    RAISE 'no';\nEND $$;", (5, 5)),
    "first line of the body": ("DO $$ BEGIN RAISE 'no';\nEND $$;", (2, 7)),
    "query": ("DO $$\nBEGIN\n  INSERT INTO c SELECT\n    nosuch;\nEND $$;", (5, 5)),
    "perform": ("DO $$\nBEGIN\n  PERFORM 1,\n    nosuch;\nEND $$;", (4, 3)),
    "division": ("DO $x$\nBEGIN\n  PERFORM 1;\n  PERFORM 1/0;\nEND $x$;", (5, 3)),
    "plain string": ("DO '\nBEGIN\n  RAISE ''no'';\nEND ';", (4, 3)),
    "language quoted": ("DO LANGUAGE 'plpgsql' 'BEGIN RAISE ''no''; END';", (2, 24)),
    "language first": ("DO LANGUAGE plpgsql $$\nBEGIN\n  RAISE 'no';\nEND $$;", (4, 3)),
    "comment first": ("DO -- '\n$$\nBEGIN\n  RAISE 'no';\nEND $$;", (5, 3)),
    "assignment": ("DO $$\nDECLARE i int;\nBEGIN\n  i := nosuch;\nEND $$;", (5, 8)),
    "other function": (
        CALL,
        (9, 3),
    ),
    "after a command": ("SELECT 1;\nDO $$\nBEGIN\n  RAISE 'no';\nEND $$;", (5, 3)),
    "syntax": ("DO $$\nBEGIN\n  SELEC 1;\nEND $$;", (4, 3)),
    "function body": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\nSELECT\n  nosuch $$;",
        (4, 3),
    ),
}


@pytest.mark.parametrize("annotated", [True, False], ids=["block", "postgres"])
@pytest.mark.parametrize("case", BLOCKS)
def test_the_line_in_a_block_is_reported(
    case: str, environ: dict[str, str], tmp_path: Path, *, annotated: bool
) -> None:
    """Not the block's own line, which says nothing of a body of two hundred lines."""
    text, (line, column) = BLOCKS[case]
    shift = 1 if annotated else 0
    if annotated:
        text = f"-- +goose StatementBegin\n{text}\n-- +goose StatementEnd"
    text = f"-- +goose Up\n{text}"
    environ = environ | {"MIGRATOR_SPLIT": "goose" if annotated else "postgres"}

    result = fail(environ, tmp_path, text)

    failed = result.verdict["failed"]
    assert (failed["line"], failed["column"]) == (line + shift, column)
    assert result.verdict["error"].startswith(f"1_a.sql:{line + shift}:{column}: ")


def test_the_line_in_a_block_is_reported_without_a_transaction(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """As with one; PL/pgSQL's own words are in the text."""
    text = "-- +goose NO TRANSACTION\n-- +goose Up\n-- +goose StatementBegin\n"
    block = "DO $$\nBEGIN\n  RAISE 'no';\nEND $$;\n-- +goose StatementEnd"

    result = fail(environ, tmp_path, text + block)

    assert result.verdict["error"].startswith("1_a.sql:6:3: ")
    assert "PL/pgSQL function inline_code_block line 3 at RAISE" in str(result.verdict)


def test_two_blocks_in_one_message_keep_its_place(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """The server does not say which of them it was, so the line is the message's."""
    block = "DO $$\nBEGIN\n  RAISE 'no';\nEND $$;\n"
    text = (
        f"-- +goose Up\n-- +goose StatementBegin\n{block}{block}-- +goose StatementEnd"
    )

    result = fail(environ, tmp_path, text)

    assert result.verdict["error"].startswith("1_a.sql:3:1: no; PL/pgSQL function ")


def test_a_long_context_is_cut(environ: dict[str, str], tmp_path: Path) -> None:
    """A recursion names itself hundreds of times; the field has all of it."""
    text = (
        "-- +goose Up\n-- +goose StatementBegin\n"
        "CREATE FUNCTION pg_temp.f(n int) RETURNS int LANGUAGE plpgsql AS $$\n"
        "BEGIN IF n = 0 THEN RAISE 'no'; END IF; RETURN pg_temp.f(n - 1); END $$;\n"
        "-- +goose StatementEnd\nSELECT pg_temp.f(50);"
    )

    result = fail(environ, tmp_path, text)

    assert len(result.verdict["error"]) < 800
    assert "…" in result.verdict["error"]
    assert result.verdict["failed"]["context"].count("PL/pgSQL function") == 51

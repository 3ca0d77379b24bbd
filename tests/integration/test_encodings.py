"""Text arrives as the file has it, whatever encoding a database or a session has."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.conftest import ENCODINGS
from tests.helpers.support import run, write


FILES: dict[str, str | bytes] = {
    "1_ä.sql": "CREATE TABLE t (t text);\nINSERT INTO t VALUES ('ä');",
    "2_copy.sql": "COPY t FROM stdin;\nä\n\\.",
    "3_python.py": "def up(conn):\n"
    "    conn.execute('INSERT INTO t VALUES (%s)', ['ä'])\n".encode(),
    "4_open.sql": "-- +goose NO TRANSACTION\n-- +goose Up\nINSERT INTO t VALUES ('ä');\n",
    "5_notice.sql": "-- +goose Up\n-- +goose StatementBegin\nDO $$ BEGIN\n"
    "RAISE NOTICE 'ä'; END $$;\n-- +goose StatementEnd\n",
}
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


def stored(database: str) -> set[str]:
    """The bytes of the rows, in hexadecimal digits, as the server keeps them."""
    with psycopg.connect(database, client_encoding="utf8") as conn:
        rows = conn.execute(
            "SELECT encode(convert_to(t, getdatabaseencoding()), 'hex') FROM t"
        )
        return {row[0] for row in rows}


@every_encoding
@pytest.mark.parametrize("wish", ["", "URL", "options", "PGCLIENTENCODING", "role"])
def test_client_encoding_is_ours(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    wish: str,
) -> None:
    """Statements, COPY and Python agree, and no wish of somebody else counts."""
    directory = write(tmp_path / "m", FILES)
    monkeypatch.delenv("PGCLIENTENCODING")
    url = database
    match wish:
        case "URL":
            url = make_conninfo(database, client_encoding="LATIN1")
        case "options":
            url = make_conninfo(database, options="-c client_encoding=LATIN1")
        case "PGCLIENTENCODING":
            monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
        case "role":
            with psycopg.connect(database, autocommit=True) as conn:
                name = sql.Identifier(conn.info.dbname)
                conn.execute(
                    sql.SQL("ALTER DATABASE {} SET client_encoding = 'LATIN1'").format(
                        name
                    )
                )

        case _:
            pass

    environ = {
        "MIGRATOR_DATABASE_URL": url,
        "MIGRATOR_MIGRATIONS_DIR": str(directory),
    }
    results = [run(each, **environ) for each in ("up", "status", "version", "plan")]

    assert [result.exit_code for result in results] == [0, 0, 0, 0], results
    assert stored(database) == {"e4" if encoding == "LATIN1" else "c3a4"}
    (notice,) = results[0].events("server.noticed")
    assert notice["message"] == "ä"


@pytest.mark.encoding("LATIN1")
def test_a_character_that_the_database_does_not_have(
    database: str, tmp_path: Path
) -> None:
    """It is PostgreSQL's own error, and the file's."""
    directory = write(tmp_path / "m", {"1_a.sql": "SELECT '日';"})

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(directory),
    )

    assert result.exit_code == 13
    assert "(SQLSTATE 22P05)" in result.verdict["error"]


@every_encoding
@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.usefixtures("both_ways")
def test_a_file_that_sets_its_own(
    database: str, tmp_path: Path, encoding: str, *, transaction: bool
) -> None:
    """Our own rows, and the next file, are UTF-8 all the same."""
    head = "" if transaction else "-- +goose NO TRANSACTION\n"
    latin = f"{head}-- +goose Up\nSET client_encoding = 'LATIN1';\nCREATE TABLE "
    files: dict[str, str | bytes] = {
        "1_a.sql": "CREATE TABLE t (t text);",
        "2_ä.sql": f"{latin} b ();",
        "3_€.sql": f"{latin} c ();",
        "4_b.sql": "INSERT INTO t VALUES ('ä');",
    }
    if encoding == "LATIN1":
        del files["3_€.sql"]

    result = run(
        "up",
        MIGRATOR_DATABASE_URL=database,
        MIGRATOR_MIGRATIONS_DIR=str(write(tmp_path / "m", files)),
    )

    assert result.exit_code == 0, result.verdict
    assert stored(database) == {"e4" if encoding == "LATIN1" else "c3a4"}
    with psycopg.connect(database) as conn:
        rows = conn.execute("SELECT path FROM migrator_history ORDER BY version_id")
        assert [path for (path,) in rows] == sorted(files)


@pytest.mark.parametrize(
    "text",
    [
        "SET client_encoding = 'LATIN1';\nINSERT INTO t VALUES ('ä');",
        "SET NAMES win1252;\nCOPY t FROM stdin;\nä\n\\.\n",
        "/* x */ set local Client_Encoding to \"LATIN-1\";\nSELECT 'ä';",
    ],
)
def test_a_file_that_would_be_misread_is_refused(tmp_path: Path, text: str) -> None:
    """It says LATIN1 and is UTF-8: each byte of a character would become one."""
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result = run("validate", MIGRATOR_MIGRATIONS_DIR=str(directory))

    assert result.exit_code == 10
    assert "above, and is UTF-8: this character would be" in result.verdict["error"]


@pytest.mark.parametrize(
    "name", ["'UTF8'", "'utf-8'", "unicode", "DEFAULT", "SQL_ASCII"]
)
def test_names_of_utf8_are_no_fault(tmp_path: Path, name: str) -> None:
    """As pg_dump writes them, and SQL_ASCII converts nothing."""
    text = f"SET client_encoding TO {name};\nSELECT 'ä';"
    directory = write(tmp_path / "m", {"1_a.sql": text})

    result = run("validate", MIGRATOR_MIGRATIONS_DIR=str(directory))

    assert result.exit_code == 0

"""What pg_dump wrote is read by PostgreSQL's rules, whatever the setting."""

import pytest

from migrator.domain.model import Split
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
HEAD = "--\n-- PostgreSQL database dump\n--\n\n"
FUNCTION = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\nRETURN 1;\nEND;\n$$;"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(f"{UP}{HEAD}", id="below-up"),
        pytest.param(f"{UP}\n-- our own words\n{HEAD}", id="below-other-comments"),
        pytest.param(f"{HEAD}{UP}", id="above-up"),
        pytest.param(f"-- +goose NO TRANSACTION\n{UP}{HEAD}", id="without-a-transaction"),
        pytest.param(f"{UP}{HEAD}".replace("\n", "\r\n"), id="crlf"),
        pytest.param(f"{UP}{HEAD}-- {'x' * 4194304}\n", id="no-limit-for-lines"),
    ],
)  # fmt: skip
def test_a_dump_needs_no_setting(head: str) -> None:
    """Where pg_dump's first words stand above the first statement, the lexer splits."""
    migration = parsed(f"{head}{FUNCTION}\n-- +goose Down\nDROP FUNCTION f();")

    assert texts(migration.up) == [FUNCTION]
    assert texts(migration.down) == ["DROP FUNCTION f();"]


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(UP, id="nothing"),
        pytest.param(f"{UP}SELECT 1;\n{HEAD}", id="below-a-statement"),
        pytest.param(f"{UP}-- a PostgreSQL database dump\n", id="other-words"),
        pytest.param(f"{UP}-- PostgreSQL database dump of May\n", id="more-words"),
    ],
)
def test_other_files_are_split_as_the_setting_says(head: str) -> None:
    """Without pg_dump's words on top, goose's rule holds and is watched."""
    line = head.count("\n") + 3

    assert faults(parsed(f"{head}{FUNCTION}\n").up) == [f"split_inside {line}:9"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("SELECT 1;\nSELECT 2;\n", id="lines"),
        pytest.param(f"-- +goose StatementBegin\n{FUNCTION}\n-- +goose StatementEnd\n", id="block"),
        pytest.param("-- +goose ENVSUB ON\nSELECT '$A';\n-- +goose ENVSUB OFF\n", id="variable"),
        pytest.param("SELECT 1,\n-- c\n2;\n-- +goose Down\nSELECT 3;\n", id="down"),
    ],
)  # fmt: skip
def test_what_goose_runs_of_a_dump_stays_the_same(body: str) -> None:
    """A dump that its owner made fit for goose gives the same statements as before."""
    own, dumped = parsed(UP + body, environ={"A": "x"}), parsed(UP + HEAD + body, environ={"A": "x"})  # fmt: skip

    assert texts(dumped.up) == texts(own.up) != []
    assert texts(dumped.down) == texts(own.down)


@pytest.mark.parametrize("split", Split)
def test_connect_in_a_dump_is_a_fault(split: Split) -> None:
    """Of psql's commands only the key that pg_dump writes is dropped."""
    migration = parsed(f"{UP}{HEAD}\\restrict a\n\\connect app\nSELECT 1;\n", split)

    assert faults(migration.up) == ["psql_command 7:1"]

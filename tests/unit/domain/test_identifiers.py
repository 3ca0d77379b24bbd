"""Which names a tracking table may have, wherever the name comes from."""

from pathlib import Path

import pytest

from migrator.config.settings import read_settings
from migrator.errors import UsageError
from migrator.library import MigrationRunner
from tests.helpers.support import run


NOWHERE = Path("/nonexistent")
NOBODY = {
    "MIGRATOR_DATABASE_URL": "postgresql://127.0.0.1:1/db",
    "MIGRATOR_CONNECT_WAIT": "0",
}
"""Where nobody listens."""


SHAPE = (
    "write table or schema.table, with double quotes around a name that is not made of"
    " letters, digits, _ and $"
)
REFUSED = {
    "pg_temp.x": "the schema pg_temp belongs to PostgreSQL; name another one",
    'PG_Temp . "x"': "the schema pg_temp belongs to PostgreSQL; name another one",
    "pg_temp_3.x": "the schema pg_temp_3 belongs to PostgreSQL; name another one",
    '"pg_catalog".x': "the schema pg_catalog belongs to PostgreSQL; name another one",
    "pg_toast.x": "the schema pg_toast belongs to PostgreSQL; name another one",
    "Information_Schema.x": (
        "the schema information_schema belongs to PostgreSQL; name another one"
    ),
    "db.public.x": SHAPE,
    "a.b.c.d": SHAPE,
    ".x": SHAPE,
    "x.": SHAPE,
    "a..x": SHAPE,
    '""': SHAPE,
    '"x': SHAPE,
    'a."x': SHAPE,
    "my-table": SHAPE,
    "x; DROP TABLE y": SHAPE,
}
ALLOWED = [
    "goose_db_version",
    '"My.Schema"."t"',
    'ops . "V 1"',
    '"PG_x".t',
    "pg_x",
    "ä.ö",
]


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
@pytest.mark.parametrize("variable", ["MIGRATOR_TABLE", "GOOSE_TABLE"])
def test_a_table_name_that_no_run_can_use_is_refused_with_2(
    variable: str, name: str, reason: str
) -> None:
    """Before anything is connected to: the URL leads nowhere."""
    result = run("up", **{variable: name}, **NOBODY)

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        f"MIGRATOR_TABLE: {reason}",
    )


def test_gooses_flag_names_the_table_too() -> None:
    """Its forms are read as the variable is."""
    result = run("-table", "pg_temp.x", "up", **NOBODY)

    assert (result.exit_code, result.verdict["error"]) == (
        2,
        f"MIGRATOR_TABLE: {REFUSED['pg_temp.x']}",
    )


@pytest.mark.parametrize(("name", "reason"), REFUSED.items())
def test_the_library_refuses_the_same_names(name: str, reason: str) -> None:
    """When the runner is made."""
    with pytest.raises(UsageError) as caught:
        MigrationRunner("postgresql://h/db", "migrations", table=name)

    assert str(caught.value) == f"table: {reason}"


@pytest.mark.parametrize("name", ALLOWED)
def test_other_names_are_taken_as_they_are(name: str) -> None:
    """Quoted ones, and those that only look like PostgreSQL's own."""
    MigrationRunner("postgresql://h/db", "migrations", table=name)

    assert read_settings({"MIGRATOR_TABLE": name}, secrets_dir=NOWHERE).table == name

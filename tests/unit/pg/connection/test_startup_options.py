"""The `options` of a connection."""

import pytest

from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.connection.startup_options import option_names


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ("", set()),
        ("-c search_path=a -cwork_mem=1MB", {"search_path", "work_mem"}),
        ("--statement-timeout=5 --a.b=c", {"statement_timeout", "a.b"}),
    ],
)
def test_names_are_those_of_the_parameters(options: str, names: set[str]) -> None:
    """In each way to write them; a dash is an underscore (guc.c: ParseLongOption)."""
    assert option_names(parse_dsn(f"host=h options='{options}'")) == names

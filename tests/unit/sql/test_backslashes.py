"""standard_conforming_strings, set in a file, and backslashes where it is not."""

import pytest

from migrator.domain.model import Split
from migrator.sql.backslashes import conforming, sets_escapes
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
OFF = "SET standard_conforming_strings = off;"
BLOCK = "-- +goose StatementBegin\n{}\n-- +goose StatementEnd\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("SET standard_conforming_strings = off;", True),
        ("set session Standard_Conforming_Strings to 'off'", True),
        ("SET LOCAL standard_conforming_strings=FALSE;", True),
        ("SET standard_conforming_strings TO 0;", True),
        (
            "/* c */ SELECT set_config('standard_conforming_strings', 'no', false);",
            True,
        ),
        ("SET standard_conforming_strings = on;", False),
        ("SET standard_conforming_strings TO DEFAULT;", False),
        ("RESET standard_conforming_strings;", False),
        ("SELECT 'standard_conforming_strings = off';", None),
        ("SET search_path = a;", None),
    ],
)
def test_what_sets_it(text: str, *, found: bool | None) -> None:
    """A SET, a RESET and set_config, as statements of their own."""
    assert sets_escapes(text) is found


def test_escapes_are_filled_at_their_place() -> None:
    """Only in plain strings; lines and lengths stay."""
    text = "SELECT 'a\\'b\\\n', E'\\'', \"\\\", $$\\'$$ -- \\'\n"

    assert conforming(text) == "SELECT 'axxbx\n', E'\\'', \"\\\", $$\\'$$ -- \\'\n"


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "off", [OFF, "SELECT set_config('standard_conforming_strings', 'off', true);"]
)
def test_it_is_honoured_to_the_end_of_the_half(split: Split, off: str) -> None:
    r"""From its own statement on `\'` goes on with a string; in Down it does not."""
    body = (
        "SELECT '\\';\n"
        f"{off}\n"
        "INSERT INTO t VALUES ('it\\'s; -- x', 'y\\\\');\n"
        "SELECT 'a;\\';' || E'\\'';\n" + BLOCK.format("SELECT 'x\\';'; SELECT '\\'$$'")
    )
    migration = parsed(f"{UP}{body}{DOWN}SELECT '\\';\n", split)
    found = texts(migration.up)

    assert faults(migration.up) == faults(migration.down) == []
    assert found == [
        "SELECT '\\';",
        off,
        "INSERT INTO t VALUES ('it\\'s; -- x', 'y\\\\');",
        "SELECT 'a;\\';' || E'\\'';",
        "SELECT 'x\\';'; SELECT '\\'$$'",
    ]


@pytest.mark.parametrize("split", Split)
def test_it_is_honoured_within_an_own_transaction(split: Split) -> None:
    """The COMMIT behind such a string is the transaction's end."""
    body = f"BEGIN;\n{OFF}\nSELECT 'it\\'s';\nSELECT '\\';'; COMMIT;\n"

    assert texts(parsed(UP + body, split).up) == [
        OFF,
        "SELECT 'it\\'s';",
        "SELECT '\\';';",
    ]


@pytest.mark.parametrize("split", Split)
def test_it_is_honoured_until_it_is_on_again(split: Split) -> None:
    """Set back, a backslash is a character like others."""
    body = f"{OFF}\nSELECT '\\'';\nRESET standard_conforming_strings;\nSELECT '\\';\n"

    assert faults(parsed(UP + body, split).up) == []


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    "body",
    [
        "INSERT INTO t VALUES ('it\\'s');\n",
        "INSERT INTO t VALUES ('it\\'s');\nSELECT 1;\n",
        BLOCK.format("INSERT INTO t VALUES ('it\\'s');") + "SELECT 'it\\'s';\n",
    ],
)
def test_where_a_backslash_makes_the_difference_the_message_says_so(
    split: Split, body: str
) -> None:
    """It names E'…' and the setting; where it makes none, nothing is said of it."""
    found = [fault.message for fault in parsed(UP + body, split).up.faults]
    (other,) = parsed(f"{UP}SELECT 'a;\n", split).up.faults

    assert found
    assert all("escapes it only in E'…'" in message for message in found)
    assert "E'…'" not in other.message

"""What is odd about a file and stops nothing; and what ENVSUB does to bodies."""

import pytest

from migrator.domain.model import Section, Split
from tests.unit.sql.support import faults, parsed, texts


UP = "-- +goose Up\n"
DOWN = "-- +goose Down\n"
ON = "-- +goose ENVSUB ON\n"
OFF = "-- +goose ENVSUB OFF\n"
BLOCK = "-- +goose StatementBegin\n{}\n-- +goose StatementEnd\n"


def warned(section: Section) -> list[str]:
    """Return kind, place and first words of each warning."""
    return [f"{w.slug} {w.line}:{w.column} {w.message[:17]}" for w in section.warnings]


@pytest.mark.parametrize("split", Split)
def test_an_unset_variable_that_becomes_empty_is_a_warning(split: Split) -> None:
    """The warning has its name and line, in the half that has it; comments do not count."""
    content = (
        f"{UP}{ON}SELECT '$A';\n-- $B\nSELECT '${{C:-}} ${{D}}';\n{OFF}SELECT '$E';\n"
        f"{DOWN}{ON}SELECT '$F';\n"
    )
    migration = parsed(content, split, {"A": "x"})

    assert warned(migration.up) == ["variable_unset 5:16 the variable D is"]
    assert warned(migration.down) == ["variable_unset 10:9 the variable F is"]
    assert texts(migration.down) == ["SELECT '';"]


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    ("body", "warning"),
    [
        ("", ["no_statement 2:1 there is no state"]),
        ("-- c\n\n", ["no_statement 2:1 there is no state"]),
        ("BEGIN;\nCOMMIT;\n", ["no_statement 2:1 there is no state"]),
        ("SELECT 1\n", []),
        ("SELECT 1;\n", []),
    ],
)
def test_an_up_half_without_a_statement_is_a_warning(
    split: Split, body: str, warning: list[str]
) -> None:
    """Also when it is only a BEGIN and a COMMIT; Down may be empty."""
    assert warned(parsed(f"-- c\n{UP}{body}{DOWN}SELECT 1;\n", split).up) == warning
    assert parsed(f"{UP}SELECT 1;\n{DOWN}{body.strip()}", split).down.warnings == ()


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize(
    ("body", "place"),
    [
        (BLOCK.format("DO $$\nBEGIN\n  NULL;\nEND;\n$$;"), "4:4"),
        (BLOCK.format("CREATE FUNCTION f()\n AS $b$\nBEGIN;\nEND\n$b$;"), "5:5"),
        ("SELECT 'x', $$y;\n$$;\n", "3:13"),
        ("DO $$ BEGIN NULL; END $$;\n", "3:4"),
    ],
)
def test_a_body_under_envsub_says_so(split: Split, body: str, place: str) -> None:
    """The one fault names ENVSUB, and how to switch it off; END is not blamed."""
    found = parsed(f"{UP}{ON}{body}", split).up.faults
    first = found[0]

    assert f"{first.slug} {first.line}:{first.column}" == f"envsub_dollar {place}"
    assert "'-- +goose ENVSUB OFF' above the body" in first.message
    assert {fault.slug for fault in found} <= {"envsub_dollar", "envsub"}


@pytest.mark.parametrize("split", Split)
def test_dollars_under_envsub_are_as_goose_has_them(split: Split) -> None:
    """`$$` is `$`, in a string and for a parameter; a body behind OFF stays."""
    body = BLOCK.format(f"{OFF}DO $$ BEGIN NULL; END $$;")
    section = parsed(f"{UP}{ON}PREPARE p AS SELECT '$$', \\$1;\n{body}", split).up

    assert faults(section) == []
    assert [s.text for s in section.statements] == [
        "PREPARE p AS SELECT '$', $1;",
        "DO $$ BEGIN NULL; END $$;",
    ]


def test_the_message_of_a_variable_names_envsub() -> None:
    """It says what is in effect, and how to switch it off around a body."""
    (fault,) = parsed(f"{UP}{ON}DO $body$ BEGIN END $body$;\n").up.faults

    assert "'-- +goose ENVSUB ON' is in effect here" in fault.message
    assert "'-- +goose ENVSUB OFF' above the body of a function" in fault.message

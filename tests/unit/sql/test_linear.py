"""Work that grows with the text, counted; seconds are for tests/benchmarks/split.py."""

import pytest

from migrator.model import Split, Statement
from migrator.sql import by_line
from migrator.sql.annotation import Mark
from migrator.sql.riding import why_alone
from migrator.sql.structure import Structure
from tests.unit.sql.support import faults, parsed


UP = "-- +goose Up\n"
BLOCK = "-- +goose StatementBegin\nSELECT $a$;$a$;\n-- +goose StatementEnd\n"


def test_many_small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind the rows of a COPY a bounded number of lines is taken again."""
    taken, real = [], by_line.LineParser._some_lines

    def counted(self: by_line.LineParser, first: int, last: int) -> int:
        taken.append(last - first)
        return real(self, first, last)

    monkeypatch.setattr(by_line.LineParser, "_some_lines", counted)
    found = parsed(UP + "COPY t FROM stdin;\n1\n\\.\n" * 2000).up

    assert (len(found.statements), faults(found)) == (2000, [])
    assert max(taken) <= by_line._SOME


def test_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a block is looked for in the marks behind it, not in all of them."""
    asked, real = [], Structure.ends_block

    def counted(self: Structure, mark: Mark) -> bool:
        asked.append(mark.line)
        return real(self, mark)

    monkeypatch.setattr(Structure, "ends_block", counted)
    found = parsed(UP + BLOCK * 500, Split.POSTGRES).up

    assert (len(found.statements), faults(found), len(asked)) == (500, [], 500)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(";", id="lone-semicolon"),
        pytest.param("CREATE FUNCTION f(int) AS $$ SELECT $1; $$;", id="body"),
        pytest.param("/* /* c */ */ SELECT $f$ $1 $f$, $g$ $2 $g$;", id="quotes"),
    ],
)
def test_what_needs_no_message_of_its_own(text: str) -> None:
    """An empty query, and a `$1` inside of quotes, wait for no answer."""
    assert why_alone(Statement(text, 1)) == ""

"""Work that grows with the text, counted; seconds are for tests/benchmarks/split.py."""

import pytest

from migrator.domain.model import Split, Statement
from migrator.sql.goose import line_parser
from migrator.sql.goose.annotations import Mark
from migrator.sql.goose.state_machine import AnnotationStateMachine
from migrator.sql.riding import not_pipelined_reason
from tests.unit.sql.support import faults, parsed


UP = "-- +goose Up\n"
BLOCK = "-- +goose StatementBegin\nSELECT $a$;$a$;\n-- +goose StatementEnd\n"


def test_many_small_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of their lines is read once."""
    read, real = [], line_parser.LineParser._line

    def counted(self: line_parser.LineParser, line: str) -> None:
        read.append(line)
        real(self, line)

    monkeypatch.setattr(line_parser.LineParser, "_line", counted)
    found = parsed(UP + "COPY t FROM stdin;\n1\n\\.\n" * 2000).up

    assert (len(found.statements), faults(found)) == (2000, [])
    assert read == ["COPY t FROM stdin;"] * 2000 + [""]


def test_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a block is looked for in the marks behind it, not in all of them."""
    asked, real = [], AnnotationStateMachine.ends_block

    def counted(self: AnnotationStateMachine, mark: Mark) -> bool:
        asked.append(mark.line)
        return real(self, mark)

    monkeypatch.setattr(AnnotationStateMachine, "ends_block", counted)
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
    assert not_pipelined_reason(Statement(text, 1)) == ""

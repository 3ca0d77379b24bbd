"""A file that is read in pieces is the same migration as one that is read whole."""

import hashlib
import io
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from migrator.domain.model import Direction, Migration, Section, Split, Statement
from migrator.source.checksum import Checksum, checksum
from migrator.source.content import LONGEST_LINE
from tests.compat.fragments import ENVIRON, random_file
from tests.property import sqltext
from tests.unit.sql.support import parsed, parsed_in_pieces


_FILES = 500
_TESTS = Path(__file__).parents[1]
_KEPT = sorted(
    (*_TESTS.glob("compat/corpus/*.sql"), *_TESTS.glob("unit/sql/golden/*.sql"))
)


def _read(section: Section) -> list[tuple[Statement | str, ...]]:
    """Return the statements with their rows in one text, and the faults."""
    found: list[tuple[Statement | str, ...]] = []
    for each in tuple(section.statements):
        rows = "-" if each.data is None else "".join(each.data)
        bare = Statement(each.text, each.line, each.column, each.jumps)
        found.append((bare, rows))
    return [*found, *((fault.slug, str(fault)) for fault in section.faults)]


def _said(migration: Migration) -> list[object]:
    halves = [_read(migration.section(way)) for way in Direction]
    counts = [len(migration.section(way).statements) for way in Direction]
    return [migration.transaction, counts, *halves]


def _differ(content: bytes, pieces: tuple[int, ...]) -> None:
    for split in Split:
        whole = _said(parsed(content, split, ENVIRON))
        for piece in pieces:
            cut = parsed_in_pieces(content, piece, split, ENVIRON)

            assert _said(cut) == whole, (split, piece, content)
            assert cut.checksum == checksum(content)


@pytest.mark.parametrize("path", _KEPT, ids=lambda path: path.name)
def test_files_written_by_hand(path: Path) -> None:
    """Statements, places, rows, faults and flag do not depend on the pieces."""
    content = path.read_bytes()
    crlf = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    for each in (content, crlf, content.rstrip(b"\r\n")):
        _differ(each, (1, 7, 100))


@pytest.mark.parametrize("seed", range(2))
def test_random_files(seed: int) -> None:
    """Nor do they for files that are made to confuse."""
    rng = random.Random(seed)
    for _ in range(_FILES):
        _differ(random_file(rng), (1, rng.randint(2, 120)))


def test_random_sql() -> None:
    """Nor for statements of all kinds, well formed or cut off anywhere."""
    rng = random.Random(5)
    for _ in range(_FILES // 3):
        up, down = sqltext.script(rng), sqltext.near_sql(rng)
        content = f"-- +goose Up\n{up}\n-- +goose Down\n{down};\n".encode()
        _differ(content[: rng.randint(13, len(content) + 40)], (1, 40))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param("-- +goose Up\nSELECT 1;\n".encode("utf-16"), id="utf-16"),
        pytest.param(b"\xef\xbb\xbf-- +goose Up\nSELECT 1;\n", id="byte-order-mark"),
        pytest.param(b"-- +goose Up\rSELECT 1;\rSELECT 2;\r\n\n", id="old-mac"),
        pytest.param(b"-- +goose Up\nSELECT 1;\rSELECT 2;\n\r", id="stray-cr"),
        pytest.param(b"-- +goose Up\r\n--\r\n-- PostgreSQL database dump\r\n--\r\nSELECT 1; SELECT\r\n2;\r\n", id="dump"),
        pytest.param(b"-- +goose Up\nSELECT 1;\n--\n-- PostgreSQL database dump\n", id="no-dump"),
        pytest.param(b"-- +goose Up\nSELECT 1;\n\n  SELECT 2;\n\n\n SELECT 3;\n", id="blank-lines"),
        pytest.param(b"-- +goose Up\nSELECT 'a;\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\nSELECT 2;\nSELECT ';\n", id="string-before-a-block"),
        pytest.param(b"-- +goose Up\nSET client_encoding = latin1;\nSELECT 1;\nSELECT '\xc3\xa4';\n", id="encoding"),
        pytest.param(b"-- +goose Up\nSET standard_conforming_strings\n= off;\nSELECT 1;\nSELECT '\\'';';\n", id="escapes"),
        pytest.param(b"-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n--+GOOSE StatementEnd\nSELECT 2;\n-- +goose StatementEnd\nSELECT 3;\n", id="near-miss-in-a-block"),
        pytest.param(b"-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n  -- +goose Down\nSELECT 2;\n-- +goose StatementEnd\nSELECT 3;\n", id="indented-down-in-a-block"),
    ],
)  # fmt: skip
def test_odd_files(content: bytes) -> None:
    """Nor for what is found out before a file is parsed."""
    _differ(content, (1, 8, 1000))


@pytest.mark.parametrize(
    ("end", "more"), [(b"", 0), (b"", 1), (b"\n", 0), (b"\r\n", 0)]
)
def test_long_lines(end: bytes, more: int) -> None:
    """Nor for goose's limit of a line's length."""
    line = b"-- " + b"x" * (LONGEST_LINE - 3 + more) + end

    _differ(b"-- +goose Up\n" + line, (100_000,))


@given(
    pieces=st.lists(st.text("a \t\r\f\v\x1c", max_size=3).map(str.encode)),
    start=st.sampled_from((b"", b"\xef\xbb\xbf")),
)
def test_a_checksum_does_not_depend_on_the_pieces(
    pieces: list[bytes], start: bytes
) -> None:
    """It is that of the whole content, which a plain rule normalises."""
    content = start + b"\n".join(pieces)
    found = Checksum()
    for line in io.BytesIO(content):
        found.update(line)

    assert found.hexdigest() == checksum(content) == _plain_rule(content)


def _plain_rule(data: bytes) -> str:
    text = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    bare = re.sub(rb"[ \t\r\f\v]+$", b"", text, flags=re.MULTILINE).rstrip(b"\n")
    return hashlib.sha256(bare).hexdigest()

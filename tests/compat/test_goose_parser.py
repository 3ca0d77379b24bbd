"""What goose's own parser refuses, we refuse; what it accepts, we accept alike."""

import random
import re
from itertools import takewhile
from pathlib import Path

import pytest

from migrator.domain.model import Direction, Migration, Split
from migrator.sql.goose.envsub import SubstitutionError, expand
from migrator.sql.goose.faults import HAZARDS
from migrator.sql.goose.line_buffer import trim
from migrator.sql.split import skip_blank
from tests.compat.conftest import Oracle
from tests.compat.fragments import ENVIRON, random_file, random_line
from tests.compat.goose import Answer, Question
from tests.unit.sql.support import parsed


_FILES = 4000
_LINES = 20000
_LONGEST = 4 * 1024 * 1024 - 1
_CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.sql"))


def _difference(content: bytes, direction: Direction, theirs: Answer) -> str:
    """Return how we and goose differ on one direction of a file, "" when we do not."""
    migration = parsed(content, Split.GOOSE, ENVIRON)
    ours = migration.section(direction)
    restricted = b"restrict" in content
    if _ROWS.search(content):
        return _difference_before_rows(migration, direction, theirs)
    if theirs.error:
        fine = ours.faults or restricted or _lacks_rows(migration)
        return "" if fine else f"goose refuses: {theirs.error}"
    if ours.faults:
        strange = [f"{f.slug}: {f}" for f in ours.faults if f.slug not in HAZARDS]
        return f"we refuse: {strange}" if strange else ""
    texts = tuple(each.text.encode() for each in ours.statements)
    # An empty statement does nothing; goose sends it, we do not
    others = tuple(text for text in theirs.statements if text)
    if restricted:
        texts, others = _unrestricted(texts), _unrestricted(others)
    if texts != others:
        return f"statements: {texts} != {theirs.statements}"
    if migration.transaction != theirs.transaction:
        return f"transaction: {migration.transaction} != {theirs.transaction}"
    return ""


_ROWS = re.compile(rb"copy t .*^\\\.\r?$", re.IGNORECASE | re.MULTILINE | re.DOTALL)


def _difference_before_rows(
    migration: Migration, direction: Direction, theirs: Answer
) -> str:
    """Return the difference up to the first COPY; behind it goose reads rows as SQL."""
    ours = migration.section(direction)
    if theirs.error or any(migration.section(way).faults for way in Direction):
        return ""
    if direction is Direction.DOWN and any(
        each.data is not None for each in migration.up.statements
    ):
        return ""
    before = takewhile(lambda each: each.data is None, ours.statements)
    texts = _unrestricted(tuple(each.text.encode() for each in before))
    others = _unrestricted(theirs.statements)[: len(texts)]
    return "" if texts == others else f"before the rows: {texts} != {others}"


def _lacks_rows(migration: Migration) -> bool:
    """Say whether a COPY ends in nothing: the lines behind it are not looked at."""
    return any(
        fault.slug == "copy_unended"
        for way in Direction
        for fault in migration.section(way).faults
    )


_KEY = re.compile(r"^\\(?:un)?restrict abc[ \t]*$", re.MULTILINE)


def _unrestricted(texts: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return statements without psql's key, and the comments that stand on top then."""
    decoded = (text.decode(errors="surrogateescape") for text in texts)
    without = (trim(_KEY.sub("", text)) for text in decoded)
    bare = (trim(text[skip_blank(text, 0)[0] :]) for text in without)
    return tuple(text.encode(errors="surrogateescape") for text in bare if text)


def _differences(oracle: Oracle, contents: list[bytes]) -> list[tuple[str, bytes]]:
    cases = [(content, way) for content in contents for way in Direction]
    answers = oracle.goose.ask(
        Question(content, way.value, tuple(ENVIRON.items())) for content, way in cases
    )
    found = (
        (_difference(content, way, answer), content)
        for (content, way), answer in zip(cases, answers, strict=True)
    )
    return [each for each in found if each[0]]


def test_gooses_own_test_files(oracle: Oracle) -> None:
    """The files that goose tests its parser with give the same statements."""
    contents = [path.read_bytes() for path in oracle.testdata]

    assert len(contents) > 20
    assert _differences(oracle, contents) == []


@pytest.mark.parametrize("path", _CORPUS, ids=lambda path: path.stem)
def test_corpus(oracle: Oracle, path: Path) -> None:
    """Files written by hand, one for each corner of the grammar, are read alike."""
    content = path.read_bytes()
    without_end = content.removesuffix(b"\n")
    crlf = content.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")

    assert _differences(oracle, [content, without_end, crlf]) == []


@pytest.mark.parametrize("seed", range(3))
def test_random_files(oracle: Oracle, seed: int) -> None:
    """Thousands of random files, well formed or not, are read alike."""
    rng = random.Random(seed)

    assert _differences(oracle, [random_file(rng) for _ in range(_FILES)]) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"-- " + b"x" * (_LONGEST - 3) + b"\n-- +goose Up\n", id="longest"),
        pytest.param(b"-- " + b"x" * (_LONGEST - 2) + b"\n-- +goose Up\n", id="too-long"),
        pytest.param(b"-- +goose Up\n-- " + b"x" * (_LONGEST - 3), id="longest-last"),
        pytest.param(b"-- +goose Up\n-- " + b"x" * (_LONGEST - 2), id="too-long-last"),
        pytest.param(b"-- +goose Up\n-- " + b"x" * (_LONGEST - 4) + b"\r\n", id="longest-crlf"),
        pytest.param(b"-- +goose Up\n-- " + b"x" * (_LONGEST - 3) + b"\r\n", id="too-long-crlf"),
    ],
)  # fmt: skip
def test_long_lines(oracle: Oracle, content: bytes) -> None:
    """goose's limit of 4 MiB for a line is ours, to the byte."""
    assert [reason for reason, _ in _differences(oracle, [content])] == []


def test_random_variables(oracle: Oracle) -> None:
    """interpolate and our ENVSUB make the same of thousands of random lines."""
    rng = random.Random(7)
    lines = [random_line(rng) for _ in range(_LINES)]
    environ = tuple(ENVIRON.items())
    answers = oracle.goose.ask(
        Question(each, line=True, environ=environ) for each in lines
    )
    theirs = [None if each.error else each.statements[0] for each in answers]

    assert [_expanded(each) for each in lines] == theirs


def _expanded(line: bytes) -> bytes | None:
    try:
        return expand(line.decode(), ENVIRON).encode("utf-8", "surrogateescape")
    except SubstitutionError:
        return None

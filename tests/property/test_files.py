"""Whole migration files, random ones, in both splits."""

import random
import re

import pytest
from hypothesis import given, strategies as st

from migrator.domain.model import Migration, Split, Statement, Statements
from migrator.sql.keywords import BLANK_KINDS
from migrator.sql.lexer import tokenize
from migrator.sql.split import split_statements
from tests.compat.fragments import ENVIRON, random_file
from tests.property import sqltext
from tests.unit.sql.support import parsed


_FILES = 1500


def _parsed(content: bytes, split: Split) -> Migration:
    return parsed(content, split, ENVIRON)


def _misplaced(statement: Statement, lines: list[str]) -> list[tuple[int, str, str]]:
    """Return the characters that the statement locates elsewhere than they stand."""
    found = []
    for position, character in enumerate(statement.text, 1):
        line, column = statement.locate(position)
        there = (lines[line - 1] + "\n")[column - 1 : column]
        if there != character:
            found.append((position, character, there))
    return found


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("seed", range(2))
def test_every_position_leads_to_its_character(split: Split, seed: int) -> None:
    """Line and column of each character of each statement are those of the file."""
    rng = random.Random(seed)
    contents = [random_file(rng) for _ in range(_FILES)]
    for content in contents:
        if b"ENVSUB" in content or b"\r" in content or content[:3] == b"\xef\xbb\xbf":
            continue
        migration = _parsed(content, split)
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        statements = (*migration.up.statements, *migration.down.statements)

        assert [x for each in statements for x in _misplaced(each, lines)] == [], (
            content
        )


@pytest.mark.parametrize("seed", range(2))
def test_the_lexers_split_of_a_file_is_that_of_its_text(seed: int) -> None:
    """A file without blocks holds the statements of its halves, and no others."""
    rng = random.Random(seed)
    for _ in range(_FILES):
        up, down = (sqltext.script(rng).replace("\r\n", "\n") for _ in range(2))
        content = f"-- +goose Up\n{up}\n-- +goose Down\n{down}\n"
        migration = _parsed(content.encode(), Split.POSTGRES)

        for half, text in ((migration.up, up), (migration.down, down)):
            texts = tuple(
                text[part.start : part.end].rstrip() for part in split_statements(text)
            )
            assert (tuple(each.text for each in half.statements), half.faults) == (
                texts,
                (),
            )


@pytest.mark.parametrize("seed", range(2))
def test_a_half_without_faults_is_split_as_the_server_would(seed: int) -> None:
    """Where we let goose's split pass, it ends statements only where the server does."""
    rng = random.Random(seed)
    for _ in range(_FILES * 2):
        content = random_file(rng)
        if b"statement" in content.lower():
            continue
        migration = _parsed(content, Split.GOOSE)
        for half in (migration.up, migration.down):
            if half.faults:
                continue
            texts = [each.text for each in half.statements]
            each = [
                text[part.start : part.end]
                for text in texts
                for part in split_statements(text)
            ]
            whole = "\n".join(texts)

            assert [
                whole[part.start : part.end] for part in split_statements(whole)
            ] == each, content


_UP = b"-- +goose Up\n"
# Blocks; blanks of Unicode, which goose trims and which are letters to the server; an
# ENVSUB that stands in the rows of a COPY
_ODD = re.compile(rb"(?i)statement|\xc2\x85|\xc2\xa0|\xe2\x80\xa8|(?s:copy.*envsub)")
_DUMP = b"--\n-- PostgreSQL database dump\n--\n"


@pytest.mark.parametrize("seed", range(2))
def test_what_goose_runs_of_a_dump_is_run_as_before(seed: int) -> None:
    """Below pg_dump's first words the lexer finds what goose's rule finds, no less."""
    rng = random.Random(seed)
    for _ in range(_FILES * 2):
        content = random_file(rng)
        if _ODD.search(content):
            continue
        own = _parsed(content, Split.GOOSE).up
        dumped = _parsed(content.replace(_UP, _UP + _DUMP, 1), Split.GOOSE).up
        if not own.faults and not dumped.faults:
            assert _parts(dumped.statements) == _parts(own.statements), content


def _parts(statements: Statements) -> list[tuple[list[str], object]]:
    """Return the statements to the server, in tokens, each with its rows."""
    return [
        (_tokens(each.text[part.start : part.end]), each.data)
        for each in statements
        for part in split_statements(each.text)
    ]


def _tokens(text: str) -> list[str]:
    return [
        text[token.start : token.end]
        for token in tokenize(text)
        if token.kind not in BLANK_KINDS
    ]


_PIECES = (b"-- +goose Up\n", b"-- +goose Down\n", b"-- +goose StatementBegin\n", b"-- +goose StatementEnd\n", b"-- +goose ENVSUB ON\n", b"\\.\n", b"COPY t FROM stdin;\n", b"--", b"$$", b"/*", b"\xc3", b"\r", b"${A")  # fmt: skip


@pytest.mark.parametrize("split", Split)
@given(pieces=st.lists(st.one_of(st.sampled_from(_PIECES), st.binary(max_size=6))))
def test_any_bytes_are_a_migration(split: Split, pieces: list[bytes]) -> None:
    """Whatever a file holds, it is parsed: faults, never an exception."""
    migration = _parsed(b"".join(pieces), split)

    assert migration.version == 1

"""Tokens and statements cover a text, whatever it holds."""

import random

import pytest
from hypothesis import given, strategies as st

from migrator.sql.lexer import tokenize
from migrator.sql.split import StatementSpan, Stop, part_at, split_statements
from tests.property import sqltext


_ALPHABET = "ab1eE$'\"\\;-/*()\n\r .ä"
_INPUTS = 4000


def _joined(text: str) -> str:
    at, pieces = 0, []
    for token in tokenize(text):
        assert token.start == at < token.end
        at = token.end
        pieces.append(text[token.start : token.end])
    return "".join(pieces)


@given(st.text(alphabet=_ALPHABET))
def test_no_character_is_lost(text: str) -> None:
    """Tokens are contiguous and cover the text, whatever it holds."""
    assert _joined(text) == text


@given(st.text())
def test_no_character_of_unicode_is_lost(text: str) -> None:
    """Any character is part of a token, also those that mean nothing to SQL."""
    assert _joined(text) == text


@pytest.mark.parametrize("seed", range(4))
def test_no_character_of_noise_is_lost(seed: int) -> None:
    """Thousands of random texts are covered by their tokens."""
    rng = random.Random(seed)
    for _ in range(_INPUTS):
        text = sqltext.noise(rng)

        assert _joined(text) == text


@pytest.mark.parametrize("seed", range(4))
def test_statements_lose_only_blanks_comments_and_lone_semicolons(seed: int) -> None:
    """What lies between the statements of a text means nothing to the server."""
    rng = random.Random(seed)
    for _ in range(_INPUTS):
        text, at = sqltext.noise(rng), 0
        for part in (
            *split_statements(text),
            StatementSpan(len(text), len(text), Stop.TEXT),
        ):
            between = text[at : part.start]
            at = part.end

            assert [*split_statements(between)] == [], (text, between)


@pytest.mark.parametrize("seed", range(4))
def test_the_patterns_agree_with_the_tokens(seed: int) -> None:
    """The patterns that read whole statements end them where the tokens do."""
    rng = random.Random(seed)
    texts = [
        rng.choice("sceE") + sqltext.noise(rng) + rng.choice((";", ";\n", " x;"))
        for _ in range(_INPUTS)
    ]
    texts += [sqltext.script(rng).lstrip() for _ in range(_INPUTS // 4)]

    for text in texts:
        first = next(split_statements(text))

        assert first == part_at(text, first.start), text

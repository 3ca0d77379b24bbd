"""Positions in a sent text lead back to the file."""

import pytest

from migrator.domain.model import HistoryMode, Statement


@pytest.mark.parametrize(
    ("statement", "position", "expected"),
    [
        pytest.param(Statement("SELECT x", 3), 8, (3, 8), id="first-line"),
        pytest.param(Statement("SELECT x", 3, 5), 8, (3, 12), id="indented"),
        pytest.param(Statement("SELECT\n  x", 3, 5), 10, (4, 3), id="second-line"),
        pytest.param(Statement("é\nü x", 1), 5, (2, 3), id="characters-not-bytes"),
        pytest.param(Statement("a\nb\nc", 3, 1, ((1, 7),)), 5, (8, 1), id="jumped"),
        pytest.param(
            Statement("a\nb", 3, 1, ((1, 7),)), 1, (3, 1), id="before-the-jump"
        ),
        pytest.param(Statement("a", 3), 0, (3, 1), id="no-position"),
        pytest.param(Statement("", 1), 1, (1, 1), id="empty"),
    ],
)
def test_a_position_is_found_in_the_file(
    statement: Statement, position: int, expected: tuple[int, int]
) -> None:
    """Line and column from 1; columns count characters."""
    assert statement.locate(position) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("auto", "auto"),
        ("true", "true t yes y on 1"),
        ("false", "false f no n off 0"),
    ],
)
def test_words_for_a_history_of_our_own(value: str, words: str) -> None:
    """As a switch has them, in any case; the value is the word that is shown."""
    for word in words.split():
        assert HistoryMode(word).value == HistoryMode(word.upper()).value == value
    with pytest.raises(ValueError, match="maybe"):
        HistoryMode("maybe")

"""Whole files and what is made of them, side by side in golden/."""

from pathlib import Path

import pytest

from tests.unit.sql.golden import rendered


_FILES = sorted((Path(__file__).parent / "golden").glob("*.sql"))


@pytest.mark.parametrize("path", _FILES, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    """Statements, places and faults of the file are those written beside it."""
    expected = path.with_suffix(".txt").read_text("utf-8")

    assert rendered(path.read_bytes()) == expected

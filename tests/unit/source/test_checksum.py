"""What counts as a change of a file, and what does not."""

import pytest

from migrator.source.checksum import checksum


PLAIN = b"-- +goose Up\nSELECT 1;\n\n-- +goose Down\nSELECT 2;\n"


@pytest.mark.parametrize(
    "same",
    [
        pytest.param(PLAIN.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN, id="bom"),
        pytest.param(PLAIN.replace(b";\n", b"; \t\n"), id="blanks-at-line-ends"),
        pytest.param(PLAIN.rstrip(b"\n"), id="no-newline-at-the-end"),
        pytest.param(PLAIN + b"\n \n", id="empty-lines-at-the-end"),
    ],
)
def test_what_editors_change_does_not_count(same: bytes) -> None:
    """git, formatters and Windows may touch a file without changing it."""
    assert checksum(same) == checksum(PLAIN)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(PLAIN.replace(b"1", b"2"), id="sql"),
        pytest.param(PLAIN.replace(b"SELECT 1", b"SELECT  1"), id="blanks-inside"),
        pytest.param(PLAIN.replace(b"\n\n", b"\n"), id="empty-line-inside"),
        pytest.param(PLAIN + b"-- more\n", id="comment"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_what_a_person_changes_counts(other: bytes) -> None:
    """Also a comment: what was applied is what was reviewed."""
    assert checksum(other) != checksum(PLAIN)


def test_it_is_sha_256() -> None:
    """So that anybody can compute it."""
    assert checksum(b"a\n") == (
        "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    )

"""Short ways to parse a file and to say what came out."""

from collections.abc import Mapping

from migrator.domain.model import Migration, Section, Split
from migrator.source.content import FileContent
from migrator.source.parse import parse_file


def parsed(
    content: str | bytes,
    split: Split = Split.GOOSE,
    environ: Mapping[str, str] | None = None,
) -> Migration:
    """Return the migration of a file named 1_a.sql, read in one piece."""
    data = content.encode() if isinstance(content, str) else content
    return parsed_in_pieces(data, len(data) + 1, split, environ)


def parsed_in_pieces(
    data: bytes,
    piece: int,
    split: Split = Split.GOOSE,
    environ: Mapping[str, str] | None = None,
) -> Migration:
    """Return the migration of a file that is read in pieces of about that size."""

    def read(size: int, offset: int) -> bytes:
        return data[offset : offset + size]

    content = FileContent(read, "1_a.sql", piece=piece)
    return parse_file(content, version=1, split=split, environ=environ or {})


def texts(section: Section) -> list[str]:
    """Return the statements of a half; none when it has faults."""
    return [] if section.faults else [each.text for each in section.statements]


def faults(section: Section) -> list[str]:
    """Return kind and place of each fault of a half."""
    return [f"{fault.slug} {fault.line}:{fault.column}" for fault in section.faults]

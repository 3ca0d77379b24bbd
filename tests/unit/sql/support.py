"""Short ways to parse a file and to say what came out."""

from collections.abc import Mapping

from migrator.domain.model import Migration, Section, Split
from migrator.source.parse import parse_file


def parsed(
    content: str | bytes,
    split: Split = Split.GOOSE,
    environ: Mapping[str, str] | None = None,
) -> Migration:
    """Return the migration of a file named 1_a.sql."""
    data = content.encode() if isinstance(content, str) else content
    return parse_file(
        data, version=1, path="1_a.sql", split=split, environ=environ or {}
    )


def texts(section: Section) -> list[str]:
    """Return the statements of a half; none when it has faults."""
    return [] if section.faults else [each.text for each in section.statements]


def faults(section: Section) -> list[str]:
    """Return kind and place of each fault of a half."""
    return [f"{fault.slug} {fault.line}:{fault.column}" for fault in section.faults]

"""One file's content to a migration."""

from collections.abc import Mapping

from migrator.domain.model import Migration, Section, Split
from migrator.source.content import FileContent
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.parser import parse


def parse_file(
    content: FileContent, *, version: int, split: Split, environ: Mapping[str, str]
) -> Migration:
    """
    Return the migration that *content* holds; what is wrong with it is in its sections.

    Line ends may be LF or CRLF; the statements have LF, as goose sends them. Bytes
    that are not UTF-8 become surrogate escapes, and faults where they would be sent.

    What `pg_dump` wrote is split by PostgreSQL's rules whatever *split* is: it writes
    functions over several lines, so goose could not run the file; and where goose can,
    for its authors put StatementBegin around them, the lexer runs the same.

    Raises:
        FileChangedError: The file is being written.
    """
    findings = FaultCollector(content.path)
    if content.has_bom:
        findings.add("bom", 1)
    if content.is_utf16:
        return _faulty(findings, version, content.checksum)
    if content.is_old_mac:
        findings.add("carriage_return", 0, 0)
    split = Split.POSTGRES if content.is_dump else split
    for line in content.long_lines if split is Split.GOOSE else ():
        findings.add("line_too_long", line)
    parsed = parse(content, split=split, environ=environ, findings=findings)
    return Migration(
        version=version,
        path=content.path,
        up=parsed.up,
        down=parsed.down,
        transaction=parsed.transaction,
        checksum=content.checksum,
        is_large=len(content) > 1,
    )


def unreadable(error: OSError, *, version: int, path: str) -> Migration:
    """Return a migration of which only the name could be read."""
    findings = FaultCollector(path)
    findings.add("unreadable", 0, 0, why=error.strerror or type(error).__name__)
    return _faulty(findings, version)


def go_file(*, version: int, path: str, checksum: str) -> Migration:
    """
    Return a migration in Go, which only the program that it is compiled into can run.

    That does no harm where it is applied already: its fault stops what would run it.
    """
    findings = FaultCollector(path)
    findings.add("go_file", 0, 0)
    return _faulty(findings, version, checksum)


def _faulty(findings: FaultCollector, version: int, checksum: str = "") -> Migration:
    up, down = (Section((), findings.of(side)) for side in BOTH)
    return Migration(version, findings.path, up, down, checksum=checksum)

"""One file's bytes to a migration."""

import re
from collections.abc import Iterator, Mapping

from migrator.domain.model import Migration, Section, Split
from migrator.sql.goose.faults import FaultCollector
from migrator.sql.goose.parser import parse


# goose reads lines with a bufio.Scanner whose buffer holds 4 MiB, the line end included
LONGEST_LINE = 4 * 1024 * 1024 - 1
BOM = b"\xef\xbb\xbf"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
# pg_backup_archiver.c: RestoreArchive writes it above everything else. pg_dump writes
# functions over several lines, so goose could not run the file; and where goose can,
# for its authors put StatementBegin around them, the lexer runs the same.
DUMP = re.compile(rb"(?:[ \t\r]*(?:--[^\n]*)?\n)*?-- PostgreSQL database dump\r?\n")


def parse_file(
    data: bytes, *, version: int, path: str, split: Split, environ: Mapping[str, str]
) -> Migration:
    """
    Return the migration that *data* holds; what is wrong with it is in its sections.

    Line ends may be LF or CRLF; the statements have LF, as goose sends them. Bytes
    that are not UTF-8 become surrogate escapes, and faults where they would be sent.

    What `pg_dump` wrote is split by PostgreSQL's rules whatever *split* is.
    """
    findings = FaultCollector(path)
    if data.startswith(UTF16):
        findings.add("bom", 1)
        return _faulty(findings, version=version, path=path)
    if data.startswith(BOM):
        findings.add("bom", 1)
        data = data[len(BOM) :]
    if DUMP.match(data):
        split = Split.POSTGRES
    if split is Split.GOOSE:
        for line in long_lines(data):
            findings.add("line_too_long", line)
    if b"\r" in data:
        data = _without_cr(data, findings)
    parsed = parse(
        data.decode("utf-8", "surrogateescape"),
        split=split,
        environ=environ,
        findings=findings,
    )
    return Migration(
        version=version,
        path=path,
        up=parsed.up,
        down=parsed.down,
        transaction=parsed.transaction,
    )


def unreadable(error: OSError, *, version: int, path: str) -> Migration:
    """Return a migration of which only the name could be read."""
    findings = FaultCollector(path)
    findings.add("unreadable", 0, 0, why=error.strerror or type(error).__name__)
    return _faulty(findings, version=version, path=path)


def go_file(*, version: int, path: str) -> Migration:
    """
    Return a migration in Go, which only the program that it is compiled into can run.

    That does no harm where it is applied already: its fault stops what would run it.
    """
    findings = FaultCollector(path)
    findings.add("go_file", 0, 0)
    return _faulty(findings, version=version, path=path)


def _faulty(findings: FaultCollector, *, version: int, path: str) -> Migration:
    up, down = (Section((), findings.of(side)) for side in findings.sides)
    return Migration(version=version, path=path, up=up, down=down)


# bufio.ScanLines, dropCR: one CR before the line end, and one at the file's end
def _without_cr(data: bytes, findings: FaultCollector) -> bytes:
    inner = data.rstrip(b"\r\n")
    if b"\r" in inner and b"\n" not in inner:
        findings.add("carriage_return", 0, 0)
        data = data.replace(b"\r", b"\n")
    return data.replace(b"\r\n", b"\n").removesuffix(b"\r")


def long_lines(data: bytes, first: int = 1) -> Iterator[int]:
    """Yield the numbers of the lines that goose cannot read; *data* starts a line."""
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            yield first + data.count(b"\n", 0, start)
            end = data.find(b"\n", start)
            if end < 0:
                return
        start = end + 1

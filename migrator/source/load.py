"""Directories to migrations: every file is parsed once, before anything runs."""

import os
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.domain.model import Files, Migration, Split
from migrator.source.checksum import checksum
from migrator.source.discover import find_migrations
from migrator.source.entries import Candidate
from migrator.source.parse import go_file, parse_file, unreadable


if TYPE_CHECKING:
    from migrator.source.large_blocks import FileBlocks

LARGE = 1024 * 1024
"""
Files with more bytes are large. A ConfigMap has no more than 1 MiB, so what comes from
one is read at once; and parsed, a file takes several times its size.
"""

_NOT_SQL = (".py", ".go")


def load(*places: Path, split: Split, environ: Mapping[str, str]) -> Files:
    """
    Return the migrations of *places*, directories and archives, with all their faults.

    Faults of names, and files that cannot be read, are in the result's own faults: it
    is unknown whether such a file has changed since it was applied. Faults inside a
    file are in the halves that they stop. Of a large SQL file only its faults and the
    number of its statements are kept: it stays open, and is read again when it is
    executed.

    Args:
        split: Who says where a statement ends.

        environ: Where `-- +goose ENVSUB ON` looks its variables up.

    Raises:
        FilesInvalidError: A place is not there or cannot be read; nothing in any of
            them is or wants to be a migration; or a file is being written.
    """
    found = find_migrations(*places)
    migrations = tuple(_read(each, split, environ) for each in found.candidates)
    unread = (fault for m in migrations if not m.checksum for fault in m.up.faults)
    return Files(migrations, (*found.faults, *unread))


def _read(found: Candidate, split: Split, environ: Mapping[str, str]) -> Migration:
    version, path = found.version, found.name
    try:
        content = _content(found)
    except OSError as error:
        return unreadable(error, version=version, path=path)
    if isinstance(content, bytes):
        migration = _parsed(content, found, split, environ)
        return migration._replace(checksum=checksum(content))
    from migrator.source.large import parse_blocks  # noqa: PLC0415 - rare

    return parse_blocks(
        content, version=version, path=path, split=split, environ=environ
    )


def checksum_of(found: Candidate) -> str:
    """
    Return the checksum of a file that is not parsed.

    Raises:
        OSError: It cannot be read.
    """
    content = _content(found)
    return checksum(content) if isinstance(content, bytes) else content.checksum


def _content(found: Candidate) -> "bytes | FileBlocks":
    if found.content is not None:
        if len(found.content) <= LARGE or found.path.endswith(_NOT_SQL):
            return found.content
        from migrator.source.archive import blocks  # noqa: PLC0415 - rare

        return blocks(found.content, found.name)
    with FileIO(found.path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= LARGE or found.path.endswith(_NOT_SQL):
            return file.readall()
        from migrator.source.large_blocks import FileBlocks  # noqa: PLC0415 - rare

        return FileBlocks(os.dup(file.fileno()), found.name)


def _parsed(
    data: bytes, found: Candidate, split: Split, environ: Mapping[str, str]
) -> Migration:
    version, path = found.version, found.name
    if path.endswith(".go"):
        return go_file(version=version, path=path)
    if path.endswith(".py"):
        from migrator.source.python_file import parse_module  # noqa: PLC0415 - rare

        return parse_module(data, version=version, path=path, file=found.path)
    return parse_file(data, version=version, path=path, split=split, environ=environ)

"""Directories to migrations: every file is parsed once, before anything runs."""

from collections.abc import Mapping
from pathlib import Path

from migrator.domain.model import Files, Migration, Split
from migrator.source.checksum import checksum
from migrator.source.content import open_content
from migrator.source.discover import find_migrations
from migrator.source.entries import Candidate
from migrator.source.parse import go_file, parse_file, unreadable


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
    version = found.version
    try:
        if found.path.endswith(".sql"):
            content = open_content(found)
        else:
            return _parse_module(found, _data(found))
    except OSError as error:
        return unreadable(error, version=version, path=found.name)
    return parse_file(content, version=version, split=split, environ=environ)


def checksum_of(found: Candidate) -> str:
    """
    Return the checksum of a file that is not parsed.

    Raises:
        OSError: It cannot be read.
    """
    return open_content(found).checksum


def _data(found: Candidate) -> bytes:
    return Path(found.path).read_bytes() if found.content is None else found.content


def _parse_module(found: Candidate, data: bytes) -> Migration:
    version, path, said = found.version, found.name, checksum(data)
    if path.endswith(".go"):
        return go_file(version=version, path=path, checksum=said)
    from migrator.source.python_file import parse_module  # noqa: PLC0415 - rare

    module = parse_module(data, version=version, path=path, file=found.path)
    return module._replace(checksum=said)

"""A directory to migrations: every file is read once, before anything runs."""

from collections.abc import Mapping
from pathlib import Path

from migrator.model import Files, Migration, Split
from migrator.source.checksum import checksum
from migrator.source.discover import Candidate, discover
from migrator.source.parse import parse_file, unreadable


def load(directory: Path, *, split: Split, environ: Mapping[str, str]) -> Files:
    """
    Return the migrations of *directory* with all their faults.

    Faults of names are in the result's own faults; faults inside a file are in the
    halves that they stop.

    Args:
        split: Who says where a statement ends.

        environ: Where `-- +goose ENVSUB ON` looks its variables up.

    Raises:
        FilesInvalidError: There is no such directory, it cannot be read, or nothing
            in it is or wants to be a migration.
    """
    found = discover(directory)
    return Files(
        tuple(_read(each, split, environ) for each in found.candidates), found.faults
    )


def _read(found: Candidate, split: Split, environ: Mapping[str, str]) -> Migration:
    try:
        data = Path(found.path).read_bytes()
    except OSError as error:
        return unreadable(error, version=found.version, path=found.name)
    migration = _parsed(data, found, split, environ)
    return migration._replace(checksum=checksum(data))


def _parsed(
    data: bytes, found: Candidate, split: Split, environ: Mapping[str, str]
) -> Migration:
    version, path = found.version, found.name
    if path.endswith(".py"):
        from migrator.source.pymigration import parse_module  # noqa: PLC0415 - rare

        return parse_module(data, version=version, path=path, file=found.path)
    return parse_file(data, version=version, path=path, split=split, environ=environ)

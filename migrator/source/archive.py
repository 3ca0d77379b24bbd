"""
Migrations in a tar archive, as a ConfigMap's `binaryData` may hold one.

Nothing is unpacked: all of it is read into memory, and a member is a name and a
content. So it can lie nowhere but in its archive, whatever its name says.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from migrator.domain.facts import Fault
from migrator.errors import FilesInvalidError
from migrator.source.entries import Member


MOST_BYTES = 32 * 1024 * 1024
"""
Of all that is packed. A ConfigMap holds 1 MiB, and gzip makes SQL five to ten times
smaller; what it makes a thousand times smaller is meant to fill a memory.
"""

_GZIP = b"\x1f\x8b"
# what gzip, zlib and tarfile raise for bytes that are none of theirs
_BROKEN = (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError)


def members(path: Path, *, most_bytes: int = MOST_BYTES) -> tuple[Member, ...]:
    """
    Return what lies in the archive's one folder with files, by name.

    That is the top level, or else the only folder in it, and so on; folders below and
    hidden names are nobody's. Of two members with one name the last one counts, as in
    unpacking.

    Raises:
        FilesInvalidError: It cannot be read, is broken or too large, or has its files
            in several folders.
    """
    found = _top(path, dict(_named(path, _unpacked(path, most_bytes))))
    return tuple(found[name] for name in sorted(found))


def _unpacked(path: Path, most_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            data = (gzip.GzipFile(fileobj=file) if packed else file).read(
                most_bytes + 1
            )
    except (OSError, *_BROKEN) as error:
        raise _fault(path, _UNREADABLE.format(_why(error))) from error
    if len(data) > most_bytes:
        raise _fault(path, _TOO_LARGE.format(most_bytes // (1024 * 1024)))
    return data


def _named(path: Path, data: bytes) -> Iterator[tuple[tuple[str, ...], Member]]:
    """Yield the members that are not hidden, by the parts of their names."""
    try:
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as tar:
            for info in tar:
                parts = tuple(p for p in info.name.split("/") if p not in {"", "."})
                if parts and not info.isdir() and not any(map(_is_hidden, parts)):
                    where = "/".join((str(path), *parts))
                    yield parts, Member(parts[-1], where, _content(tar, info))
            end = data[tar.offset :]
    except _BROKEN as error:
        raise _fault(path, _UNREADABLE.format(_why(error))) from error
    # tarfile ends without a word at what it takes for no header
    if not end or end.strip(b"\0"):
        raise _fault(path, _UNREADABLE.format("it is cut off, or damaged"))


def _content(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes | None:
    # a sparse member can be larger than its archive
    file = tar.extractfile(info) if info.isreg() and not info.issparse() else None
    return None if file is None else file.read()


def _is_hidden(part: str) -> bool:
    return part.startswith(".")


def _top(path: Path, found: dict[tuple[str, ...], Member]) -> dict[str, Member]:
    depth = 0
    while found and not any(len(parts) == depth + 1 for parts in found):
        folders = {parts[depth] for parts in found}
        if len(folders) > 1:
            raise _fault(path, _SEVERAL.format(", ".join(sorted(folders))))
        depth += 1
    return {parts[-1]: m for parts, m in found.items() if len(parts) == depth + 1}


def _fault(path: Path, message: str) -> FilesInvalidError:
    return FilesInvalidError(
        [Fault(path=str(path), line=0, column=0, slug="archive", message=message)]
    )


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


_UNREADABLE = "the archive cannot be read: {}; make it with tar, with gzip or without"
_TOO_LARGE = (
    "the archive holds more than {} MiB; put its files into a directory,"
    " where large ones are read piece by piece"
)
_SEVERAL = (
    "the archive has files in several folders, {}; pack one folder,"
    " or several archives with ':' between them"
)

"""
The content of an SQL file of any size: its checksum, and its text in pieces.

A file of more than `PIECE` bytes is not kept in memory. It stays open, so that it is
the same file also when a mount has been swapped; and a piece whose content is no longer
what it was at first is an error.
"""

import hashlib
import os
import re
import weakref
from collections.abc import Callable, Iterator
from io import FileIO
from typing import NamedTuple, TypeAlias

from migrator.errors import FileChangedError
from migrator.source.checksum import Checksum
from migrator.source.entries import Candidate


PIECE = 1024 * 1024
"""
How many bytes are read at a time. A ConfigMap has no more than 1 MiB, so what comes
from one is a single piece; and parsed, a text takes several times its size.
"""

# goose reads lines with a bufio.Scanner whose buffer holds 4 MiB, the line end included
LONGEST_LINE = 4 * 1024 * 1024 - 1
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# pg_backup_archiver.c: RestoreArchive writes it above everything else
_DUMP = re.compile(rb"(?:[ \t\r]*(?:--[^\n]*)?\n)*?-- PostgreSQL database dump\r?\n")
_HEAD = 64 * 1024

_Read: TypeAlias = Callable[[int, int], bytes]
"""Returns as many bytes of a file as there are, at most a size, from an offset on."""


class _Piece(NamedTuple):
    offset: int
    size: int
    digest: bytes


class FileContent:
    """
    The text of one file, in pieces of whole lines that are read each time.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, read: _Read, path: str, *, piece: int = PIECE) -> None:
        head = read(_HEAD, 0)
        self.path = path
        """The file's name, for messages."""

        self.is_utf16 = head.startswith(_UTF16)
        self.has_bom = self.is_utf16 or head.startswith(_BOM)
        self.is_dump = _DUMP.match(head.removeprefix(_BOM)) is not None
        """Whether pg_dump's comment is among the first 64 KiB, behind comments only."""

        self.is_old_mac = False
        """Whether lines end with CR only."""

        self.long_lines: list[int] = []
        """The numbers of the lines that goose cannot read."""

        self._read = read
        self._pieces: list[_Piece] = []
        self.checksum = self._survey(piece)
        """As `migrator.source.checksum`."""

    def _survey(self, piece: int) -> str:
        checksum, offset, line = Checksum(), 0, 1
        for data in _cut(self._read, piece):
            checksum.update(data)
            self._note_cr(data)
            self.long_lines += _long_lines(data if offset else _bare(data), line)
            digest = hashlib.sha256(data).digest()
            self._pieces.append(_Piece(offset, len(data), digest))
            offset += len(data)
            line += data.count(b"\n")
        return checksum.hexdigest()

    # Pieces end with LF: what follows the first one is behind an LF
    def _note_cr(self, data: bytes) -> None:
        if not self._pieces:
            inner = data.rstrip(b"\r\n")
            self.is_old_mac = b"\r" in inner and b"\n" not in inner
        elif self.is_old_mac:
            self.is_old_mac = not data.strip(b"\r\n")

    def __len__(self) -> int:
        return len(self._pieces)

    def __getitem__(self, index: int) -> str:
        """
        Return the text of one piece, with LF as line ends and no byte order mark.

        Bytes that are not UTF-8 become surrogate escapes.

        Raises:
            FileChangedError: It is not what it was.
        """
        data = self._checked(self._pieces[index])
        if index == 0:
            data = _bare(data)
        if b"\r" in data:
            data = self._without_cr(data, last=index == len(self) - 1)
        return data.decode("utf-8", "surrogateescape")

    # bufio.ScanLines, dropCR: one CR before the line end, and one at the file's end
    def _without_cr(self, data: bytes, *, last: bool) -> bytes:
        if self.is_old_mac:
            return data.replace(b"\r", b"\n")
        data = data.replace(b"\r\n", b"\n")
        return data.removesuffix(b"\r") if last else data

    def _checked(self, piece: _Piece) -> bytes:
        try:
            data = self._read(piece.size, piece.offset)
        except OSError as error:
            raise FileChangedError(self.path) from error
        if hashlib.sha256(data).digest() != piece.digest:
            raise FileChangedError(self.path)
        return data


def open_content(found: Candidate) -> FileContent:
    """
    Return the content of a file, which is closed with the last reference to it.

    Raises:
        OSError: It cannot be read.
    """
    if found.content is not None:
        return FileContent(_reader(found.content), found.name)
    with FileIO(found.path) as file:
        if os.fstat(file.fileno()).st_size <= PIECE:
            return FileContent(_reader(file.readall()), found.name)
        return FileContent(_OpenFile(os.dup(file.fileno())), found.name)


def _reader(data: bytes) -> _Read:
    return lambda size, offset: data[offset : offset + size]


class _OpenFile:
    def __init__(self, descriptor: int) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor

    def __call__(self, size: int, offset: int) -> bytes:
        return os.pread(self._descriptor, size, offset)


def _bare(data: bytes) -> bytes:
    return data.removeprefix(_BOM)


def _cut(read: _Read, size: int) -> Iterator[bytes]:
    """Yield the content in whole lines, about *size* bytes each; one piece at least."""
    offset, data = 0, read(size, 0)
    parts: list[bytes] = []
    while True:
        offset += len(data)
        following = read(size, offset)
        end = data.rfind(b"\n") + 1 if following else len(data)
        if end or not following:
            yield b"".join((*parts, data[:end]))
            parts.clear()
        if not following:
            return
        parts.append(data[end:])
        data = following


def _long_lines(data: bytes, first: int) -> Iterator[int]:
    start = 0
    while len(data) - start > LONGEST_LINE:
        end = data.rfind(b"\n", start, start + LONGEST_LINE + 1)
        if end < 0:
            yield first + data.count(b"\n", 0, start)
            end = data.find(b"\n", start)
            if end < 0:
                return
        start = end + 1

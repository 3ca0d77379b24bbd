"""
A large file in blocks of whole lines, read as often as it is needed.

It stays open, so that it is the same file also when a mount has been swapped; and a
block whose content is no longer what it was at first is an error.
"""

import hashlib
import os
import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

from migrator.errors import FileChangedError
from migrator.source.checksum import Checksum
from migrator.source.parse import BOM, DUMP, UTF16, long_lines


PIECE = 1024 * 1024
"""How many bytes are read at a time: enough that the rest costs no time beside them."""

_COMMENTS = re.compile(rb"(?:[ \t\r]*(?:--[^\n]*)?\n)*")


@dataclass(frozen=True, slots=True)
class _Block:
    offset: int
    size: int
    digest: bytes


class FileBlocks:
    """
    The content of an open file, whose descriptor is closed with the last reference.

    Raises:
        OSError: It cannot be read.
    """

    def __init__(self, descriptor: int, path: str, *, piece: int = PIECE) -> None:
        weakref.finalize(self, os.close, descriptor)
        self._descriptor = descriptor
        self._path = path
        survey = _Survey()
        self._blocks = tuple(survey.blocks(_cut(descriptor, piece)))
        self.long_lines = tuple(survey.long_lines)
        self.checksum = survey.checksum.hexdigest()
        self.is_dump = survey.is_dump
        self.has_bom = survey.head.startswith(BOM)
        self.is_utf16 = survey.head.startswith(UTF16)
        self.is_old_mac = survey.is_old_mac

    def __len__(self) -> int:
        return len(self._blocks)

    def text(self, index: int) -> str:
        """
        Return the text of one block, with LF as line ends.

        Raises:
            FileChangedError: It is not what it was.
        """
        data = self._read(self._blocks[index])
        if index == 0:
            data = data.removeprefix(BOM)
        if b"\r" in data:
            data = self._without_cr(data, last=index == len(self) - 1)
        return data.decode("utf-8", "surrogateescape")

    def _without_cr(self, data: bytes, *, last: bool) -> bytes:
        if self.is_old_mac:
            return data.replace(b"\r", b"\n")
        data = data.replace(b"\r\n", b"\n")
        return data.removesuffix(b"\r") if last else data

    def _read(self, block: _Block) -> bytes:
        try:
            data = os.pread(self._descriptor, block.size, block.offset)
        except OSError as error:
            raise FileChangedError(self._path) from error
        if hashlib.sha256(data).digest() != block.digest:
            raise FileChangedError(self._path)
        return data


class _Survey:
    """What is found out about a file while it is read for the first time."""

    def __init__(self) -> None:
        self.head = b""
        self.checksum = Checksum()
        self.is_dump = False
        self.long_lines: list[int] = []
        self._comments = True
        """Whether there were only comments up to now."""

        self._line = 1
        self._first_end = self._first_cr = self._last = -1
        """Where the first LF and CR are, and the last byte that is neither."""

    @property
    def is_old_mac(self) -> bool:
        """Whether lines end with CR only."""
        ends = 0 <= self._first_end < self._last
        return 0 <= self._first_cr < self._last and not ends

    def blocks(self, pieces: Iterator[bytes]) -> Iterator[_Block]:
        """Yield a block for each of *pieces*, which are whole lines."""
        offset = 0
        for data in pieces:
            self.checksum.update(data)
            self._note_ends(data, offset)
            self._note_lines(data if offset else self._bare(data))
            yield _Block(offset, len(data), hashlib.sha256(data).digest())
            offset += len(data)

    def _bare(self, data: bytes) -> bytes:
        self.head = data[:3]
        return data.removeprefix(BOM)

    def _note_lines(self, data: bytes) -> None:
        if self._comments:
            self.is_dump = DUMP.match(data) is not None
            only = _COMMENTS.fullmatch(data) is not None
            self._comments = only and not self.is_dump
        self.long_lines.extend(long_lines(data, self._line))
        self._line += data.count(b"\n")

    def _note_ends(self, data: bytes, offset: int) -> None:
        if self._first_end < 0 <= (at := data.find(b"\n")):
            self._first_end = offset + at
        if self._first_cr < 0 <= (at := data.find(b"\r")):
            self._first_cr = offset + at
        if content := data.rstrip(b"\r\n"):
            self._last = offset + len(content) - 1


def _cut(descriptor: int, piece: int) -> Iterator[bytes]:
    """Yield the content in whole lines, about *piece* bytes each."""
    offset = 0
    rest: list[bytes] = []
    while data := os.pread(descriptor, piece, offset):
        offset += len(data)
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join((*rest, data[:end]))
            rest.clear()
        if end < len(data):
            rest.append(data[end:])
    if rest:
        yield b"".join(rest)

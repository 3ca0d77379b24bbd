"""A file's text in pieces, and the rows of a COPY, which may go on in many of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol


class Texts(Protocol):
    """Pieces of whole lines that end with LF, as often as they are asked for."""

    def __len__(self) -> int:
        """Return how many there are; at least one."""

    def __getitem__(self, index: int, /) -> str: ...


class TextPieces:
    """The pieces of a file, read in their order."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self.index = 0
        """Which piece is read next, from 0."""

        self.is_ascii = self.is_sendable = True
        """Of what was read: whether it has neither NUL nor bytes that are not UTF-8."""

    @property
    def is_last(self) -> bool:
        """Whether no piece is left."""
        return self.index >= len(self._texts)

    def read(self) -> str:
        """Return the next piece."""
        text = self._texts[self.index]
        self.index += 1
        self.is_ascii = self.is_ascii and text.isascii()
        self.is_sendable = self.is_sendable and is_sendable(text)
        return text

    def following(self) -> Callable[[], Iterator[str]]:
        """Return what reads the pieces that are left, each time it is called."""
        left = range(self.index, len(self._texts))
        return partial(map, self._texts.__getitem__, left)


def is_sendable(text: str) -> bool:
    """Say whether *text* holds neither a NUL nor bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


@dataclass(frozen=True, slots=True)
class LongRows:
    """The rows of a COPY that are read again each time; pieces of whole lines."""

    read: Callable[[], Iterator[str]]

    def __iter__(self) -> Iterator[str]:
        return self.read()


def rows_of(texts: Iterable[str]) -> Iterator[str]:
    """Yield *texts* up to the line that ends the rows."""
    for text in texts:
        end = find_end(text)
        rows = text if end < 0 else text[:end]
        if rows:
            yield rows
        if end >= 0:
            return


def find_end(text: str, at: int = 0) -> int:
    """Return where the line that ends the rows starts, from a line on; -1 for none."""
    if text.startswith("\\.", at) and text[at + 2 : at + 3] in {"", "\n"}:
        return at
    found = text.find("\n\\.\n", at)
    if found >= 0:
        return found + 1
    return len(text) - 2 if text.endswith("\n\\.", at) else -1

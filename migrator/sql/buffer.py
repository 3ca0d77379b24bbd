"""The lines of a statement that is being read, by goose's rule."""

from migrator.model import Statement
from migrator.sql.gotext import BLANKS
from migrator.sql.words import starts_copy


class Buffer:
    """The lines of a statement that is being read, and their places in the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cuts: list[int] = []
        """The file's lines that were taken out of its middle."""

        self.copies = False
        """Whether the first word is COPY, and nobody has looked for its end."""

        self.between = True
        """Whether nobody has found a statement in the lines yet."""

        self._first = 0
        self._next = 0
        self._height = 0
        self._jumps: list[tuple[int, int]] = []

    def extend(self, lines: list[str], number: int) -> None:
        """Take the file's *lines* from *number* on, as they are."""
        self.append(lines[0], number)
        self.lines += lines[1:]
        self._height += len(lines) - 1
        self._next = number + len(lines)

    def append(self, line: str, number: int) -> None:
        """Take the file's line *number*; expanded, it may be several lines."""
        if not self.lines:
            self._first = number
            self.copies = starts_copy(line.lstrip(BLANKS))
        elif number != self._next:
            self._jumps.append((self._height, number))
        self.lines.append(line)
        self._height += 1
        self._next = number + 1
        for _ in range(line.count("\n")):
            self._jumps.append((self._height, number))
            self._height += 1

    def statement(self) -> Statement:
        """Return what was read, without the blanks at its ends."""
        raw = "\n".join(self.lines)
        if not self._jumps and raw[:1].strip(BLANKS):
            return Statement(raw.rstrip(BLANKS), self._first)
        text = raw.lstrip(BLANKS)
        lead = raw[: len(raw) - len(text)]
        number = lead.count("\n")
        whole = Statement(raw, self._first, 1, tuple(self._jumps))
        line, column = whole.locate(len(lead) + 1)
        text = text.rstrip(BLANKS)
        last = number + text.count("\n") if self._jumps else 0
        jumps = tuple((n - number, at) for n, at in self._jumps if number < n <= last)
        return Statement(text, line, column, jumps)

"""The lines of a statement that is being read, by goose's rule."""

import re

from migrator.domain.model import Statement
from migrator.sql.keywords import starts_copy


class LineBuffer:
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


# Go's unicode.IsSpace. Python's str.strip also takes \x1c-\x1f, which Go keeps.
BLANKS = (
    " \t\n\v\f\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)


def trim(text: str) -> str:
    """Return *text* without blanks at its ends: Go's strings.TrimSpace."""
    return text.strip(BLANKS)


COMMENT_WORD = re.compile(rf"--(?<![^{BLANKS}]--)")


# parser.go: endsWithSemicolon; words by bufio.ScanWords
def ends_statement(line: str) -> bool:
    """Say whether the last word before the first with `--` in front ends with `;`."""
    if "--" in line:
        match = COMMENT_WORD.search(line)
        line = line[: match.start()] if match else line
    return line.rstrip(BLANKS).endswith(";")

"""The checksum of a file, by which a change after it was applied is detected."""

import hashlib


_BOM = b"\xef\xbb\xbf"


class Checksum:
    """
    The SHA-256 of a file's content that comes piece by piece.

    Line ends, a byte order mark, blanks at the ends of lines and empty lines at the
    end of the file do not count: editors, formatters and git change them.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._first = True
        self._newlines = 0
        """The number of line ends that count only if more text follows."""

    def update(self, data: bytes) -> None:
        """Add the next piece: whole lines, unless it is the last."""
        if self._first:
            data, self._first = data.removeprefix(_BOM), False
        # rstrip takes the blanks of ASCII; a regular expression is ten times slower
        text = b"\n".join([line.rstrip() for line in data.split(b"\n")])
        body = text.rstrip(b"\n")
        if body:
            self._hash.update(b"\n" * self._newlines)
            self._hash.update(body)
            self._newlines = 0
        self._newlines += len(text) - len(body)

    def hexdigest(self) -> str:
        """Return it as hexadecimal digits."""
        return self._hash.hexdigest()


def checksum(data: bytes) -> str:
    """Return the checksum of a file's whole content."""
    found = Checksum()
    found.update(data)
    return found.hexdigest()

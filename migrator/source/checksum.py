"""What a file says, as a number: for telling whether an applied file has changed."""

import hashlib
import re


_BOM = b"\xef\xbb\xbf"
_TRAILING = re.compile(rb"[ \t\r\f\v]+$", re.MULTILINE)


def checksum(data: bytes) -> str:
    """
    Return the SHA-256 of a file's content as hexadecimal digits.

    Line ends, a byte order mark, blanks at the ends of lines and empty lines at the
    end of the file do not count: editors, formatters and git change them.
    """
    text = _TRAILING.sub(b"", data.removeprefix(_BOM).replace(b"\r\n", b"\n"))
    return hashlib.sha256(text.rstrip(b"\n")).hexdigest()

"""Characters that cannot be sent, and those that the server would read as others."""

import re
from collections.abc import Iterable, Iterator

from migrator.domain.model import Statement
from migrator.sql.goose.text_pieces import is_sendable
from migrator.sql.keywords import first_words


def bad_characters(statements: Iterable[Statement]) -> Iterator[tuple[str, int, int]]:
    """Yield slug, line and column of what cannot be sent, one for each statement."""
    for statement in statements:
        if match := _UNSENDABLE.search(statement.text):
            yield _slug(match), *statement.locate(match.start() + 1)
        else:
            yield from _in_rows(statement)


def _in_rows(statement: Statement) -> Iterator[tuple[str, int, int]]:
    line = statement.locate(len(statement.text))[0] + 1
    for rows in statement.data or ():
        match = None if is_sendable(rows) else _UNSENDABLE.search(rows)
        if match is not None:
            before = rows[: match.start()]
            column = match.start() - before.rfind("\n")
            yield _slug(match), line + before.count("\n"), column
            return
        line += rows.count("\n")


# SQL_ASCII converts nothing; the others are names of UTF-8 (encnames.c)
_SAME = {"utf8", "unicode", "default", "sqlascii"}
_STARTS_SET = ("s", "S", "-", "/")
_SETS = re.compile(
    r"set\s+(?:session\s+|local\s+)?(?:client_encoding\s*(?:=|\bto\b)|names\b)"
    r"\s*['\"]?([\w-]+)",
    re.IGNORECASE,
)


class ClientEncoding:
    """The encoding that one direction of a file has set, piece by piece."""

    def __init__(self) -> None:
        self._name = ""
        """As the file writes it; empty while it is UTF-8."""

        self._reported = False

    def misread(
        self, statements: Iterable[Statement]
    ) -> Iterator[tuple[str, int, int]]:
        """
        Yield the encoding, line and column of the first character that suffers.

        A file is sent as it is read, which is UTF-8. Where it has set another encoding
        before, the server takes each byte of `ä` for a character of its own.
        """
        for statement in () if self._reported else statements:
            if self._name and (match := _NON_ASCII.search(statement.text)):
                self._reported = True
                yield self._name, *statement.locate(match.start() + 1)
                return
            if self._name and any(not rows.isascii() for rows in statement.data or ()):
                self._reported = True
                yield self._name, *statement.locate(len(statement.text))
                return
            if statement.text[:1] not in _STARTS_SET:
                continue
            match = _SETS.search(statement.text)
            if match and first_words(statement.text, limit=1) == ["set"]:
                same = re.sub(r"[\W_]", "", match[1]).lower() in _SAME
                self._name = "" if same else match[1]


_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_UNSENDABLE = re.compile("[\0\udc80-\udcff]")


def _slug(match: re.Match[str]) -> str:
    return "nul" if match.group() == "\0" else "invalid_utf8"

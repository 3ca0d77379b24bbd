"""Characters that no server takes."""

import re
from collections.abc import Iterable, Iterator

from migrator.model import Statement


def is_sendable(text: str) -> bool:
    """Say whether *text* holds neither a NUL nor bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


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


_UNSENDABLE = re.compile("[\0\udc80-\udcff]")


def _slug(match: re.Match[str]) -> str:
    return "nul" if match.group() == "\0" else "invalid_utf8"

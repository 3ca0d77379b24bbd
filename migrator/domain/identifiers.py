"""Parses qualified names of tables as PostgreSQL does."""

import re


# misc.c: parse_ident, is_ident_start, is_ident_cont, where every character beyond ASCII
# counts as a letter; scansup.c: scanner_isspace, downcase_identifier
_SPACE = r"[ \t\n\r\f]*"
# the complements, because a class with all characters up to U+10FFFF compiles in 6 ms
_NOT_START = r"\x00-@\[-^`{-\x7f"
_NOT_CONT = r"\x00-#%-/:-@\[-^`{-\x7f"
_PART = re.compile(
    rf'{_SPACE}(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^{_NOT_START}][^{_NOT_CONT}]*))'
    rf"{_SPACE}"
)
_UPPER = re.compile(r"[A-Z]+")
_MOST_PARTS = 2


def parse_identifier(text: str) -> tuple[str, ...]:
    """
    Return the parts of a qualified name, as `parse_ident(text)` in PostgreSQL does.

    Unquoted parts become lower case; a part may have any length.

    Raises:
        ValueError: A part is empty or not an identifier, or a quote is not closed.
    """
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(_EXPECTED)
        parts.append(_read(match))
        position = match.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            raise ValueError(_EXPECTED)
        position += 1


def _read(part: re.Match[str]) -> str:
    if part["quoted"] is not None:
        return part["quoted"].replace('""', '"')
    return _UPPER.sub(lambda match: match[0].lower(), part["plain"])


def check_table(text: str) -> str:
    """
    Return *text* if it names a table that is not temporary: `table`, `schema.table`.

    Raises:
        ValueError: It has another form, or its schema is PostgreSQL's own, such as
            `pg_temp`, whose tables end with the session.
    """
    schema, *table = parts = parse_identifier(text)
    if len(parts) > _MOST_PARTS:
        raise ValueError(_EXPECTED)
    if table and (schema.startswith("pg_") or schema == "information_schema"):
        raise ValueError(f"the schema {schema} belongs to PostgreSQL; name another one")
    return text


_EXPECTED = (
    "write table or schema.table, with double quotes around a name that is not made of"
    " letters, digits, _ and $"
)

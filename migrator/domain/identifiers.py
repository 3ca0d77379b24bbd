"""Names of tables as PostgreSQL reads them: parts with dots between them."""

import re


# In misc.c: parse_ident, is_ident_start, is_ident_cont; every character beyond ASCII
# counts as a letter. In scansup.c: scanner_isspace, downcase_identifier
_SPACE = r"[ \t\n\r\f]*"
# what is none of these; a class of what is one, up to U+10FFFF, compiles in 6 ms
_NO_START = r"\x00-@\[-^`{-\x7f"
_NO_CONT = r"\x00-#%-/:-@\[-^`{-\x7f"
_PART = re.compile(
    rf'{_SPACE}(?:"(?P<quoted>(?:[^"]|"")+)"|(?P<plain>[^{_NO_START}][^{_NO_CONT}]*))'
    rf"{_SPACE}"
)
_UPPER = re.compile(r"[A-Z]+")
_MOST_PARTS = 2


def parse_identifier(text: str) -> tuple[str, ...]:
    """
    Return the parts of a qualified name, as `parse_ident(text)` in PostgreSQL does.

    What is not quoted becomes lower case; a part may have any length.

    Raises:
        ValueError: A part is empty or is no identifier, or a quote is not closed.
    """
    found, at = [], 0
    while True:
        part = _PART.match(text, at)
        if part is None:
            raise ValueError(_SHAPE)
        found.append(_read(part))
        at = part.end()
        if at == len(text):
            return tuple(found)
        if text[at] != ".":
            raise ValueError(_SHAPE)
        at += 1


def _read(part: re.Match[str]) -> str:
    if part["quoted"] is not None:
        return part["quoted"].replace('""', '"')
    return _UPPER.sub(lambda upper: upper[0].lower(), part["plain"])


def check_table(text: str) -> str:
    """
    Return *text*, which names a table that outlives a session: `table`, `schema.table`.

    Raises:
        ValueError: It has another shape, or its schema is PostgreSQL's own. One such,
            `pg_temp`, is another schema in each session and is gone with it.
    """
    schema, *table = parts = parse_identifier(text)
    if len(parts) > _MOST_PARTS:
        raise ValueError(_SHAPE)
    if table and (schema.startswith("pg_") or schema == "information_schema"):
        raise ValueError(f"the schema {schema} belongs to PostgreSQL; name another one")
    return text


_SHAPE = (
    "write table or schema.table, with double quotes around a name that is not made of"
    " letters, digits, _ and $"
)

"""Control characters and invisible ones of foreign text, replaced by escapes."""

import json
from collections.abc import Mapping
from typing import Any


def visible(text: str) -> str:
    r"""
    Return *text* as one line that moves no cursor, with escapes such as `\x1b`.

    What does not print (`str.isprintable`) is escaped as in a string of Python: control
    characters, line and paragraph separators, marks of direction, characters without
    width, and what was no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def visible_lines(text: str) -> str:
    """Return *text* with its line breaks, each of its lines as `visible` has it."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join(visible(line.expandtabs()) for line in lines)


def json_text(fields: Mapping[str, Any], **options: Any) -> str:
    r"""
    Return *fields* as JSON in which such characters are escapes, such as `\u001b`.

    It stays valid UTF-8 when a file's name or text is not.
    """
    text = json.dumps(fields, **{"ensure_ascii": False, "default": str, **options})
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()

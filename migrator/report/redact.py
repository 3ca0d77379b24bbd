"""No secret leaves: known values are masked in everything that is told."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote


MASK = "********"
# CREATE and ALTER ROLE, quoted by the server in an error's message or context
_LITERAL = re.compile(r"(\bpassword\s+)[eu]?&?'(?:[^']|'')*(?:'|$)", re.IGNORECASE)
_SHORT = 6


class Redactor:
    """
    Masks given secrets, plain and percent-encoded, in strings at any depth.

    A secret shorter than 6 characters is masked only where it stands as a word:
    anywhere else it would eat the text without hiding anything.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for s in secrets if s for form in (s, quote(s, safe=""))}
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_pattern, longest_first)) or r"(?!)")

    def text(self, value: str) -> str:
        """Return *value* without secrets and without the literal of a PASSWORD '…'."""
        return self._pattern.sub(MASK, _LITERAL.sub(rf"\1'{MASK}'", value))

    def value(self, value: Any) -> Any:
        """Return *value* with every string in it masked."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return {key: self.value(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case _:
                return value


def _pattern(secret: str) -> str:
    literal = re.escape(secret)
    return literal if len(secret) >= _SHORT else rf"(?<!\w){literal}(?!\w)"

"""No secret leaves: known values are masked in everything that is told."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote


MASK = "********"
# CREATE and ALTER ROLE, quoted by the server in an error's message or context
_LITERAL = re.compile(r"(\bpassword\s+)[eu]?&?'(?:[^']|'')*(?:'|$)", re.IGNORECASE)
# but not the names of files that hold secrets, and not libpq's PGPASSFILE
_SECRET = re.compile(r"(PASSWORD|PASSWD|SECRET|TOKEN|_KEY)$", re.IGNORECASE)
_SHORT = 6
_MOST_LEARNED = 100


def secret_values(environ: Mapping[str, str]) -> set[str]:
    """Return the values of variables whose names say secret."""
    return {value for name, value in environ.items() if value and _SECRET.search(name)}


class Redactor:
    """
    Masks given secrets, plain and percent-encoded, in strings at any depth.

    A secret shorter than 6 characters is masked only where it stands as a word:
    anywhere else it would eat the text without hiding anything.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given = tuple(secrets)
        self._learned: tuple[str, ...] = ()
        self._pattern = _any_of(self._given)

    def learn(self, secret: str) -> None:
        """
        Mask *secret* from now on.

        Of those that were learned the last hundred are kept: a token lives shorter.
        """
        if secret not in self._learned:
            self._learned = (*self._learned, secret)[-_MOST_LEARNED:]
            self._pattern = _any_of((*self._given, *self._learned))

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


def _any_of(secrets: Iterable[str]) -> re.Pattern[str]:
    forms = {form for s in secrets if s for form in (s, quote(s, safe=""))}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(_pattern, longest_first)) or r"(?!)")


def _pattern(secret: str) -> str:
    literal = re.escape(secret)
    return literal if len(secret) >= _SHORT else rf"(?<!\w){literal}(?!\w)"

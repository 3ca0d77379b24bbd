"""No secret leaves: known values are masked in everything that is told."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from migrator.sql.passwords import MASK, SHORT, masking, without_passwords


class Redactor:
    """
    Masks given secrets in strings at any depth, and what they call a password.

    Given ones are found plain, percent-encoded, and escaped as in SQL and Python.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._long = masking(form for form in forms if len(form) >= SHORT)
        self._short = masking(form for form in forms if len(form) < SHORT)

    def text(self, value: str) -> str:
        """
        Return *value* without secrets.

        Long ones come first, which may have quotes and blanks in them; short ones come
        last, which may be part of what gives others away, such as the x of `$x$`.
        """
        found = without_passwords(self._long.sub(MASK, value))
        return self._short.sub(MASK, found)

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


def _forms(secret: str) -> Iterator[str]:
    in_conninfo = _escaped(secret, "\\'")
    in_sql = secret.replace("'", "''")
    in_url = quote(secret, safe="")
    for form in (secret, secret.strip(), in_conninfo, in_sql, in_url):
        yield from (form, _escaped(form, "\\"), _escaped(form, "\\'"))


def _escaped(text: str, characters: str) -> str:
    return "".join(f"\\{c}" if c in characters else c for c in text)

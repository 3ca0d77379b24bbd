"""No secret leaves: known values are masked in everything that is told."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from migrator.sql.passwords import (
    MASK,
    SHORT,
    masking,
    passwords,
    without_passwords,
)


# but not the names of files that hold secrets, and not libpq's PGPASSFILE
_SECRET = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|_PASS|_PWD|SECRET|TOKEN|_KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_MOST_LEARNED = 100


def secret_values(environ: Mapping[str, str]) -> set[str]:
    """
    Return what variables hold whose names say secret, and passwords in all others.

    Short ones are left out of the latter: a URL of somebody else's is no reason to mask
    every `app`.
    """
    named = {value for name, value in environ.items() if value and _SECRET.search(name)}
    held = {p for value in environ.values() for p in passwords(value)}
    return named | {password for password in held if len(password) >= SHORT}


class Redactor:
    """
    Masks given secrets in strings at any depth, and what they call a password.

    Given ones are found plain, percent-encoded, and escaped as in SQL and Python.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._given = tuple(secrets)
        self._learned: tuple[str, ...] = ()
        self._long, self._short = _patterns(self._given)

    def learn(self, secret: str) -> None:
        """
        Mask *secret* from now on.

        Of those that were learned the last hundred are kept: a token lives shorter.
        """
        if secret not in self._learned:
            self._learned = (*self._learned, secret)[-_MOST_LEARNED:]
            self._long, self._short = _patterns((*self._given, *self._learned))

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


def _patterns(secrets: Iterable[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    forms = {form for secret in secrets for form in _forms(secret)}
    long = {form for form in forms if len(form) >= SHORT}
    return masking(long), masking(forms - long)


def _forms(secret: str) -> Iterator[str]:
    in_conninfo = _escaped(secret, "\\'")
    in_sql = secret.replace("'", "''")
    in_url = quote(secret, safe="")
    for form in (secret, secret.strip(), in_conninfo, in_sql, in_url):
        yield from (form, _escaped(form, "\\"), _escaped(form, "\\'"))


def _escaped(text: str, characters: str) -> str:
    return "".join(f"\\{c}" if c in characters else c for c in text)

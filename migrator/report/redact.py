"""Masks secrets in all output."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from migrator.domain.facts import Fault, ServerMessage, words_of
from migrator.events.base import Event
from migrator.sql.secrets import (
    MASK,
    SHORT,
    find_passwords,
    is_secret,
    mask_passwords,
    mask_pattern,
)


# but not the names of files that hold secrets, and not libpq's PGPASSFILE
_SECRET = re.compile(
    r"(PASSWORD|PASSWD|PASSPHRASE|_PASS|_PWD|SECRET|TOKEN|_KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_MOST_LEARNED = 100
_WORDS = words_of(ServerMessage) | words_of(Fault)
"""The words of ours in the objects that events have, such as `failed`."""


def secret_values(environ: Mapping[str, str]) -> set[str]:
    """
    Return what variables hold whose names say secret, and passwords in all others.

    Short ones are left out of the latter: a URL of somebody else's is no reason to mask
    every `app`.
    """
    named = {value for name, value in environ.items() if _SECRET.search(name)}
    held = {p for value in environ.values() for p in find_passwords(value)}
    return named | {password for password in held if len(password) >= SHORT}


def query_values(urls: Iterable[str]) -> tuple[str, ...]:
    """Return the query of each of *urls* that has one, and each value in it."""
    found = [query for url in urls if (query := urlsplit(url).query)]
    values = (value for query in found for _, value in parse_qsl(query))
    return (*found, *values)


class Redactor:
    """
    Masks given secrets in strings at any depth, and what they call a password.

    Given ones are found plain, percent-encoded, and escaped as in SQL, Python and JSON,
    and each line of one that has several.
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
        found = mask_passwords(self._long.sub(MASK, value))
        return self._short.sub(MASK, found)

    def fields(self, event: Event) -> dict[str, Any]:
        """Return the fields of *event*, its words of ours as they are."""
        ours = event.words | _WORDS
        return {
            name: value if name in event.words else self.value(value, ours)
            for name, value in vars(event).items()
        }

    def value(self, value: Any, ours: frozenset[str] = frozenset()) -> Any:
        """Return *value* with every string in it masked, but those called as *ours*."""
        match value:
            case str():
                return self.text(value)
            case Mapping():
                return dict(self._items(value, ours))
            case list() | tuple():
                return [self.value(inner, ours) for inner in value]
            case _:
                return value

    def _items(
        self, value: Mapping[str, Any], ours: frozenset[str]
    ) -> Iterator[tuple[str, Any]]:
        for name, inner in value.items():
            # names of fields are identifiers, those of files never are
            known = name if name.isidentifier() else self.text(name)
            yield known, inner if name in ours else self.value(inner, ours)


def _patterns(secrets: Iterable[str]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    parts = {part for secret in secrets for part in (secret, *secret.splitlines())}
    forms = {form for part in filter(is_secret, parts) for form in _forms(part)}
    long = {form for form in forms if len(form) >= SHORT}
    return mask_pattern(long), mask_pattern(forms - long)


def _forms(secret: str) -> Iterator[str]:
    for plain in (secret, secret.strip()):
        written = plain, plain.replace("'", "''"), _escaped(plain, "\\'")
        for form in written:
            yield from (form, _escaped(form, "\\"), _escaped(form, "\\'"))
        raw = plain.encode(errors="surrogatepass")  # a variable need not be UTF-8
        yield from (quote(raw, safe=""), quote(raw), quote_plus(raw))
        # as one word of Python and of JSON, without the quotes around it
        yield from (repr(plain)[1:-1], ascii(plain)[1:-1])
        yield from (
            json.dumps(plain)[1:-1],
            json.dumps(plain, ensure_ascii=False)[1:-1],
        )


def _escaped(text: str, characters: str) -> str:
    return "".join(f"\\{c}" if c in characters else c for c in text)

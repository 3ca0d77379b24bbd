"""
What the text of a variable says, as far as there is no doubt about it.

Each kind of value has one certain form here. Other forms, such as `yes` for `true`, may
be right as well: that is for `migrator.config.validation` to say.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from migrator.domain.identifiers import check_table
from migrator.domain.urls import http_url


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
# PostgreSQL's longest lock_timeout and statement_timeout (guc_tables.c: INT_MAX ms);
# one limit for all durations, and far below what the system's timers take
_MOST_MS = (1 << 31) - 1
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")
# no user information: what is called at the end of a run is logged, and holds no secret
_ADDRESS = (
    r"https?://(?:[a-z0-9._-]+|\[[a-f0-9:.]+\])"
    r"(?::[0-9]{1,5})?(?:[/?][!-~]*)?"
)


def parse_duration(text: object) -> object:
    """
    Read a duration: `30s`, `5m`, `1h30m`, `500ms`, or a number of seconds.

    Raises:
        ValueError: It is none of them, or neither 0 nor between 1 and 2147483647 ms: a
            part of a millisecond would be PostgreSQL's 0, which is no limit.
    """
    written = str(text).strip()
    number = _parse_seconds(written)
    # 1e-400 is 0 only because a float cannot be as small
    none = number == 0 and not re.search("[1-9]", written.lower().partition("e")[0])
    if not (none or 1 <= round(number * 1000, 6) <= _MOST_MS):
        raise ValueError(
            "write a duration such as 30s, 5m, 1h30m, or seconds:"
            f" 0, or from 1ms to {_MOST_MS}ms (24 days)"
        )
    return number or 0.0


def _parse_seconds(written: str) -> float:
    """Return what *written* says, NaN when it says nothing."""
    if _DURATION.fullmatch(written):
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", written)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        return float(written)
    except ValueError:
        return float("nan")


Duration = Annotated[float, parse_duration]
"""Seconds; what stands beside the type reads them."""


def parse_addresses(text: object) -> tuple[str, ...]:
    """
    Read HTTP URLs, with commas or blanks between them.

    Raises:
        ValueError: There is none, or one is no such URL.
    """
    found = tuple(str(text).replace(",", " ").split())
    if not found or not all(map(_is_address, found)):
        raise ValueError("write URLs such as http://127.0.0.1:15020/quitquitquit")
    return found


def _is_address(text: str) -> bool:
    try:
        http_url(text)
    except ValueError:
        return False
    return re.fullmatch(_ADDRESS, text, re.IGNORECASE) is not None


Addresses = Annotated[tuple[str, ...], parse_addresses]
"""URLs; what stands beside the type reads them."""


def parse_paths(text: object) -> tuple[Path, ...]:
    """
    Read paths with colons between them, as in PATH.

    No path in a pod has one (Kubernetes API, VolumeMount: mountPath).

    Raises:
        ValueError: There is none.
    """
    found = tuple(Path(each) for each in str(text).split(":") if each.strip())
    if not found:
        raise ValueError("name a directory, or several with ':' between them")
    return found


Paths = Annotated[tuple[Path, ...], parse_paths]
"""Paths; what stands beside the type reads them."""

TableName = Annotated[str, check_table]
"""A name as it is written; what stands beside the type checks it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that printing does not show."""

    _text: str = field(repr=False)

    def get_secret_value(self) -> str:
        """Return it in clear."""
        return self._text


SecretText = Annotated[Secret | None, Secret]
"""A text that printing does not show; what stands beside the type reads it."""


def parse_value(kind: Any, text: str) -> object:
    """
    Return what *text* says to a field that is declared as *kind*.

    Numbers have digits and no sign, and nothing is empty: limits such as "not below 0"
    and "not empty" are kept.

    Raises:
        ValueError: It says nothing that is certain, right or wrong.
    """
    if not text:
        raise ValueError(text)
    if get_origin(kind) is Literal:
        return _parse_choice(text, get_args(kind))
    if get_origin(kind) is Annotated:
        return get_args(kind)[1](text)
    return _READERS.get(kind, kind)(text)  # an enum is called with its value


def _parse_choice(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ValueError(text)
    return text


def _parse_bool(text: str) -> bool:
    return _parse_choice(text, ("true", "false")) == "true"


def _parse_int(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError(text)
    return int(text)


_READERS: Mapping[Any, Callable[[str], object]] = {
    str | None: str,
    int | None: _parse_int,
    bool: _parse_bool,
}

"""
Run-time parameters in the start-up packet: the `options` of a connection.

They have the syntax of a command line (postgres.c: process_postgres_switches).
"""

import re
from collections.abc import Iterator, Mapping

from migrator.errors import UsageError
from migrator.pg.connection.dsn import Dsn, escape_option


REFUSED = "unsupported startup parameter"
"""The error of PgBouncer (src/client.c: set_startup_options, decide_startup_pool) and
Neon's proxy."""


def with_options(
    dsn: Dsn, settings: Mapping[str, str], *, defaults: Mapping[str, str]
) -> Dsn:
    """
    Return *dsn* with *settings* after its own options and *defaults* before them.

    Of two options with one name the server applies the last one. Without own options
    those of the service file or of PGOPTIONS apply.
    """
    words = (_words(defaults), _options(dsn), _words(settings))
    return _with(dsn, " ".join(filter(None, words)))


def without_options(dsn: Dsn) -> tuple[Dsn, dict[str, str]]:
    """
    Return *dsn* without `options`, and the parameters that these set.

    Raises:
        UsageError: The options do more than set run-time parameters.
    """
    # an empty value keeps libpq from reading PGOPTIONS, which is among its defaults
    return _with(dsn, ""), dict(_parameters(_options(dsn)))


def option_names(dsn: Dsn) -> frozenset[str]:
    """Return the run-time parameters that the options of *dsn* set."""
    names = re.findall(r"(?:-c\s*|--)([\w.-]+)=", _options(dsn))
    return frozenset(name.replace("-", "_") for name in names)


def _with(dsn: Dsn, options: str) -> Dsn:
    return Dsn(tuple({**dict(dsn.parameters), "options": options}.items()))


def _words(settings: Mapping[str, str]) -> str:
    return " ".join(f"-c {name}={escape_option(v)}" for name, v in settings.items())


def _options(dsn: Dsn) -> str:
    return dict(dsn.parameters).get("options") or dsn.defaults.get("options", "")


def _parameters(options: str) -> Iterator[tuple[str, str]]:
    """Read `-c name=value` and `--name=value`."""
    words = re.sub(r"(^|\s)-c\s+", r"\1-c", options)
    for word in re.findall(r"(?:\\.|[^\s\\])+", words):
        name, equals, value = re.sub(r"\\(.)", r"\1", word[2:]).partition("=")
        if not equals or word[:2] not in {"-c", "--"}:
            raise UsageError(
                "the pooler refuses the connection's `options`: write each of them as"
                " `-c name=value`, or connect to the server itself"
            )
        yield name.replace("-", "_").lower(), value

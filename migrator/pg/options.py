"""
Run-time parameters in the start-up packet: the `options` of a connection.

They are words of a command line (postgres.c: process_postgres_switches).
"""

import re
from collections.abc import Iterator, Mapping

from psycopg.pq import Conninfo

from migrator.errors import UsageError
from migrator.pg.dsn import Dsn, escaped


REFUSED = "unsupported startup parameter"
"""PgBouncer src/client.c: set_startup_options, decide_startup_pool; Neon's too."""


def with_options(dsn: Dsn, settings: Mapping[str, str]) -> Dsn:
    """
    Return *dsn* with *settings* behind the options that it has, or libpq's PGOPTIONS.

    What a service file says is not known here and would be lost: such a DSN stays as
    it is.
    """
    told = dict(dsn.parameters)
    if "service" in told:
        return dsn
    ours = (f"-c {name}={escaped(value)}" for name, value in settings.items())
    options = " ".join(filter(None, (_options(told), *ours)))
    return Dsn(tuple({**told, "options": options}.items()))


def without_options(dsn: Dsn) -> tuple[Dsn, dict[str, str]]:
    """
    Return *dsn* without `options`, and what they set: a pooler may refuse them.

    Raises:
        UsageError: They do more than set run-time parameters.
    """
    told = dict(dsn.parameters)
    # an empty value keeps libpq from reading PGOPTIONS, which is among its defaults
    bare = Dsn(tuple({**told, "options": ""}.items()))
    return bare, dict(_parameters(_options(told)))


def _options(told: Mapping[str, str]) -> str:
    return told.get("options") or _default_options()


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


def _default_options() -> str:
    found = (o.val for o in Conninfo.get_defaults() if o.keyword == b"options")
    return (next(found, None) or b"").decode()

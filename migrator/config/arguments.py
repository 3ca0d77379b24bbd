"""
The command line in goose's grammar: flags anywhere, one dash or two, and the words.

goose: `cmd/goose/main.go`; Go's `flag.FlagSet.parseOne` says what a flag looks like,
mfridman/xflag's `ParseToEnd` that it may stand anywhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from migrator.errors import UsageError


class Flag(NamedTuple):
    """One flag, and the setting that it sets."""

    field: str | None
    """None for what goose knows and what means nothing here."""

    meaning: str
    value: str = ""
    """What its value is called; empty for a flag that is on or off."""

    on: str = "true"
    off: str = "false"


HELP, ABOUT = "help", "version"
FLAGS: Mapping[str, Flag] = {
    "dir": Flag("migrations_dir", "where the files are", "DIR"),
    "base": Flag("base", "`validate`: where the base branch's files are", "DIR"),
    "table": Flag("table", "the tracking table", "NAME"),
    "allow-missing": Flag("allow_missing", "apply older files too"),
    "no-versioning": Flag("no_versioning", "run the files, leave the table alone"),
    "timeout": Flag("deadline", "for the whole run, as in 1h13m", "DURATION"),
    "env": Flag("env_file", "variables from a file; `none` for none", "FILE"),
    "check": Flag("check", "`status`, `plan`: exit 3 when something is pending"),
    "v": Flag("log_level", "tell each statement", on="debug", off=""),
    "s": Flag("sequential", "`create`: the next number as version"),
    "no-color": Flag(None, "accepted; NO_COLOR does it"),
    "h": Flag(HELP, "show this and exit"),
    "help": Flag(HELP, "the same"),
    "version": Flag(ABOUT, "show the version and exit"),
}
POSTGRES = ("postgres", "pgx")
_DRIVERS = (
    *POSTGRES,
    *("azuresql", "clickhouse", "mssql", "mysql", "redshift", "spanner", "sqlite"),
    *("sqlite3", "sqlserver", "starrocks", "tidb", "turso", "vertica", "ydb"),
)
# strconv.ParseBool
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


def parse_arguments(argv: Sequence[str]) -> dict[str, str]:
    """
    Return what *argv* sets, by the setting's field; empty values are unset.

    `help` and `version` are in it too when they are asked for. The words are
    `[DRIVER] [DBSTRING] [COMMAND [VERSION]]`, or `create NAME [KIND]` at the end.

    Raises:
        UsageError: A flag that nobody knows or without its value; a driver of
            another database; a word too many.
    """
    words: list[str] = []
    found: dict[str, str] = {}
    rest = iter(argv)
    for argument in rest:
        if argument == "--":
            words.extend(rest)
        elif len(argument) > 1 and argument.startswith("-"):
            found.update(_flag(argument, rest))
        else:
            words.append(argument)
    found.update(_words(words))
    return {field: value for field, value in found.items() if value}


def _flag(argument: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    name, equals, value = argument[1:].removeprefix("-").partition("=")
    flag = FLAGS.get(name)
    if flag is None:
        dashes = argument[: len(argument) - len(argument.lstrip("-"))]
        raise UsageError(f"unrecognized arguments: {dashes}{name.lstrip('-')}; {_SEE}")
    if not flag.value:
        value = _parse_switch(name, flag, value if equals else "true")
    elif not equals:
        value = next(rest, "")
        if not value:
            raise UsageError(f"-{name} needs its {flag.value}; {_SEE}")
    if flag.field is not None:
        yield flag.field, value


def _parse_switch(name: str, flag: Flag, value: str) -> str:
    if value not in _TRUE | _FALSE:
        raise UsageError(f"-{name} is on or off: write -{name} or -{name}=false")
    return flag.on if value in _TRUE else flag.off


def _words(words: list[str]) -> Iterator[tuple[str, str]]:
    if words and words[0] in _DRIVERS:
        if (driver := words.pop(0)) not in POSTGRES:
            raise UsageError(f"{driver}: only PostgreSQL is migrated; write postgres")
        if words and not words[0]:
            words.pop(0)  # goose postgres "" up: libpq's variables say where
    if words and _is_dsn(words[0]):
        yield "database_url", words.pop(0)
    creating = words[:1] == ["create"]
    names = _CREATE_NAMES if creating else _NAMES
    if len(words) > len(names):
        what = "a name and a type" if creating else "a version"
        raise UsageError(f"a command and {what}, and nothing more; {_SEE}")
    yield from zip(names, words, strict=False)


def _is_dsn(word: str) -> bool:
    return "=" in word or "://" in word or word.startswith("embedded:")


_NAMES = ("command", "target")
_CREATE_NAMES = ("command", "name", "kind")
_SEE = "see --help"

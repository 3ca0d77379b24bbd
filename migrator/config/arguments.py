"""
The command line in goose's grammar: flags anywhere, one dash or two, and the words.

goose: `cmd/goose/main.go`; Go's `flag.FlagSet.parseOne` says what a flag looks like,
mfridman/xflag's `ParseToEnd` that it may stand anywhere.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, get_args

from migrator.errors import UsageError


Command = Literal[
    "up",
    "up-by-one",
    "up-to",
    "down",
    "down-to",
    "redo",
    "reset",
    "baseline",
    "status",
    "version",
    "plan",
    "wait",
    "validate",
    "create",
    "fix",
    "healthcheck",
]


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
    "dir": Flag(
        "migrations_dir", "Directory or archive to read (default: migrations)", "DIR"
    ),
    "base": Flag("base", "For `validate`: directory of the base branch", "DIR"),
    "table": Flag("table", "Tracking table (default: goose_db_version)", "NAME"),
    "allow-missing": Flag(
        "allow_missing", "Apply files older than the newest applied version"
    ),
    "no-versioning": Flag("no_versioning", "Run the files without the tracking table"),
    "timeout": Flag("deadline", "Limit for the whole run, such as 1h13m", "DURATION"),
    "env": Flag("env_file", "Read variables from FILE; `none` reads no file", "FILE"),
    "check": Flag("check", "For `status` and `plan`: exit 3 if a migration is pending"),
    "v": Flag("log_level", "Log every statement", on="debug", off=""),
    "s": Flag("sequential", "For `create`: the next number as version, not the time"),
    "no-color": Flag(None, "Ignored, as goose has it; set NO_COLOR instead"),
    "h": Flag(HELP, "Show this help"),
    "help": Flag(HELP, "Show this help"),
    "version": Flag(ABOUT, "Show the version of migrator itself"),
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
        UsageError: An unknown flag or command, or a flag without its value; a driver
            of another database; a version that is no number; too many words.
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
        written = argument.partition("=")[0]
        hint = did_you_mean(name, FLAGS, "-") or f"; {_SEE}"
        raise UsageError(f"unknown flag {written}{hint}")
    if not flag.value:
        value = _parse_switch(name, flag, value if equals else "true")
    elif not equals:
        value = next(rest, "")
        if not value:
            raise UsageError(f"-{name} needs a value: -{name} {flag.value}")
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
    if words[:1] == [HELP]:
        yield HELP, "true"
    elif words:
        yield from _command(*words)


def _command(name: str, *words: str) -> Iterator[tuple[str, str]]:
    known = get_args(Command)
    if name not in known:
        # other texts may hold a secret that stands in the wrong place
        shown = f" {name}" if re.fullmatch("[a-z-]+", name) else ""
        hint = did_you_mean(name, known) or f"; {_SEE}"
        raise UsageError(f"unknown command{shown}{hint}")
    fields = ("name", "kind") if name == "create" else ("target",)
    if len(words) > len(fields):
        expected = "NAME [KIND]" if name == "create" else "[N]"
        raise UsageError(f"too many arguments; expected {name} {expected}; {_SEE}")
    if name != "create" and words and not words[0].isdecimal():
        raise UsageError(f"the version has to be a number, such as {name} 42; {_SEE}")
    yield from zip(("command", *fields), (name, *words), strict=False)


def did_you_mean(name: str, known: Collection[str], prefix: str = "") -> str:
    """Return a question with the known name that is most like *name*, if one is."""
    from difflib import get_close_matches  # noqa: PLC0415 - only for what is wrong

    near = get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _is_dsn(word: str) -> bool:
    return "=" in word or "://" in word or word.startswith("embedded:")


_SEE = "see `migrator help`"

"""
A file of `NAME=value` lines, as goose reads its `.env`.

goose: joho/godotenv v1.5.1, `parser.go`. `$NAME` means what an earlier line of the same
file said, and stays what it is in single quotes.

python-dotenv is no substitute: it refuses `NAME: value`, which godotenv's README has,
and gives other values to `$NAME`, to `'${NAME}'` and to `\\$` without an error.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from migrator.errors import UsageError


_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_NAME = re.compile(r"(?:export[ \t]+)?(?P<name>[\w.]+)[ \t]*[=:][ \t]*", re.ASCII)
_VALUE = re.compile(
    r"""
    "(?P<double>(?:[^"]|(?<=\\)")*?)(?<!\\)"
    | '(?P<single>(?:[^']|(?<=\\)')*?)(?<!\\)'
    | (?P<bare>(?!["'])[^\n]*)
    """,
    re.VERBOSE,
)
_COMMENT = re.compile(r"(?<=\s)#(?!.*\s#).*")
_VARIABLE = re.compile(r"(\\)?\$\(?\{?([A-Z0-9_]+)?\}?")


def read_env_file(path: Path) -> Mapping[str, str]:
    """
    Return the variables of the file, the last one of a name.

    Raises:
        UsageError: It cannot be read, or a line is no `NAME=value`.
    """
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise UsageError(f"cannot read the env file {path}: {reason}") from error
    found: dict[str, str] = {}
    at = _skip(text, 0)
    while at < len(text):
        name = _NAME.match(text, at)
        value = name and _VALUE.match(text, name.end())
        if not name or not value:
            line = text.count("\n", 0, at) + 1
            raise UsageError(f"{path}:{line}: this is no NAME=value")
        found[name["name"]] = _read(value, found)
        at = _skip(text, value.end())
    return found


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _read(value: re.Match[str], known: Mapping[str, str]) -> str:
    if value["single"] is not None:
        return value["single"]
    if value["double"] is not None:
        return _expand(_unescape(value["double"]), known)
    return _expand(_COMMENT.sub("", value["bare"]).strip(), known)


def _unescape(text: str) -> str:
    broken = text.replace(r"\n", "\n").replace(r"\r", "\r")
    return re.sub(r"\\([^$])", r"\1", broken)


def _expand(text: str, known: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        escape, name = found.groups()
        if escape:
            return found[0][1:]
        return known.get(name, "") if name else found[0]

    return _VARIABLE.sub(value, text)

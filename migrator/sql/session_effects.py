"""
What a half of a file leaves in its session: settings, role, and what is bound to it.

goose runs all files of a run in one session and resets nothing, so a later file may
depend on it. Found by the words of the statements: what a function of the database
sets is not seen.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from migrator.domain.model import Statement
from migrator.sql.keywords import BLANK_KINDS, ends_transaction
from migrator.sql.lexer import Kind, Token, tokenize
from migrator.sql.split import split_statements


class SessionLeft(NamedTuple):
    """One thing that a half leaves, and the place of the statement that does."""

    what: str
    """For a message: `search_path`, `the role`, `the temporary t`."""

    setting: bool
    """Whether it is a setting or the role, which resetting the session undoes."""

    line: int
    column: int

    @property
    def who(self) -> str:
        """Return who finds it, for a message."""
        return _WITH_GOOSE if self.setting else _WITH_BOTH

    @property
    def remedy(self) -> str:
        """Return what to do about it, for a message."""
        return _SET.format(_OURS.get(self.what, "")) if self.setting else _UNDO


_WITH_GOOSE = (
    "goose carries it into later files of the same run, but not into a later run, and"
    " here each file begins without it unless MIGRATOR_SESSION=keep is set"
)
_WITH_BOTH = (
    "later files of the same run find it, with goose and here, but a later run or a new"
    " connection does not"
)
_SET = "set it in each file that needs it{}"
_UNDO = "undo it at the end of the file"
_OURS = {
    "search_path": ", or set MIGRATOR_SEARCH_PATH",
    "the role": ", or set MIGRATOR_ROLE",
}


class SessionEffects:
    """Follows the statements of one half, given piece by piece."""

    def __init__(self) -> None:
        self._left: dict[str, SessionLeft] = {}
        self._before: dict[str, SessionLeft] = {}
        """As it was before the file's own transaction, which may be rolled back."""

    @property
    def left(self) -> tuple[SessionLeft, ...]:
        """Return what the statements up to now leave, in the order in which they do."""
        return tuple(self._left.values())

    def take(self, statements: Iterable[Statement]) -> None:
        """Read the next statements of the half."""
        for statement in statements:
            for part in split_statements(statement.text):
                place = statement.locate(part.start + 1)
                self._take(statement.text[part.start : part.end], place)

    def _take(self, text: str, place: tuple[int, int]) -> None:
        tokens = list(_significant(text))
        said = " ".join(_word(text, token) for token in tokens[:_ENOUGH])
        if said.startswith("do "):
            for piece in _pieces(text, tokens):
                self._take(piece, place)
            return
        for key, what, setting in _changes(text, said, tokens):
            self._left.pop(key, None)
            if what:
                self._left[key] = SessionLeft(what, setting, *place)
        gone = _undone(said)
        if gone is not None:
            self._left = {k: v for k, v in self._left.items() if not gone.fullmatch(k)}
        self._transaction(text, said)

    def _transaction(self, text: str, said: str) -> None:
        if re.match(r"(?:begin|start transaction)\b", said):
            self._before = dict(self._left)
        elif ends_transaction(text).lower() in {"rollback", "abort"}:
            self._left = dict(self._before)


_ENOUGH = 60
_ROLE, _AUTHORIZATION = "role", "session_authorization"
_NAMES = {
    _ROLE: "the role",
    _AUTHORIZATION: "the session authorization",
    "timezone": "TimeZone",
}
# What changes neither what a later file makes nor who owns it nor what its rows are:
# time limits, what is logged, how much memory and which plan. Texts are read alone, so
# client_encoding and standard_conforming_strings are reset with each file.
_QUIET = re.compile(
    r"client_encoding|standard_conforming_strings|\w+_timeout|client_min_messages"
    r"|application_name|row_security|escape_string_warning|log_\w+|debug_\w+|track_\w+"
    r"|\w*work_mem|temp_buffers|temp_file_limit|hash_mem_multiplier|synchronous_commit"
    r"|enable_\w+|\w+_cost|geqo\w*|jit\w*|\w*parallel\w*|\w*io_concurrency|vacuum_\w+"
    r"|tcp_\w+|client_connection_check_interval|(?:from|join)_collapse_limit"
)
# PostgreSQL's own defaults: pg_dump writes those of the first four
_DEFAULTS = {
    "default_tablespace": r"",
    "default_table_access_method": r"heap",
    "default_with_oids": r"off|false|no|0",
    "xmloption": r"content",
    "search_path": r"\$user,public",
    "session_replication_role": r"origin",
    "check_function_bodies": r"on|true|yes|1",
    "default_transaction_isolation": r"readcommitted",
    "default_transaction_read_only": r"off|false|no|0",
    "default_transaction_deferrable": r"off|false|no|0",
}
# In gram.y: VariableSetStmt, set_rest_more
_SETS = re.compile(
    r"set (?!local |transaction |constraints )(?:session (?!authorization|charact))?"
    r"(?:(?P<special>time zone|role|session authorization|names|schema|xml option)"
    r" (?P<of>.*)"
    r"|session characteristics as transaction (?P<modes>.*)"
    r"|(?P<name>[^ ]+(?: \. [^ ]+)*) (?:=|to) (?P<value>.*))",
    re.DOTALL,
)
_SPECIAL = {
    "time zone": "timezone",
    "role": _ROLE,
    "session authorization": _AUTHORIZATION,
    "names": "client_encoding",
    "schema": "search_path",
    "xml option": "xmloption",
}
_MODES = (
    (
        "isolation level (serializable|repeatable read|read (?:un)?committed)",
        "isolation",
    ),
    ("read (only|write)", "read_only"),
    ("((?:not )?deferrable)", "deferrable"),
)
_OFF = {"write": "off", "not deferrable": "off"}
_Change = tuple[str, str, bool]
"""A key, what is left for a message (empty for nothing), whether it is a setting."""


def _changes(text: str, said: str, tokens: list[Token]) -> Iterator[_Change]:
    match = _SETS.match(said)
    if match is None:
        yield from _objects(said)
        yield from _calls(text, tokens)
    elif match["modes"]:
        for pattern, name in _MODES:
            if mode := re.search(pattern, match["modes"]):
                value = _OFF.get(mode[1], mode[1])
                yield _set(f"default_transaction_{name}", value)
    elif match["special"]:
        yield from _role_or_setting(_SPECIAL[match["special"]], match["of"])
    else:
        yield from _role_or_setting(match["name"], match["value"])


def _role_or_setting(name: str, value: str) -> Iterator[_Change]:
    if name == _AUTHORIZATION:
        yield _ROLE, "", True  # a new one resets the role
    yield _set(name, value)


def _set(name: str, value: str) -> _Change:
    key = re.sub(r"[\s\"]", "", name).lower()
    plain = re.sub(r"[\s'\"]", "", value).lower()
    none = r"none" if key == _ROLE else r"(?!)"
    local = r"local" if key == "timezone" else r"(?!)"
    default = _DEFAULTS.get(key, "(?!)")
    nothing = re.fullmatch(rf"(?:{default}|{none}|{local})", plain)
    gone = nothing or value == "default" or _QUIET.fullmatch(key)
    return key, "" if gone else _NAMES.get(key, key), True


_NAME = r"(?:pg_temp \. )?(?P<name>[^ ]+)"
_TEMPORARY = (
    r"create (?:or replace )?(?:(?:local|global) )?temp(?:orary)? (?:recursive )?"
    rf"(?:table|view|sequence) (?:if not exists )?{_NAME}(?!.* on commit drop)"
)
_OBJECTS = (
    ("temp", "the temporary {}", _TEMPORARY),
    (
        "temp",
        "the temporary {}",
        r"(?:select|with) .*into (?:(?:local|global) )?temp(?:orary)? (?:table )?"
        + _NAME,
    ),
    ("prepared", "the prepared statement {}", rf"prepare (?!transaction '){_NAME}"),
    ("cursor", "the cursor {}", rf"declare {_NAME} .*cursor with hold\b"),
    ("listen", "LISTEN {}", rf"listen {_NAME}"),
    ("library", "the library {}", rf"load {_NAME}"),
)


def _objects(said: str) -> Iterator[_Change]:
    for kind, what, pattern in _OBJECTS:
        if match := re.match(pattern, said, re.DOTALL):
            name = match["name"].strip("'\"")
            yield f"{kind} {name}", what.format(name), False


# PostgreSQL's "System Administration Functions": those of transactions say xact
_LOCK = re.compile(r"pg_(?:try_)?advisory_lock(?:_shared)?")
_UNLOCK = re.compile(r"pg_advisory_unlock(?:_shared)?")
_FALSE = re.compile(r"'?(?:f|fa|fal|fals|false|n|no|of|off|0)'?(?: : : \w+|::\w+)?")


def _calls(text: str, tokens: list[Token]) -> Iterator[_Change]:
    """Yield what the function calls outside of strings change."""
    for at, token in enumerate(tokens[:-1]):
        name = _word(text, token) if token.kind is Kind.WORD else ""
        if name.startswith(("set_config", "pg_")) and tokens[at + 1].kind is Kind.OPEN:
            yield from _call(name, _arguments(text, tokens, at + 2))


def _call(name: str, arguments: list[str]) -> Iterator[_Change]:
    key = f"advisory {','.join(arguments)}"
    if _LOCK.fullmatch(name):
        yield key, "an advisory lock", False
    elif _UNLOCK.fullmatch(name):
        yield key, "", False
    elif name == "set_config" and _FALSE.fullmatch(arguments[-1]):
        yield from _role_or_setting(arguments[0].strip("'"), arguments[1])


def _arguments(text: str, tokens: list[Token], at: int) -> list[str]:
    """Return the arguments of a call whose first one begins at the token *at*."""
    found: list[list[str]] = [[]]
    depth = 1
    for token in tokens[at:]:
        depth += (token.kind is Kind.OPEN) - (token.kind is Kind.CLOSE)
        if not depth:
            break
        if depth == 1 and text[token.start : token.end] == ",":
            found.append([])
        else:
            found[-1].append(_word(text, token))
    return [" ".join(words) for words in found]


# Which words take which keys away; a setting's key has no blank
_UNDONE = (
    (r"reset all$", r"(?!role$|session_authorization$)[^ ]+"),
    (r"reset role$", "role"),
    (r"reset session authorization$", "role|session_authorization"),
    (r"reset time zone$", "timezone"),
    (r"discard all$", "(?!library ).*"),
    (r"discard temp(?:orary)?$", "temp .*"),
    (r"unlisten \*$", "listen .*"),
    (r"deallocate (?:prepare )?all$", "prepared .*"),
    (r"close all$", "cursor .*"),
    (r"select .*\bpg_advisory_unlock_all \(", "advisory .*"),
)
_NAMED = (
    (r"reset (.*)", ""),
    (r"unlisten (.*)", "listen "),
    (r"deallocate (?:prepare )?(.*)", "prepared "),
    (r"close (.*)", "cursor "),
    (
        r"drop (?:table|view|sequence) (?:if exists )?(.*?)(?: cascade| restrict)?$",
        "temp ",
    ),
)


def _undone(said: str) -> re.Pattern[str] | None:
    """Return what the keys match that *said* takes away."""
    for pattern, keys in _UNDONE:
        if re.match(pattern, said, re.DOTALL):
            return re.compile(keys)
    for pattern, kind in _NAMED:
        if match := re.match(pattern, said, re.DOTALL):
            names = re.sub(r"[\s\"]|pg_temp \.", "", match[1]).split(",")
            return re.compile("|".join(re.escape(kind + name) for name in names))
    return None


# PL/pgSQL's statements begin behind these
_BETWEEN = re.compile(r";|\b(?:begin|then|else|loop)\b", re.IGNORECASE)
_EXECUTE = re.compile(r"\s*execute\s+(?:format\s*\(\s*)?'", re.IGNORECASE)
_MAY = re.compile(r"\s*(?:set|reset|select|perform|create)\b", re.IGNORECASE)


def _pieces(text: str, tokens: list[Token]) -> Iterator[str]:
    """Yield what a DO block runs, as far as its words tell."""
    bodies = [t for t in tokens if t.kind in (Kind.DOLLAR, Kind.STRING)]
    for token in bodies[:1]:
        for piece in _BETWEEN.split(text[token.start : token.end].strip("'$")):
            bare = _EXECUTE.sub("", piece)
            if _MAY.match(bare):
                yield bare.strip()


def _significant(text: str) -> Iterator[Token]:
    for token in tokenize(text):
        if token.kind not in (*BLANK_KINDS, Kind.SEMICOLON):
            yield token


def _word(text: str, token: Token) -> str:
    word = text[token.start : token.end]
    return word.lower() if token.kind in (Kind.WORD, Kind.OTHER) else word

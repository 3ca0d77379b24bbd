"""
`$VAR` and `${VAR…}` in a line, after mfridman/interpolate v0.0.2, as goose uses it.

Grammar (interpolate's parser.go):

    expression  text and expansions
    expansion   "$" name | "${" name [operation] "}"
    operation   ":-" expression             when unset or empty
              | "-" expression              when unset
              | ":" number [":" number]     substring, in bytes
              | "?" expression              error when unset
    escapes     `\\$` and `$$` are `$`; `\\\\` and `$(` stay as they are
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from migrator.domain.model import Direction
from migrator.sql.goose.faults import FaultCollector
from migrator.sql.goose.line_buffer import trim
from migrator.sql.goose.text_pieces import rows_of


class SubstitutionError(Exception):
    """A line cannot be expanded; *position* counts its characters from 0."""

    def __init__(self, reason: str, position: int) -> None:
        self.reason = reason
        self.position = position
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class _Expansion:
    """One `$…`: what it yields, once the whole line has been read."""

    name: str
    position: int
    resolve: Callable[[str | None], str]
    empties: bool
    """Whether it yields nothing when the variable is not set, and nobody said so."""


Unset = Callable[[str, int], None]
"""Called with the name and the position of a variable that is not set."""


def expand(line: str, environ: Mapping[str, str], unset: Unset | None = None) -> str:
    """
    Return *line* with its variables replaced; a variable that is not set is empty.

    As in interpolate, the whole line is read before the first variable is. *unset* is
    called for each variable that became empty because it is not set; not where the
    line says what it is then.

    Raises:
        SubstitutionError: The line does not follow the grammar, or lacks a
            variable that it requires.
    """
    if "$" not in line:
        return line
    reader = _Reader(line, environ, unset)
    try:
        return reader.resolve(reader.expression())
    except RecursionError:
        raise SubstitutionError("it nests too deeply", 0) from None


_Expression = list["str | _Expansion"]


class _Reader:
    """interpolate's Parser: one method for each rule of the grammar."""

    def __init__(
        self, line: str, environ: Mapping[str, str], unset: Unset | None
    ) -> None:
        self._line = line
        self._unset = unset
        self._at = 0
        self._environ = environ

    def resolve(self, expression: _Expression) -> str:
        """Return the text of *expression*; the first variable that fails raises."""
        return "".join(
            item if isinstance(item, str) else self._value(item) for item in expression
        )

    def _value(self, item: _Expansion) -> str:
        value = self._environ.get(item.name)
        if value is None and item.empties and self._unset is not None:
            self._unset(item.name, item.position)
        return item.resolve(value)

    # In parser.go, parseExpression
    def expression(self, stop: str = "") -> _Expression:
        found: _Expression = []
        while (char := self._peek()) and char not in stop:
            two = self._line[self._at : self._at + 2]
            if two in _ESCAPES:
                self._at += 2
                found.append(_ESCAPES[two])
            elif char == "$" and len(two) > 1:
                found.append(self._expansion())
            else:
                self._at += 1
                found.append(char + self._until("$\\" + stop))
        return found

    # In parser.go, parseExpansion
    def _expansion(self) -> _Expansion:
        position = self._at
        self._at += 1
        if self._peek() == "{":
            self._at += 1
            return self._brace(position)
        return _Expansion(self._name(), position, _or_empty, empties=True)

    # In parser.go, parseBraceExpansion
    def _brace(self, position: int) -> _Expansion:
        name = self._name()
        resolve: Callable[[str | None], str] = _or_empty
        empties = re.match(r"\}|:(?!-)", self._line[self._at :]) is not None
        if self._peek() != "}":
            resolve = self._operation(name, position)
        if self._peek() != "}":
            raise SubstitutionError("'}' is missing", position)
        self._at += 1
        return _Expansion(name, position, resolve, empties)

    def _operation(self, name: str, position: int) -> Callable[[str | None], str]:
        operator = self._peek()
        self._at += 1
        if operator == ":" and self._peek() == "-":
            self._at += 1
            content = self.expression("}")
            return lambda value: value or self.resolve(content)
        if operator == ":":
            return self._substring(position)
        content = self.expression("}") if operator in {"-", "?"} else []
        if operator == "-":
            return lambda value: self.resolve(content) if value is None else value
        if operator == "?":
            return self._required(name, content, position)
        raise SubstitutionError(f"{operator!r} is no operation", position)

    # In parser.go, parseRequiredExpansion
    def _required(
        self, name: str, message: _Expression, position: int
    ) -> Callable[[str | None], str]:
        def resolve(value: str | None) -> str:
            if value is None:
                text = self.resolve(message) or "not set"
                raise SubstitutionError(f"${name}: {text}", position)
            return value

        return resolve

    # In parser.go, parseSubstringExpansion
    def _substring(self, position: int) -> Callable[[str | None], str]:
        offset = self._number(":}", position)
        length: int | None = None
        if self._peek() != "}":
            self._at += 1
            length = self._number("}", position)
        return lambda value: _cut(value or "", offset, length)

    def _number(self, stop: str, position: int) -> int:
        text = trim(self._until(stop))
        if not _NUMBER.fullmatch(text) or not -(1 << 63) <= int(text) < 1 << 63:
            raise SubstitutionError(f"{text!r} is not a number", position)
        return int(text)

    # parser.go: scanIdentifier; Unicode letters (L), then also numbers (N) and `_`
    def _name(self) -> str:
        start = self._at
        if not self._peek().isalpha():
            raise SubstitutionError("a variable's name starts with a letter", start)
        while (char := self._peek()).isalpha() or char.isnumeric() or char == "_":
            self._at += 1
        return self._line[start : self._at]

    # parser.go: scanUntil; U+FFFD stops it too: Go cannot tell it from a broken byte
    def _until(self, stop: str) -> str:
        match = _RUNS[stop].match(self._line, self._at)
        text = match.group() if match else ""
        self._at += len(text)
        return text

    def _peek(self) -> str:
        return self._line[self._at : self._at + 1]


# parser.go: scanUntil, by what ends it
_RUNS = {
    stop: re.compile(rf"[^{re.escape(stop)}\ufffd]*+")
    for stop in ("$\\", "$\\}", ":}", "}")
}
# Go's strconv.Atoi: decimal digits with an optional sign; 64 bit have 19 digits
_NUMBER = re.compile(r"[+-]?0*+[0-9]{0,19}(?<=[0-9])")
# parser.go: parseExpression; a doubled backslash stays doubled
_ESCAPES = {"\\\\": "\\\\", "\\$": "$", "$$": "$", "$(": "$("}


def _or_empty(value: str | None) -> str:
    return value or ""


# interpolate.go: SubstringExpansion.Expand; Go counts and cuts bytes
def _cut(value: str, offset: int, length: int | None) -> str:
    data = value.encode("utf-8", "surrogateescape")
    start = min(max(offset + len(data), 0) if offset < 0 else offset, len(data))
    end = len(data)
    if length is not None:
        end = start + length if length >= 0 else max(len(data) + length, start)
    return data[start:end].decode("utf-8", "surrogateescape")


_SURROGATE = re.compile("[\udc80-\udcff]")


_Sides = tuple[Direction, ...]


class Variables:
    """Expands lines; one that cannot be expanded stays as it is."""

    def __init__(self, environ: Mapping[str, str], findings: FaultCollector) -> None:
        self._environ = environ
        self._findings = findings

    def expand(
        self, line: str, number: int, sides: _Sides, *, own: Direction | None
    ) -> str:
        """
        Return the file's line *number* with its variables expanded.

        What cannot be expanded stops *sides*; a variable that is not set is a warning
        for the half whose text the line is, if it is.
        """
        broken = _SURROGATE.search(line)
        if broken:
            self._findings.add("invalid_utf8", number, broken.start() + 1, sides=sides)
            return line

        def unset(name: str, position: int) -> None:
            if own is not None:
                self._findings.warn(
                    "variable_unset", number, position + 1, sides=(own,), said=name
                )

        try:
            return expand(line, self._environ, unset)
        except SubstitutionError as error:
            column, why = error.position + 1, error.reason
            self._findings.add("envsub", number, column, sides=sides, why=why)
            return line

    def rows(self, texts: Iterable[str], number: int, sides: _Sides) -> Iterator[str]:
        """Yield the rows of COPY that *texts* start with; the first has *number*."""
        for rows in rows_of(texts):
            lines = rows.removesuffix("\n").split("\n")
            expanded = (
                self.expand(x, n, sides, own=sides[0])
                for n, x in enumerate(lines, number)
            )
            yield "".join(f"{line}\n" for line in expanded)
            number += len(lines)

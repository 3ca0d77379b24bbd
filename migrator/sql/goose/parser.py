"""
A migration file's text to its two halves: annotations, statements, faults.

goose: `internal/sqlparser/parser.go`. What it refuses is refused here, in the same
direction; what it accepts is accepted with the same statements, unless it would run
something else than what is written.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple, assert_never

from migrator.domain.model import Direction, Section, Split, Statement
from migrator.sql.goose.copy_rows import Ahead, nothing_ahead
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.hazards import Half
from migrator.sql.goose.line_parser import LineParser
from migrator.sql.goose.own_transaction import OwnTransaction
from migrator.sql.keywords import first_words, may_set_session, stray_dollar


if TYPE_CHECKING:
    from migrator.sql.goose.lexer_parser import LexerParser
    from migrator.sql.session_effects import SessionEffects


class Parsed(NamedTuple):
    """What one file says."""

    up: Section
    down: Section
    transaction: bool


def parse(
    text: str, *, split: Split, environ: Mapping[str, str], findings: FaultCollector
) -> Parsed:
    """
    Return the halves of *text*, whose lines end with LF.

    Faults found before, such as a byte order mark, are in *findings* already.
    """
    reader = Reader(split=split, environ=environ, findings=findings)
    found = reader.read(text, last=True)
    up, down = (_section(reader, side, found[side]) for side in BOTH)
    return Parsed(up, down, reader.transaction)


class Reader:
    """
    Reads one file piece by piece; faults gather in *findings*.

    A half that is one `BEGIN … COMMIT` comes with both: see `own_transaction`.
    """

    def __init__(
        self,
        *,
        split: Split,
        environ: Mapping[str, str],
        findings: FaultCollector,
        ahead: Ahead = nothing_ahead,
        again: bool = False,
    ) -> None:
        """Read for the first time, or *again*, when the faults are known."""
        self._parser = _parser(split, environ, findings, ahead)
        self.findings = findings
        self._again = again
        self._unsendable = False
        self._ascii = True
        self._encodings = {side: ClientEncoding() for side in BOTH}
        self._own = {side: OwnTransaction() for side in BOTH}
        self._sessions: dict[Direction, SessionEffects] = {}
        """Of the halves in which something may set up the session."""

        self._count = 0
        """How many statements Up has."""

    @property
    def transaction(self) -> bool:
        """Return the file's flag; it is final when the last piece is read."""
        return self._parser.structure.transaction

    @property
    def held(self) -> int:
        """Return how many characters are read again with the next piece."""
        return self._parser.held

    def read(self, text: str, *, last: bool) -> dict[Direction, list[Statement]]:
        """
        Return the statements that are complete with the next piece of the file.

        A piece is whole lines, unless it is the *last*; they end with LF.
        """
        self._parser.feed(text, last=last)
        halves = self._parser.halves
        if not self._again:
            self._unsendable = self._unsendable or not is_sendable(text)
            self._ascii = self._ascii and text.isascii()
            for half in halves.values():
                self._check(half, last=last)
                self._own[half.side].take(
                    half.as_conforming(), block=half.starts_with_block
                )
                self._follow_session(half)
            self._count += len(halves[Direction.UP].statements)
        if last:
            self._finish()
        return {side: half.take() for side, half in halves.items()}

    def _finish(self) -> None:
        for side in BOTH:
            if self.own_transaction(side):
                self.findings.drop_conditional("ends_transaction", side)
            # a line that could not be expanded has its dollars still
            unexpanded = self.findings.lines(side, "envsub")
            self.findings.drop({"envsub_dollar"}, side, unexpanded)
            if self.findings.lines(side, "envsub_dollar"):
                self.findings.drop_conditional("ends_transaction", side)
                self.findings.drop(_AFTER_DOLLAR, side)
        self.findings.decide(transaction=self.transaction)
        self._check_empty()
        for side, session in self._sessions.items():
            for left in session.left:
                self.findings.warn(
                    "session_left",
                    left.line,
                    left.column,
                    sides=(side,),
                    what=left.what,
                    who=left.who,
                    remedy=left.remedy,
                )

    def _check_empty(self) -> None:
        own = self.own_transaction(Direction.UP)
        if self._again or self._count > (own.hidden if own else 0):
            return
        if not self.findings.of(Direction.UP):
            line = self._parser.structure.up_line
            self.findings.warn("no_statement", line, 1, sides=(Direction.UP,))

    def own_transaction(self, side: Direction) -> OwnTransaction | None:
        """Return the `BEGIN … COMMIT` that is all of a half; final as the flag is."""
        own = self._own[side]
        return own if self.transaction and own.is_whole_half else None

    def _check(self, half: Half, *, last: bool) -> None:
        final = last or not self.transaction
        transaction = self.transaction if final else None
        half.check(self.findings, transaction=transaction, last=last)
        parser = self._parser
        if self._unsendable or parser.structure.expands or parser.in_rows:
            for slug, line, column in bad_characters(half.statements):
                self.findings.add(slug, line, column, sides=(half.side,))
        self._check_encoding(half)
        if parser.structure.expands:
            self._check_dollars(half)

    def _follow_session(self, half: Half) -> None:
        statements = half.as_conforming()
        if half.side not in self._sessions:
            if not any(may_set_session(each.text) for each in statements):
                return
            from migrator.sql.session_effects import SessionEffects  # noqa: PLC0415 - rare

            self._sessions[half.side] = SessionEffects()
        self._sessions[half.side].take(statements)

    def _check_dollars(self, half: Half) -> None:
        """Note each statement with a `$` that variables have left over."""
        for statement in half.statements:
            at = stray_dollar(statement.text)
            if at < 0:
                continue
            line, column = statement.locate(at + 1)
            if self._parser.structure.expands_at(line):
                self.findings.add("envsub_dollar", line, column, sides=(half.side,))

    def _check_encoding(self, half: Half) -> None:
        if self._ascii and not self._parser.structure.expands:
            return
        for name, line, column in self._encodings[half.side].misread(half.statements):
            self.findings.add(
                "client_encoding", line, column, sides=(half.side,), said=name
            )


_AFTER_DOLLAR = ("merged", "split_inside", "unclosed", "unfinished")
"""What the text of a body, read as if it were outside, leads to."""


def _section(reader: Reader, side: Direction, found: list[Statement]) -> Section:
    findings, own = reader.findings, reader.own_transaction(side)
    return Section(
        tuple(own.without_ends(found) if own else found),
        findings.of(side),
        begin=own.begin if own else "BEGIN",
        warnings=findings.warnings_of(side),
    )


def _parser(
    split: Split, environ: Mapping[str, str], findings: FaultCollector, ahead: Ahead
) -> "LineParser | LexerParser":
    match split:
        case Split.GOOSE:
            return LineParser(environ, findings, ahead)
        case Split.POSTGRES:
            from migrator.sql.goose.lexer_parser import LexerParser  # noqa: PLC0415 - not goose's

            return LexerParser(environ, findings, ahead)
        case _:
            assert_never(split)


def is_sendable(text: str) -> bool:
    """Say whether *text* holds neither a NUL nor bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def bad_characters(statements: Iterable[Statement]) -> Iterator[tuple[str, int, int]]:
    """Yield slug, line and column of what cannot be sent, one for each statement."""
    for statement in statements:
        if match := _UNSENDABLE.search(statement.text):
            yield _slug(match), *statement.locate(match.start() + 1)
        else:
            yield from _in_rows(statement)


def _in_rows(statement: Statement) -> Iterator[tuple[str, int, int]]:
    line = statement.locate(len(statement.text))[0] + 1
    for rows in statement.data or ():
        match = None if is_sendable(rows) else _UNSENDABLE.search(rows)
        if match is not None:
            before = rows[: match.start()]
            column = match.start() - before.rfind("\n")
            yield _slug(match), line + before.count("\n"), column
            return
        line += rows.count("\n")


# SQL_ASCII converts nothing; the others are names of UTF-8 (encnames.c)
_SAME = {"utf8", "unicode", "default", "sqlascii"}


_SETS = re.compile(
    r"set\s+(?:session\s+|local\s+)?(?:client_encoding\s*(?:=|\bto\b)|names\b)"
    r"\s*['\"]?([\w-]+)",
    re.IGNORECASE,
)


class ClientEncoding:
    """The encoding that one direction of a file has set, piece by piece."""

    def __init__(self) -> None:
        self._name = ""
        """As the file writes it; empty while it is UTF-8."""

    def misread(
        self, statements: Iterable[Statement]
    ) -> Iterator[tuple[str, int, int]]:
        """
        Yield the encoding, line and column of the first character that suffers.

        A file is sent as it is read, which is UTF-8. Where it has set another encoding
        before, the server takes each byte of `ä` for a character of its own.
        """
        for statement in statements:
            if self._name and (match := _NON_ASCII.search(statement.text)):
                yield self._name, *statement.locate(match.start() + 1)
                return
            if self._name and any(not rows.isascii() for rows in statement.data or ()):
                yield self._name, *statement.locate(len(statement.text))
                return
            match = _SETS.search(statement.text)
            if match and first_words(statement.text, limit=1) == ["set"]:
                same = re.sub(r"[\W_]", "", match[1]).lower() in _SAME
                self._name = "" if same else match[1]


_NON_ASCII = re.compile(r"[^\x00-\x7f]")


_UNSENDABLE = re.compile("[\0\udc80-\udcff]")


def _slug(match: re.Match[str]) -> str:
    return "nul" if match.group() == "\0" else "invalid_utf8"

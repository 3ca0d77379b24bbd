"""
A migration file's text to its two halves: annotations, statements, faults.

goose: `internal/sqlparser/parser.go`. What it refuses is refused here, in the same
direction; what it accepts is accepted with the same statements, unless it would run
something else than what is written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from migrator.domain.model import Direction, Section, Split, Statement
from migrator.sql.goose.encoding import ClientEncoding, bad_characters
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.hazards import Half
from migrator.sql.goose.line_parser import LineParser
from migrator.sql.goose.own_transaction import OwnTransaction
from migrator.sql.goose.text_pieces import TextPieces, Texts
from migrator.sql.keywords import may_set_session, stray_dollar


if TYPE_CHECKING:
    from migrator.sql.goose.lexer_parser import LexerParser
    from migrator.sql.session_effects import SessionEffects


class Parsed(NamedTuple):
    """What one file says."""

    up: Section
    down: Section
    transaction: bool


def parse(
    texts: Texts, *, split: Split, environ: Mapping[str, str], findings: FaultCollector
) -> Parsed:
    """
    Return the halves of a file.

    The statements of a file that has several pieces are not kept: they are read again
    with each iteration. Faults found before, such as a byte order mark, are in
    *findings* already.

    Raises:
        FileChangedError: The file is being written; also on a later iteration.
    """
    return _Check(texts, split, dict(environ), findings).parsed()


def _parser(
    split: Split,
    pieces: TextPieces,
    environ: Mapping[str, str],
    findings: FaultCollector,
) -> "LineParser | LexerParser":
    if split is Split.GOOSE:
        return LineParser(pieces, environ, findings)
    from migrator.sql.goose.lexer_parser import LexerParser  # noqa: PLC0415 - not goose's

    return LexerParser(pieces, environ, findings)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LargeStatements:
    """
    The statements of one half of a large file, which is read for each iteration.

    Raises:
        FileChangedError: On iteration, as soon as the content is not what it was.
    """

    texts: Texts
    split: Split
    environ: Mapping[str, str]
    side: Direction
    count: int
    """How many there are in the file, BEGIN and COMMIT included."""

    own: OwnTransaction | None = None
    """The BEGIN and the COMMIT that are left out."""

    def __len__(self) -> int:
        return self.count - (self.own.hidden if self.own else 0)

    def __iter__(self) -> Iterator[Statement]:
        return self.own.without_ends(self._all()) if self.own else self._all()

    def _all(self) -> Iterator[Statement]:
        unheard = FaultCollector("")  # they were found when the file was loaded
        parser = _parser(self.split, TextPieces(self.texts), self.environ, unheard)
        left = self.count
        for _ in parser.batches():
            found = {side: half.take() for side, half in parser.halves.items()}
            yield from found[self.side]
            left -= len(found[self.side])
            if not left:
                return


class _Check:
    """
    Reads one file and finds its faults.

    A half that is one `BEGIN … COMMIT` comes with both: see `own_transaction`.
    """

    def __init__(
        self,
        texts: Texts,
        split: Split,
        environ: Mapping[str, str],
        findings: FaultCollector,
    ) -> None:
        self._texts = texts
        self._split = split
        self._environ = environ
        self._findings = findings
        self._pieces = TextPieces(texts)
        self._parser = _parser(split, self._pieces, environ, findings)
        self._structure = self._parser.structure
        self._encodings = {side: ClientEncoding() for side in BOTH}
        self._own = {side: OwnTransaction() for side in BOTH}
        self._sessions: dict[Direction, SessionEffects] = {}
        """Of the halves in which something may set up the session."""

        self._kept: dict[Direction, list[Statement]] = {side: [] for side in BOTH}
        self._counts = dict.fromkeys(BOTH, 0)

    def parsed(self) -> Parsed:
        """Read all of the file."""
        for _ in self._parser.batches():
            for side, half in self._parser.halves.items():
                self._check(half)
                self._counts[side] += len(half.statements)
                found = half.take()
                if len(self._texts) == 1:
                    self._kept[side] = found
        self._finish()
        up, down = (self._section(side) for side in BOTH)
        return Parsed(up, down, self._structure.transaction)

    def _check(self, half: Half) -> None:
        last, transaction = self._pieces.is_last, self._structure.transaction
        # NO TRANSACTION may still come
        known = transaction if last or not transaction else None
        half.check(self._findings, transaction=known, last=last)
        if not self._pieces.is_sendable or self._structure.expands:
            for slug, line, column in bad_characters(half.statements):
                self._findings.add(slug, line, column, sides=(half.side,))
        if not self._pieces.is_ascii or len(self._texts) > 1 or self._structure.expands:
            self._check_encoding(half)
        if self._structure.expands:
            self._check_dollars(half)
        self._own[half.side].take(half.as_conforming(), block=half.starts_with_block)
        self._follow_session(half)

    def _check_dollars(self, half: Half) -> None:
        """Note each statement with a `$` that variables have left over."""
        for statement in half.statements:
            at = stray_dollar(statement.text)
            if at < 0:
                continue
            line, column = statement.locate(at + 1)
            if self._structure.expands_at(line):
                self._findings.add("envsub_dollar", line, column, sides=(half.side,))

    def _check_encoding(self, half: Half) -> None:
        for name, line, column in self._encodings[half.side].misread(half.statements):
            self._findings.add(
                "client_encoding", line, column, sides=(half.side,), said=name
            )

    def _follow_session(self, half: Half) -> None:
        statements = half.as_conforming()
        if half.side not in self._sessions:
            if not any(may_set_session(each.text) for each in statements):
                return
            from migrator.sql.session_effects import SessionEffects  # noqa: PLC0415 - rare

            self._sessions[half.side] = SessionEffects()
        self._sessions[half.side].take(statements)

    def _finish(self) -> None:
        for side in BOTH:
            self._drop_consequences(side)
        self._findings.decide(transaction=self._structure.transaction)
        own = self._own_transaction(Direction.UP)
        size = self._counts[Direction.UP] - (own.hidden if own else 0)
        if not size and not self._findings.of(Direction.UP):
            line = self._structure.up_line
            self._findings.warn("no_statement", line, 1, sides=(Direction.UP,))
        for side, session in self._sessions.items():
            for left in session.left:
                self._findings.warn(
                    "session_left",
                    left.line,
                    left.column,
                    sides=(side,),
                    what=left.what,
                    who=left.who,
                    remedy=left.remedy,
                )

    def _drop_consequences(self, side: Direction) -> None:
        if self._own_transaction(side):
            self._findings.drop_conditional("ends_transaction", side)
        # a line that could not be expanded has its dollars still
        unexpanded = self._findings.lines(side, "envsub")
        self._findings.drop({"envsub_dollar"}, side, unexpanded)
        if self._findings.lines(side, "envsub_dollar"):
            self._findings.drop_conditional("ends_transaction", side)
            self._findings.drop(_AFTER_DOLLAR, side)

    def _own_transaction(self, side: Direction) -> OwnTransaction | None:
        """Return the `BEGIN … COMMIT` that is all of a half; final as the flag is."""
        own = self._own[side]
        return own if self._structure.transaction and own.is_whole_half else None

    def _section(self, side: Direction) -> Section:
        own, found = self._own_transaction(side), self._kept[side]
        large = LargeStatements(
            self._texts, self._split, self._environ, side, self._counts[side], own
        )
        kept = tuple(own.without_ends(found) if own else found)
        return Section(
            large if len(self._texts) > 1 and len(large) else kept,
            self._findings.of(side),
            begin=own.begin if own else "BEGIN",
            warnings=self._findings.warnings_of(side),
        )


_AFTER_DOLLAR = ("merged", "split_inside", "unclosed", "unfinished")
"""What the text of a body, read as if it were outside, leads to."""

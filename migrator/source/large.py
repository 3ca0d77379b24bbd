"""
A large file to a migration that holds none of its statements.

It is parsed twice, piece by piece: for its faults and the number of its statements
when it is loaded, and for the statements when they are executed.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from migrator.domain.model import Direction, Migration, Section, Split, Statement
from migrator.source.large_blocks import FileBlocks
from migrator.sql.goose.faults import BOTH, FaultCollector
from migrator.sql.goose.own_transaction import OwnTransaction
from migrator.sql.goose.parser import Reader


def parse_blocks(
    blocks: FileBlocks,
    *,
    version: int,
    path: str,
    split: Split,
    environ: Mapping[str, str],
) -> Migration:
    """
    Return the migration that *blocks* hold, as `parse_file` does.

    Raises:
        FileChangedError: The file is being written.
    """
    findings = FaultCollector(path)
    if blocks.has_bom or blocks.is_utf16:
        findings.add("bom", 1)
    split = Split.POSTGRES if blocks.is_dump else split
    halves, transaction = {side: Section() for side in BOTH}, True
    if not blocks.is_utf16:
        _note_lines(blocks, split, findings)
        reading = _Reading(blocks, split, dict(environ), findings)
        halves, transaction = reading.halves(), reading.transaction
    up, down = (_with(findings, side, halves[side]) for side in BOTH)
    return Migration(
        version=version,
        path=path,
        up=up,
        down=down,
        transaction=transaction,
        checksum=blocks.checksum,
    )


def _with(findings: FaultCollector, side: Direction, section: Section) -> Section:
    faults, warnings = findings.of(side), findings.warnings_of(side)
    return section._replace(faults=faults, warnings=warnings)


def _note_lines(blocks: FileBlocks, split: Split, findings: FaultCollector) -> None:
    if split is Split.GOOSE:
        for line in blocks.long_lines:
            findings.add("line_too_long", line)
    if blocks.is_old_mac:
        findings.add("carriage_return", 0, 0)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LargeStatements:
    """
    The statements of one half of a large file, which is read for each iteration.

    Raises:
        FileChangedError: On iteration, as soon as the content is not what it was.
    """

    blocks: FileBlocks
    split: Split
    environ: Mapping[str, str]
    path: str
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
        unheard = FaultCollector(self.path)
        reading = _Reading(self.blocks, self.split, self.environ, unheard, again=True)
        left = self.count
        for found in reading.pieces():
            yield from found[self.side]
            left -= len(found[self.side])
            if not left:
                return


class _Reading:
    """One reading of a file from its start to its end."""

    def __init__(
        self,
        blocks: FileBlocks,
        split: Split,
        environ: Mapping[str, str],
        findings: FaultCollector,
        *,
        again: bool = False,
    ) -> None:
        self._blocks = blocks
        self._split = split
        self._environ = environ
        self._lines = [1]
        """The file's first line of each block that was read, and the next line."""

        self._reader = Reader(
            split=split,
            environ=environ,
            findings=findings,
            ahead=self._ahead,
            again=again,
        )

    @property
    def transaction(self) -> bool:
        """Return the file's flag; it is final when the file has been read."""
        return self._reader.transaction

    def halves(self) -> dict[Direction, Section]:
        """Read all; return the halves without their faults."""
        counts = dict.fromkeys(BOTH, 0)
        for found in self.pieces():
            for side in BOTH:
                counts[side] += len(found[side])
        return {side: self._half(side, counts[side]) for side in BOTH}

    def _half(self, side: Direction, count: int) -> Section:
        own, path = self._reader.own_transaction(side), self._reader.findings.path
        found = LargeStatements(
            self._blocks, self._split, self._environ, path, side, count, own
        )
        return Section(found if len(found) else (), begin=own.begin if own else "BEGIN")

    def pieces(self) -> Iterator[dict[Direction, list[Statement]]]:
        """Yield the statements that each piece of the file completes."""
        index, end = 0, len(self._blocks)
        while index < end or not index:
            text = self._piece(index, end)
            index = max(len(self._lines) - 1, 1)
            yield self._reader.read(text, last=index >= end)

    def _piece(self, index: int, end: int) -> str:
        """Return the next text: the more, the more is read again with it."""
        texts: list[str] = []
        size = 0
        while index < end and size <= self._reader.held:
            texts.append(self._blocks.text(index))
            self._lines.append(self._lines[-1] + texts[-1].count("\n"))
            size += len(texts[-1])
            index += 1
        return "".join(texts)

    def _ahead(self, line: int) -> Iterable[str]:
        index = min(bisect_right(self._lines, line), len(self._lines) - 1) - 1
        return _Tail(self._blocks, index, line - self._lines[index])


@dataclass(frozen=True, slots=True)
class _Tail:
    """What a file holds from a line on, as often as it is asked for."""

    blocks: FileBlocks
    index: int
    skipped: int
    """How many lines of the first block come before."""

    def __iter__(self) -> Iterator[str]:
        yield self.blocks.text(self.index).split("\n", self.skipped)[self.skipped]
        for index in range(self.index + 1, len(self.blocks)):
            yield self.blocks.text(index)

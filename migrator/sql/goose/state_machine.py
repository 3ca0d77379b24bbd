"""
The state machine of annotations: in which order goose allows them.

goose: `internal/sqlparser/parser.go`, ParseSQLMigration, its state machine. An error
of this order stops both directions there, for it reads the whole file for each.
"""

from bisect import bisect_left
from typing import assert_never

from migrator.domain.model import Direction
from migrator.sql.goose.annotations import Annotation, Mark, Verdict, known_annotations
from migrator.sql.goose.faults import BOTH, FaultCollector


class AnnotationStateMachine:
    """The state after the annotations read so far; an error does not stop it."""

    def __init__(self, findings: FaultCollector) -> None:
        self.side: Direction | None = None
        """None before `-- +goose Up`."""

        self.block = 0
        """The line in which the open block began; 0 when none is open."""

        self.up_line = 0
        """The line of `-- +goose Up`."""

        self.transaction = True
        self.envsub = False
        self.expands = False
        """Whether variables were expanded anywhere."""

        self._switches: list[tuple[int, bool]] = []
        self._findings = findings

    def apply(self, mark: Mark) -> Annotation | None:
        """Apply *mark*; return the annotation, None if it changed nothing."""
        match mark.verdict:
            case Verdict.TAKEN:
                pass
            case Verdict.NEAR:
                self._near(mark)
                return None
            case Verdict.UNKNOWN | Verdict.EMPTY | Verdict.REPEATED | Verdict.INDENTED:
                self._findings.add(
                    mark.verdict.value,
                    mark.line,
                    what=mark.words[:60],
                    known=known_annotations(mark.annotation),
                )
            case _:
                assert_never(mark.verdict)
        if mark.annotation is None or _in_a_body(mark):
            return None
        return self._follow(mark, mark.annotation)

    def ends_up(self, mark: Mark) -> bool:
        """Return whether *mark*, not applied yet, ends the Up half without an error."""
        down = mark.annotation is Annotation.DOWN and mark.verdict is not Verdict.NEAR
        good = self.side is Direction.UP and not self.block
        return down and good and not _in_a_body(mark)

    def ends_block(self, mark: Mark) -> bool:
        """Return whether *mark*, not applied yet, ends the open block or its half."""
        if mark.verdict is Verdict.NEAR or _in_a_body(mark):
            return False
        down = mark.annotation is Annotation.DOWN and self.side is not Direction.DOWN
        return down or mark.annotation is Annotation.END

    def finish(self) -> None:
        """Add the faults of what is missing at the file's end."""
        if self.block:
            self._findings.add("end_missing", self.block)
        if self.side is None and not self._findings.has(Direction.UP, "before_up"):
            self._findings.add("no_up", 0, 0)

    def _near(self, mark: Mark) -> None:
        alone = mark.annotation in {Annotation.BEGIN, Annotation.END} and self.side
        self._findings.add(
            "near_annotation",
            mark.line,
            sides=(self.side,) if alone and self.side else BOTH,
            known=known_annotations(mark.annotation),
        )

    def _follow(self, mark: Mark, annotation: Annotation) -> Annotation | None:
        refused: str | None = None
        match annotation:
            case Annotation.UP:
                refused = self._up(mark)
            case Annotation.DOWN:
                refused = self._down(mark)
            case Annotation.BEGIN:
                refused = self._begin(mark)
            case Annotation.END:
                refused = None if self.block else "end_without_begin"
                self.block = 0
            case Annotation.NO_TRANSACTION:
                self.transaction = False
            case Annotation.ENVSUB_ON:
                self._switch(mark, on=True)
            case Annotation.ENVSUB_OFF:
                self._switch(mark, on=False)
            case _:
                assert_never(annotation)
        if refused:
            self._findings.add(refused, mark.line, begin=self.block)
            return None
        return annotation

    def _switch(self, mark: Mark, *, on: bool) -> None:
        self.envsub, self.expands = on, self.expands or on
        self._switches.append((mark.line, on))

    def expands_at(self, line: int) -> bool:
        """Return whether variables are expanded in the file's *line*, read before."""
        at = bisect_left(self._switches, (line,))
        return at > 0 and self._switches[at - 1][1]

    def _up(self, mark: Mark) -> str | None:
        if self.side is not None:
            return "duplicate_up"
        self.side, self.up_line = Direction.UP, mark.line
        return None

    def _down(self, mark: Mark) -> str | None:
        if self.side is Direction.DOWN:
            return "duplicate_down"
        if self.block:
            self._findings.add("down_in_block", mark.line, begin=self.block)
            self.block = 0
        if self.side is None:
            self._findings.add("down_before_up", mark.line)
        self.side = Direction.DOWN
        return None

    def _begin(self, mark: Mark) -> str | None:
        if self.side is None:
            return "begin_before_up"
        if self.block:
            return "begin_in_block"
        self.block = mark.line
        return None


def _in_a_body(mark: Mark) -> bool:
    """Return whether *mark*, an indented Down, may as well be text of a function."""
    return mark.verdict is Verdict.INDENTED and mark.annotation is Annotation.DOWN

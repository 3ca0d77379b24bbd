"""The faults of one file: what each kind says, and which half of the file it stops."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from migrator.domain.facts import Fault
from migrator.domain.model import Direction


BOTH = (Direction.UP, Direction.DOWN)

# What goose v3.27.3 refuses too, in its sqlparser or when it opens the file.
REFUSED = {
    "no_up": "there is no '-- +goose Up' line; put one above the first statement",
    "before_up": (
        "goose allows only blank lines and '--' comments before '-- +goose Up';"
        " move this below it"
    ),
    "duplicate_up": (
        "'-- +goose Up' stands here a second time; one file holds one migration"
    ),
    "down_before_up": "'-- +goose Down' stands before '-- +goose Up'; swap them",
    "duplicate_down": (
        "'-- +goose Down' stands here a second time; keep one, below all of Up"
    ),
    "down_in_block": (
        "the block of line {begin} is still open;"
        " put '-- +goose StatementEnd' above this line"
    ),
    "begin_before_up": (
        "a block starts before '-- +goose Up'; move '-- +goose Up' above this line"
    ),
    "begin_in_block": (
        "the block of line {begin} is still open; blocks do not nest:"
        " end it first, or remove this line"
    ),
    "end_without_begin": (
        "there is no open block to end;"
        " put '-- +goose StatementBegin' above the statement, or remove this line"
    ),
    "end_missing": (
        "this block is never ended; put '-- +goose StatementEnd' below its statement"
    ),
    "annotation_indented": (
        "an annotation starts in column 1; remove the blanks before it"
    ),
    "annotation_repeated": "'+goose' stands twice in this line; give each its own line",
    "annotation_empty": (
        "'+goose' is followed by nothing; write what it is to say,"
        " such as '-- +goose Up', or remove the line"
    ),
    "annotation_unknown": (
        "goose knows no annotation '{said}'; write {known} and nothing else"
        " in the line, or keep '+goose' out of the comment"
    ),
    "unfinished": "{why}; {remedy}",
    "envsub": (
        "a variable cannot be replaced: {why}; '-- +goose ENVSUB ON' is in effect"
        " here: set the variable, fix the expression, write a plain dollar as '\\$', or"
        " put '-- +goose ENVSUB OFF' above the body of a function, and ENVSUB ON below"
        " it"
    ),
    "go_file": (
        "a migration in Go cannot run here; write it in SQL or in Python, or apply it"
        " with the program that it is compiled into: once applied, the file may stay"
    ),
    "unreadable": "the file cannot be read: {why}; fix its permissions",
    "bom": ("the file starts with a byte order mark; save it as UTF-8 without BOM"),
    "carriage_return": (
        "the file's lines end with CR only; save it with LF or CRLF line ends"
    ),
    "line_too_long": (
        "goose reads no line of 4 MiB or more; break the line,"
        " or set MIGRATOR_SPLIT=postgres"
    ),
}

# What goose runs, but not as it is written; and what no server could take.
HAZARDS = {
    "near_annotation": (
        "goose reads this line as an ordinary comment; write {known} if it is an"
        " annotation, or other words if it is none"
    ),
    "empty_block": (
        "this block is empty, and goose would lose line {lost} instead;"
        " remove the block"
    ),
    "split_inside": (
        "goose ends the statement at this ';', PostgreSQL reads on: it is inside"
        " {inside}; put the statement between '-- +goose StatementBegin' and"
        " '-- +goose StatementEnd'{hint}"
    ),
    "semicolon_in_comment": (
        "goose ends a statement at this ';', which is inside a block comment that is"
        " opened in line {begin}; remove the ';', or write the comment with '--'"
    ),
    "unclosed": "{inside} is opened here and never closed; close it{hint}",
    "merged": (
        "this is sent together with the statement before it, as one transaction,"
        " in which one of them cannot run; {remedy}"
    ),
    "lost_after_cr": (
        "goose takes the whole line for a comment, PostgreSQL only what stands before"
        " the CR in it; replace the CR with a line end"
    ),
    "annotation_inside": (
        "this annotation stands inside {inside}, and goose takes the line out of it;"
        " move it out"
    ),
    "ends_transaction": (
        "{said} ends the transaction in which this file runs and is recorded, and part"
        " of the file would be in effect without its version; remove it, and the BEGIN"
        " before it, for the transaction is made for you, or mark the file"
        " '-- +goose NO TRANSACTION'"
    ),
    "envsub_dollar": (
        "PostgreSQL cannot read this '$': '-- +goose ENVSUB ON' is in effect here, and"
        " makes '$' of '$$' and takes '$name$' for a variable; put"
        " '-- +goose ENVSUB OFF' above the body, and ENVSUB ON below it"
    ),
    "copy_merged": (
        "goose sends this COPY … FROM stdin together with the statement before it, but"
        " its rows follow it alone; give it lines of its own"
    ),
    "copy_unended": "the rows of this COPY are not ended; put a line '\\.' below them",
    "copy_followed": (
        "the rows of COPY start in the next line; move what follows the ';'"
        " below the line '\\.'"
    ),
    "copy_in_block": (
        "COPY … FROM stdin cannot stand in a block; remove StatementBegin and"
        " StatementEnd around it"
    ),
    "psql_command": "'{said}' is a command of psql, not SQL; remove it{hint}",
    "refuses_transaction": (
        "{said} cannot run in a transaction block, and this file runs in a transaction;"
        " mark the file '-- +goose NO TRANSACTION', and move its other statements to"
        " another file, which can be rolled back"
    ),
    "nul": "the server takes no NUL character; remove it",
    "client_encoding": (
        "the file sets client_encoding to {said} above, and is UTF-8: this character"
        " would be stored as others; remove that SET"
    ),
    "invalid_utf8": "this is not UTF-8; save the file as UTF-8",
}

# What runs as it is written, and is probably not what was meant.
WARNINGS = {
    "variable_unset": (
        "the variable {said} is not set, and is empty here; set it, or write"
        " '${{{said}:-}}' if it is meant to be empty"
    ),
    "no_statement": (
        "there is no statement below '-- +goose Up': applying this file records its"
        " version and changes nothing; if that is not intended, add what is missing"
    ),
    "session_left": "this leaves {what} in the session: {who}; {remedy}",
}

_TEXTS = REFUSED | HAZARDS | WARNINGS


class _ConditionalFault(NamedTuple):
    """A fault that counts only if the file's flag is *transaction*."""

    transaction: bool
    slug: str
    sides: tuple[Direction, ...]
    add: Callable[[], None]


class FaultCollector:
    """Collects the faults of one file."""

    def __init__(self, path: str, texts: Mapping[str, str] = _TEXTS) -> None:
        self.path = path
        """The file's name, for messages."""

        self._texts = texts
        self._faults: dict[Direction, dict[Fault, None]] = {side: {} for side in BOTH}
        self._warnings: dict[Direction, dict[Fault, None]] = {side: {} for side in BOTH}
        self._slugs: set[tuple[Direction, str]] = set()
        self._supposed: list[_ConditionalFault] = []

    def add(
        self,
        slug: str,
        line: int,
        column: int = 1,
        *,
        sides: tuple[Direction, ...] = BOTH,
        **fields: object,
    ) -> None:
        """Note one fault for *sides*; *fields* fill its text."""
        fault = self._fault(slug, line, column, fields)
        for side in sides:
            self._faults[side][fault] = None
            self._slugs.add((side, slug))

    def warn(
        self,
        slug: str,
        line: int,
        column: int,
        *,
        sides: tuple[Direction, ...],
        **fields: object,
    ) -> None:
        """Note what stops nothing; *fields* fill its text."""
        warning = self._fault(slug, line, column, fields)
        for side in sides:
            self._warnings[side][warning] = None

    def _fault(
        self, slug: str, line: int, column: int, fields: Mapping[str, object]
    ) -> Fault:
        return Fault(
            path=self.path,
            line=line,
            column=column,
            slug=slug,
            message=self._texts[slug].format(**fields),
        )

    def add_if(
        self,
        slug: str,
        line: int,
        column: int,
        *,
        sides: tuple[Direction, ...],
        transaction: bool,
        **fields: object,
    ) -> None:
        """Note a fault that counts only if the file's flag is *transaction*."""
        add = partial(self.add, slug, line, column, sides=sides, **fields)
        self._supposed.append(_ConditionalFault(transaction, slug, sides, add))

    def decide(self, *, transaction: bool) -> None:
        """Take the file's flag: it is known at the end of the file only."""
        for supposed in self._supposed:
            if supposed.transaction is transaction:
                supposed.add()
        self._supposed.clear()

    def drop(
        self,
        slugs: Collection[str],
        side: Direction,
        lines: Collection[int] | None = None,
    ) -> None:
        """Drop faults of *side*, or of *lines* of it, that follow from others."""
        kept = (
            fault
            for fault in self._faults[side]
            if fault.slug not in slugs
            or (lines is not None and fault.line not in lines)
        )
        self._faults[side] = dict.fromkeys(kept)

    def drop_conditional(self, slug: str, side: Direction) -> None:
        """Drop what was noted as *slug* for *side*, if it counts only with the flag."""
        self._supposed = [
            each
            for each in self._supposed
            if (each.slug, each.sides) != (slug, (side,))
        ]

    def has(self, side: Direction, slug: str) -> bool:
        """Say whether a *slug* was noted for *side*."""
        return (side, slug) in self._slugs

    def lines(self, side: Direction, slug: str) -> set[int]:
        """Return where a *slug* was noted for *side*."""
        return {fault.line for fault in self._faults[side] if fault.slug == slug}

    def of(self, side: Direction) -> tuple[Fault, ...]:
        """Return the faults that stop *side*, in the file's order."""
        return _sorted(self._faults[side])

    def warnings_of(self, side: Direction) -> tuple[Fault, ...]:
        """Return what stops nothing in *side*, in the file's order."""
        return _sorted(self._warnings[side])


def _sorted(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(sorted(faults, key=lambda f: (f.line, f.column, f.slug)))

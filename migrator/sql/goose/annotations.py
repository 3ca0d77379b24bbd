"""
The lines that speak to goose: `-- +goose Up` and its kin, and lines that nearly do.

The grammar is goose's `internal/sqlparser/parser.go`, extractAnnotation.
"""

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from migrator.sql.goose.line_buffer import trim


class Annotation(Enum):
    """What a line can tell goose."""

    UP = "Up"
    DOWN = "Down"
    BEGIN = "StatementBegin"
    END = "StatementEnd"
    NO_TRANSACTION = "NO TRANSACTION"
    ENVSUB_ON = "ENVSUB ON"
    ENVSUB_OFF = "ENVSUB OFF"

    def __str__(self) -> str:
        return f"'-- +goose {self.value}'"


class Verdict(Enum):
    """What goose thinks of a line with `goose` in it."""

    TAKEN = "an annotation"
    NEAR = "a comment for goose, an annotation for a reader"
    INDENTED = "annotation_indented"
    REPEATED = "annotation_repeated"
    EMPTY = "annotation_empty"
    UNKNOWN = "annotation_unknown"


class Mark(NamedTuple):
    """An annotation, or what looks like one, and where it stands in the text."""

    line: int
    """From 1."""

    start: int
    """Where its line starts."""

    dashes: int
    """
    Where PostgreSQL's lexer sees something in it: at its `--`, or before, for a blank
    that is none to the server.
    """

    end: int
    """Where its line ends, before the line end."""

    verdict: Verdict
    annotation: Annotation | None
    """What is said; or most probably meant, when the verdict is not TAKEN."""

    said: str


_SERVER_BLANKS = " \t\n\r\f\v"
_INVISIBLE = "\ufeff\u200b"
# Both are texts, for `re` compiles them only for a file that has such a line.
# A comment that starts like an annotation: `--+GOOSE`, `-- + goose`
_LIKE_ONE = r"(?i)--[\s-]*\+\s*goose"
# A line that is an annotation but for its punctuation: `/* +goose Up */`, `- +goose Up`
_COMMENT_LIKE = r"(?i)(?:-|\u2013|\u2014|/\*|#)[^+\w]*\+\W*goose"
_LETTERS = re.compile("[^a-z]+")
_SKELETONS = {
    "goose" + _LETTERS.sub("", known.value.lower()): known for known in Annotation
}


def find_marks(text: str, line: int = 1) -> Iterator[Mark]:
    """
    Yield annotations and near misses line by line, whatever surrounds them.

    *line* is the file's number of the first line of *text*.
    """
    # one character's lower case is two; the other places stay what they are
    low, counted, end = text.replace("\u0130", "i").lower(), 0, -1
    while (at := low.find("goose", end + 1)) >= 0:
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        line, counted = line + text.count("\n", counted, start), start
        if (found := _read(text[start:end])) is not None:
            blanks, verdict, annotation, said = found
            dashes = start + blanks
            yield Mark(line, start, dashes, end, verdict, annotation, said)


# Most lines of a file that have the word are one of three
@lru_cache(maxsize=100)
def _read(line: str) -> tuple[int, Verdict, Annotation | None, str] | None:
    """Return the blanks that a line starts with, and what it says; None for no mark."""
    bare, blanks = trim(line), len(line) - len(line.lstrip(_SERVER_BLANKS))
    if bare.startswith("--") and "+goose" in line:
        return blanks, *read_annotation(line)
    return (blanks, Verdict.NEAR, _meant(line), bare) if looks_like_one(bare) else None


# parser.go: extractAnnotation, rule by rule
def read_annotation(line: str) -> tuple[Verdict, Annotation | None, str]:
    """
    Return what *line*, a `--` comment with `+goose` in it, says to goose.

    With a verdict other than TAKEN, the annotation is the one probably meant.
    """
    if line.startswith((" ", "\t")):
        return Verdict.INDENTED, _meant(line), trim(line)
    said = line.replace("--", "").replace("+goose", "", 1)
    if "+goose" in said:
        return Verdict.REPEATED, _meant(line), trim(said)
    said = trim(said)
    if not said:
        return Verdict.EMPTY, None, said
    # Go's strings.EqualFold: simple folding, in which only the long s is more than
    # lower()
    known = _KNOWN.get(said.replace("\u017f", "s").lower())
    return (Verdict.TAKEN if known else Verdict.UNKNOWN), known or _meant(line), said


_KNOWN = {known.value.lower(): known for known in Annotation}


def looks_like_one(bare: str) -> bool:
    """
    Say whether *bare*, a trimmed line, is a near miss of an annotation.

    That is a comment that starts with `+goose` in other letters or with other blanks,
    and a comment of any make that says an annotation's words and no more.
    """
    visible = bare.lstrip(_INVISIBLE)
    if visible.startswith("--"):
        return bool(re.match(_LIKE_ONE, visible) or _meant(visible))
    return bool(re.match(_COMMENT_LIKE, visible) and _meant(visible))


def _meant(line: str) -> Annotation | None:
    return _SKELETONS.get(_LETTERS.sub("", line.lower()))


def known_annotations(meant: Annotation | None) -> str:
    """Return the annotation meant, or all there are, for a message."""
    return str(meant) if meant else ", ".join(str(known) for known in Annotation)

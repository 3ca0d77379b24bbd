"""
A branch's files beside those of the branch that it is to be merged into, its base.

Databases may have applied what the base has: a version belongs to one file for ever, a
new file comes behind them all, and what is there stays as it is.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from migrator.domain.facts import Fault
from migrator.domain.model import Files
from migrator.errors import FilesInvalidError
from migrator.source.create import TIMESTAMP, is_timestamp
from migrator.source.discover import find_files
from migrator.source.entries import Candidate, Directory
from migrator.source.load import checksum_of
from migrator.sql.goose.faults import REFUSED


class Comparison(NamedTuple):
    """The result of comparing a branch's files with those of its base."""

    added: tuple[str, ...]
    """Files that the base does not have, by version."""

    faults: tuple[Fault, ...]
    """The reasons why it cannot be merged."""

    warnings: tuple[Fault, ...]
    """Files older than the newest one of the base, where that is allowed."""


NOTHING = Comparison((), (), ())
"""The result without a base."""


def compare(
    files: Files,
    branch: Iterable[Path],
    base: Iterable[Path],
    *,
    allow_missing: bool = False,
) -> Comparison:
    """
    Compare *files*, which lie in *branch*, with those that lie in *base*.

    Names and contents are compared, contents as for files that were applied and have
    changed since; nothing of the base is parsed. It may have no files.

    Raises:
        FilesInvalidError: A place is not there, or a file of the base cannot be read.
    """
    here, there = find_files(*branch), find_files(*base, setting="MIGRATOR_BASE")
    return _Branch(files, here, there, allow_missing=allow_missing).comparison()


class _Branch:
    def __init__(
        self, files: Files, here: Directory, there: Directory, *, allow_missing: bool
    ) -> None:
        self._allow_missing = allow_missing
        self._here = {each.name: each for each in here.all}
        self._there = {each.name: each for each in there.all}
        self._versions = {each.version: each for each in reversed(there.all)}
        self._newest = max(self._versions, default=0)
        self._checksums = {each.path: each.checksum for each in files.migrations}

    def comparison(self) -> Comparison:
        new = [each for each in self._here.values() if each.name not in self._there]
        renamed = {each.name: was for each in new if (was := self._name_there(each))}
        added = sorted(
            (each for each in new if each.name not in renamed),
            key=lambda each: (each.version, each.name),
        )
        old = [each for each in added if self._may_be_old(each)]
        faults = [
            *self._misnumbered([each for each in added if each not in old]),
            *(_fault(name, "base_renamed", was=was) for name, was in renamed.items()),
            *self._changed(),
            *self._missing(set(renamed.values())),
        ]
        names = tuple(each.name for each in added)
        warnings = tuple(
            self._about_version(each, "base_version_older") for each in old
        )
        return Comparison(names, tuple(faults), warnings)

    def _name_there(self, new: Candidate) -> str:
        """Return the name of the same file in the base; empty if there is none."""
        other = self._versions.get(new.version)
        if other is None or other.name in self._here:
            return ""
        same = self._checksums.get(new.name) == _checksum(other)
        return other.name if same else ""

    def _may_be_old(self, new: Candidate) -> bool:
        free = new.version not in self._versions
        return self._allow_missing and free and new.version < self._newest

    def _misnumbered(self, added: list[Candidate]) -> Iterator[Fault]:
        """Yield a fault for each file to rename; what follows one keeps its order."""
        taken = {e.version for e in (*self._here.values(), *self._there.values())}
        last, renamed = self._newest, ("", "")
        for each in added:
            slug = self._misnumbering(each, last, renamed[0])
            if not slug:
                last = max(last, each.version)
                continue
            last = next(n for n in _following(last) if n not in taken)
            after = _named(each.name, last)
            yield self._about_version(each, slug, after, renamed)
            renamed = each.name, after

    def _misnumbering(self, new: Candidate, last: int, renamed: str) -> str:
        if new.version in self._versions:
            return "base_version_taken"
        if new.version < self._newest:
            return "base_version_old"
        # two new files with one version are a fault of names
        return "base_order" if renamed and new.version <= last else ""

    def _about_version(
        self,
        new: Candidate,
        slug: str,
        after: str = "",
        renamed: tuple[str, str] = ("", ""),
    ) -> Fault:
        other = self._versions.get(new.version)
        return _fault(
            new.name,
            slug,
            version=new.version,
            other=other and other.name,
            newest=self._newest,
            after=after,
            first=renamed[0],
            renamed=renamed[1],
        )

    def _changed(self) -> Iterator[Fault]:
        for name, base in self._there.items():
            found = self._checksums.get(name)
            if found and found != _checksum(base):
                yield _fault(name, "base_changed")

    def _missing(self, renamed: set[str]) -> Iterator[Fault]:
        for name in self._there:
            if name not in self._here and name not in renamed:
                yield _fault(name, "base_missing")


def _checksum(base: Candidate) -> str:
    try:
        return checksum_of(base)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise FilesInvalidError([_fault(base.path, "unreadable", why=why)]) from error


def _following(version: int) -> Iterator[int]:
    """Yield the versions behind *version*: numbers, or seconds after a timestamp."""
    if not is_timestamp(version):
        while True:
            version += 1
            yield version
    when = datetime.strptime(str(version), TIMESTAMP)  # noqa: DTZ007 - only counted
    while True:
        when += timedelta(seconds=1)
        yield int(when.strftime(TIMESTAMP))


def _named(name: str, version: int) -> str:
    """Return *name* with another version, which has as many digits at least."""
    before, _, rest = name.partition("_")
    return f"{version:0{len(before)}d}_{rest}"


def _fault(path: str, slug: str, **fields: object) -> Fault:
    message = _TEXTS[slug].format(**fields)
    return Fault(path=path, line=0, column=0, slug=slug, message=message)


_TEXTS: Mapping[str, str] = {
    "base_version_taken": (
        "the base branch has version {version} too, as {other}; rename this file to"
        " {after}"
    ),
    "base_version_old": (
        "version {version} is older than {newest}, the newest of the base branch, and a"
        " database that has that one refuses it; rename this file to {after}"
    ),
    "base_version_older": (
        "version {version} is older than {newest}, the newest of the base branch;"
        " MIGRATOR_ALLOW_MISSING=true lets `up` apply it behind that one"
    ),
    "base_order": (
        "it follows {first}, which is to be renamed to {renamed}; rename this file to"
        " {after}"
    ),
    "base_renamed": "the base branch has this file as {was}; rename it to that",
    "base_changed": (
        "the base branch has this file with other content, and databases may have"
        " applied it; restore it and put the change into a new file"
    ),
    "base_missing": (
        "the base branch has this file, and it is missing here; merge the base branch,"
        " or restore the file"
    ),
    "unreadable": REFUSED["unreadable"],
}

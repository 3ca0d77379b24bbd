"""
Which files of a directory, or of an archive, are migrations, by their names.

goose: `migration.go`, NumericComponent; `migrate.go`, collectMigrationsFS. Subfolders,
hidden names (a ConfigMap's `..data`) and other extensions are nobody's migrations.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from migrator.domain.facts import Fault
from migrator.errors import FilesInvalidError
from migrator.source.entries import Candidate, Directory, Entry, Member


_LAST_VERSION = (1 << 63) - 1
# Go's strconv.ParseInt, base 10: ASCII digits and one sign, no underscores, no blanks
_NUMBER = re.compile(r"[+-]?[0-9]+")


def find_migrations(*places: Path) -> Directory:
    """
    Return the migrations of *places*, which are one set, whatever their order.

    Each place is a directory, of which links are followed and folders are not, or an
    archive: see `migrator.source.archive`.

    Raises:
        FilesInvalidError: A place is not there or cannot be read; or nothing in any
            of them is or wants to be a migration.
    """
    found = find_files(*places)
    if not found.candidates and not found.faults:
        raise FilesInvalidError([_no_files(places)])
    return found


def find_files(*places: Path, setting: str = "MIGRATOR_MIGRATIONS_DIR") -> Directory:
    """
    Return what `find_migrations` does, also when there is nothing in *places*.

    *setting* names them.

    Raises:
        FilesInvalidError: A place is not there, or cannot be read.
    """
    faults: list[Fault] = []
    found: dict[int, Candidate] = {}
    duplicates: list[Candidate] = []
    for entry in (entry for place in places for entry in _entries(place, setting)):
        name = _printable(entry.name)
        if entry.name.startswith("."):
            continue
        judged = _judge(entry, name)
        if isinstance(judged, Fault):
            faults.append(judged)
        elif judged is not None:
            first = found.setdefault(judged.version, judged)
            if first is not judged:
                faults.append(_duplicate(first, judged, whole=len(places) > 1))
                duplicates.append(judged)
    unique = tuple(found[key] for key in sorted(found))
    return Directory(unique, tuple(faults), tuple(duplicates))


def _entries(directory: Path, setting: str) -> Iterable[Entry]:
    try:
        with os.scandir(directory) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if isinstance(error, NotADirectoryError) and is_archive(directory.name):
            from migrator.source.archive import members  # noqa: PLC0415 - rare

            return members(directory)
        reason = _DIRECTORY_ERRORS.get(type(error), error.strerror or "cannot be read")
        fault = _directory_fault(
            directory, f"{reason}; {_DIRECTORY_REMEDY.format(setting)}"
        )
        raise FilesInvalidError([fault]) from error


def is_archive(name: str) -> bool:
    """Return whether a file with this name is read as an archive."""
    return name.endswith((".tar", ".tar.gz", ".tgz"))


def _judge(entry: Entry, name: str) -> Candidate | Fault | None:
    extension = entry.name.rpartition(".")[2]
    if extension == "sql":
        return _judge_migration(entry, name)
    # helpers.py, conftest.py and the like are nobody's migrations
    if isinstance(version_of(entry.name), str):
        return None
    is_go = extension == "go" and not name.endswith("_test.go") and entry.is_file()
    if extension == "py" or is_go:
        return _judge_migration(entry, name)
    lost = extension.lower() in {"sql", "py"} and entry.is_file()
    return _fault(name, "bad_extension", _EXTENSION) if lost else None


def _judge_migration(entry: Entry, name: str) -> Candidate | Fault:
    version = version_of(entry.name)
    if isinstance(version, str):
        return _fault(name, "bad_name", f"{version}; {_NAME_REMEDY}")
    if not entry.is_file():
        return _fault(name, "no_file", _NO_FILE)
    content = entry.content if isinstance(entry, Member) else None
    return Candidate(version, name, entry.path, content)


def version_of(name: str) -> int | str:
    """Return the version in a file's name, or why there is none."""
    before, separator, _ = name.partition("_")
    if not separator:
        return "the name has no '_' after a version"
    if not _NUMBER.fullmatch(before):
        return "the name does not start with a whole number"
    digits = before.lstrip("+-0")
    if len(digits) > len(str(_LAST_VERSION)) or int(before) > _LAST_VERSION:
        return f"the version is greater than {_LAST_VERSION}"
    return int(before) if int(before) > 0 else "the version is not greater than zero"


def _duplicate(first: Candidate, second: Candidate, *, whole: bool) -> Fault:
    one, other = (
        _printable(each.path) if whole else each.name for each in (first, second)
    )
    reason = f"{one} has version {first.version} too; give one a newer version"
    return _fault(other, "duplicate", reason)


def _no_files(places: Iterable[Path]) -> Fault:
    for place in places:
        for name in (entry.name for entry in _entries(place, "")):
            if is_archive(name) and not name.startswith("."):
                return _fault(
                    str(place), "directory", _ONLY_ARCHIVE.format(place / name)
                )
    return _fault(":".join(map(str, places)), "directory", _NO_FILES)


def _fault(name: str, slug: str, message: str) -> Fault:
    return Fault(path=name, line=0, column=0, slug=slug, message=message)


def _directory_fault(directory: Path, message: str) -> Fault:
    return _fault(str(directory), "directory", message)


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")


_DIRECTORY_ERRORS: dict[type[OSError], str] = {
    FileNotFoundError: "there is no such directory",
    NotADirectoryError: "this is no directory and no .tar, .tar.gz or .tgz",
    PermissionError: "the directory cannot be read",
}
_DIRECTORY_REMEDY = "mount the migrations there, or point {} at them"
_NO_FILES = (
    "there is no migration in it; name files like 0001_create_users.sql,"
    " or point MIGRATOR_MIGRATIONS_DIR elsewhere"
)
_ONLY_ARCHIVE = (
    "there is no migration in it, but an archive, which is read when it is named:"
    " point MIGRATOR_MIGRATIONS_DIR at {}"
)
_NAME_REMEDY = "name it like 0001_create_users.sql, or move it out of the directory"
_NO_FILE = "this is no regular file; remove it, or fix the link"
_EXTENSION = "only .sql and .py in lower case are read; rename the file"

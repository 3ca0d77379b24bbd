"""
New migration files, and new versions for old ones.

goose: `create.go`, CreateWithTemplate; `fix.go`, Fix; `helpers.go`, snakeCase;
`migrate.go`, timestamped and versioned.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from migrator.domain.facts import Fault
from migrator.errors import FilesInvalidError, UsageError
from migrator.source.discover import find_files, find_migrations
from migrator.source.entries import Candidate


TIMESTAMP = "%Y%m%d%H%M%S"
"""The format of a timestamp version, for strftime, as in goose."""

_DIGITS = 14
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TEMPLATES = {
    "sql": """\
-- +goose Up
SELECT 'up SQL query';

-- +goose Down
SELECT 'down SQL query';
""",
    "py": '''\
"""What this migration does, and why it is not written in SQL."""

import psycopg


def up(conn: psycopg.Connection) -> None:
    """Apply it, in a transaction; TRANSACTION = False above is for none."""
    conn.execute("SELECT 'up SQL query'")


def down(conn: psycopg.Connection) -> None:
    """Take it back."""
    conn.execute("SELECT 'down SQL query'")
''',
}


@dataclass(frozen=True, slots=True)
class Renaming:
    """The name of a file, and its new name."""

    before: str
    after: str


def create(
    directory: Path, name: str, *, kind: str, sequential: bool, now: datetime
) -> str:
    """
    Make a migration file of *kind*, `sql` or `py`, and return its name.

    Its version is *now* as a timestamp, or a second later where that is taken; or else
    the one after the newest *sequential* one. The directory is made when missing.

    Raises:
        UsageError: *name* has no letter and no digit.
        FilesInvalidError: The directory cannot be written, or its files' versions
            cannot be known.
    """
    words = snake_case(name)
    if not words:
        raise UsageError(f"{name!r} names nothing: use letters or digits")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        version = _sequential(directory) if sequential else _timestamp(directory, now)
        path = directory / f"{version}_{words}.{kind}"
        with path.open("x", encoding="utf-8") as file:
            file.write(_TEMPLATES[kind])
    except OSError as error:
        raise _unwritable(directory, error) from error
    return path.name


def plan_renames(directory: Path) -> tuple[Renaming, ...]:
    """
    Return the new names that give timestamped files the next sequential versions.

    Raises:
        FilesInvalidError: There is no migration in it, or names have faults.
    """
    found = find_migrations(directory)
    if found.faults:
        raise FilesInvalidError(found.faults)
    version = _newest_sequential(found.candidates)
    stamped = [each for each in found.candidates if is_timestamp(each.version)]
    return tuple(
        Renaming(name, f"{number:05d}_{name.partition('_')[2]}")
        for number, name in enumerate(_names(stamped), version + 1)
    )


def rename(directory: Path, renaming: Renaming) -> None:
    """
    Rename one file.

    Raises:
        FilesInvalidError: It cannot be done.
    """
    try:
        (directory / renaming.before).rename(directory / renaming.after)
    except OSError as error:
        raise _unwritable(directory, error) from error


def is_timestamp(version: int) -> bool:
    """Return whether *version* is a date and time after 1970, to the second."""
    digits = str(version)
    if len(digits) != _DIGITS:
        return False
    try:
        when = datetime.strptime(digits, TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        return False
    return when > _EPOCH


def snake_case(name: str) -> str:
    """
    Return *name* in lower case, with one `_` for what stands between its words.

    Nothing stands for what comes before them; what follows them is a `_` when it is a
    single character, as with goose.
    """
    runs = [(word, "".join(run)) for word, run in groupby(name, key=_is_alphanumeric)]
    if runs and not runs[0][0]:
        del runs[0]
    if runs and not runs[-1][0] and len(runs[-1][1]) > 1:
        del runs[-1]
    return "".join(_lower(run) if word else "_" for word, run in runs)


def _lower(word: str) -> str:
    # Go's unicode.ToLower maps one character to one, whatever stands beside it
    return "".join(character.lower()[0] for character in word)


def _is_alphanumeric(character: str) -> bool:
    return unicodedata.category(character)[0] in "LN"


def _names(candidates: Iterable[Candidate]) -> Iterable[str]:
    return (Path(each.path).name for each in candidates)


def _sequential(directory: Path) -> str:
    found = find_files(directory)
    if found.faults:
        raise FilesInvalidError(found.faults)
    return f"{_newest_sequential(found.candidates) + 1:05d}"


def _newest_sequential(candidates: Iterable[Candidate]) -> int:
    versions = (each.version for each in candidates)
    return max((v for v in versions if not is_timestamp(v)), default=0)


def _timestamp(directory: Path, now: datetime) -> str:
    taken = {each.version for each in find_files(directory).candidates}
    while int(now.strftime(TIMESTAMP)) in taken:
        now += timedelta(seconds=1)
    return now.strftime(TIMESTAMP)


def _unwritable(directory: Path, error: OSError) -> FilesInvalidError:
    message = (
        f"{error.strerror or type(error).__name__}; fix its permissions,"
        " or point MIGRATOR_MIGRATIONS_DIR elsewhere"
    )
    path = str(error.filename or directory)
    return FilesInvalidError(
        [Fault(path=path, line=0, column=0, slug="directory", message=message)]
    )

"""Exit codes, by which Kubernetes, Helm, compose and shells know the result."""

from enum import IntEnum
from typing import NamedTuple

from migrator import errors


class ExitCode(IntEnum):
    """An interface, like the settings: podFailurePolicy and the README name them."""

    OK = 0
    INTERNAL = 1
    USAGE = 2
    PENDING = 3
    FILES_INVALID = 10
    HISTORY_CONFLICT = 11
    DRIFT = 12
    FAILED = 13
    PARTIAL = 14
    ACCESS_DENIED = 15
    UNAVAILABLE = 20
    LOCKED = 21
    CONTENTION = 22
    CONNECTION_LOST = 23
    DEADLINE = 24
    INTERRUPTED = 130
    TERMINATED = 143


class Meaning(NamedTuple):
    """The meaning of one exit code, in the words of the README's table."""

    summary: str
    database: str
    again: str


MEANINGS: dict[ExitCode, Meaning] = {
    ExitCode.OK: Meaning(
        "applied, or nothing to do, or another run did it", "at target", "-"
    ),
    ExitCode.INTERNAL: Meaning(
        "internal error, please report it", "unknown", "bounded"
    ),
    ExitCode.USAGE: Meaning(
        "wrong flag, variable, database URL or secret file", "untouched", "no"
    ),
    ExitCode.PENDING: Meaning(
        "a check found pending migrations, `wait` ended before they were applied, or"
        " no run succeeded",
        "untouched",
        "`wait`: yes; a check: the caller decides",
    ),
    ExitCode.FILES_INVALID: Meaning(
        "directory, names, duplicates, parse errors, Go files", "untouched", "no"
    ),
    ExitCode.HISTORY_CONFLICT: Meaning(
        "missing (out-of-order) versions, database ahead (`fail`), bad table",
        "untouched",
        "no",
    ),
    ExitCode.DRIFT: Meaning("an applied file has changed (`fail`)", "untouched", "no"),
    ExitCode.FAILED: Meaning(
        "a statement or a COMMIT failed, also for want of disk, memory or locks;"
        " nothing of its migration is applied",
        "clean at a version",
        "no",
    ),
    ExitCode.PARTIAL: Meaning(
        "a NO TRANSACTION migration stopped half way, or a file contains COMMIT or"
        " ROLLBACK",
        "check it manually",
        "no",
    ),
    ExitCode.ACCESS_DENIED: Meaning(
        "credentials, TLS verification, privileges, no such database, a role or"
        " database that may only read",
        "clean",
        "no",
    ),
    ExitCode.UNAVAILABLE: Meaning(
        "the server did not answer in time, had no connection free, or is a standby",
        "untouched",
        "yes",
    ),
    ExitCode.LOCKED: Meaning(
        "another migrator holds the lock", "untouched by this run", "yes"
    ),
    ExitCode.CONTENTION: Meaning(
        "lock timeout, deadlock or serialization failure, after all retries",
        "clean",
        "yes",
    ),
    ExitCode.CONNECTION_LOST: Meaning(
        "the connection was lost; the next run detects what was committed",
        "clean",
        "yes",
    ),
    ExitCode.DEADLINE: Meaning(
        "a time limit of the run or of a statement", "clean", "yes"
    ),
    ExitCode.INTERRUPTED: Meaning("SIGINT: cancelled and rolled back", "clean", "yes"),
    ExitCode.TERMINATED: Meaning("SIGTERM: cancelled and rolled back", "clean", "yes"),
}

PERMANENT = frozenset(
    code for code, meaning in MEANINGS.items() if meaning.again == "no"
)
"""Running again cannot help: what the shipped podFailurePolicy fails the Job on."""

RETRYABLE = frozenset(
    code for code, meaning in MEANINGS.items() if meaning.again == "yes"
)

_CODES: dict[type[errors.MigratorError], ExitCode] = {
    errors.UsageError: ExitCode.USAGE,
    errors.PendingError: ExitCode.PENDING,
    errors.NotReadyError: ExitCode.PENDING,
    errors.FilesInvalidError: ExitCode.FILES_INVALID,
    errors.HistoryConflictError: ExitCode.HISTORY_CONFLICT,
    errors.DriftError: ExitCode.DRIFT,
    errors.NotAppliedError: ExitCode.FAILED,
    errors.PartiallyAppliedError: ExitCode.PARTIAL,
    errors.AccessDeniedError: ExitCode.ACCESS_DENIED,
    errors.PasswordUnavailableError: ExitCode.ACCESS_DENIED,
    errors.UnavailableError: ExitCode.UNAVAILABLE,
    errors.LockWaitTimeoutError: ExitCode.LOCKED,
    errors.ContentionError: ExitCode.CONTENTION,
    errors.TrackingTableLockedError: ExitCode.CONTENTION,
    errors.TrackingTableError: ExitCode.FAILED,
    errors.ConnectionLostError: ExitCode.CONNECTION_LOST,
    errors.StatementTimeoutError: ExitCode.DEADLINE,
    errors.DeadlineError: ExitCode.DEADLINE,
}


def exit_code(error: BaseException | None) -> ExitCode:
    """Return the code for what ended the run; INTERNAL for an unexpected error."""
    if error is None:
        return ExitCode.OK
    if isinstance(error, errors.InterruptedRunError):
        return ExitCode(128 + error.signum)
    codes = (_CODES[kind] for kind in type(error).__mro__ if kind in _CODES)
    return next(codes, ExitCode.INTERNAL)


def is_retryable(error: BaseException | None) -> bool:
    """Return whether the same run may succeed later, without any change."""
    # PENDING is an answer to a check, and an end to `wait`
    waited = isinstance(error, errors.WaitTimeoutError)
    return waited or exit_code(error) in RETRYABLE

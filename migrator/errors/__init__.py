"""
Everything that can go wrong, by what the operator has to do about it.

* MigratorError
  x UsageError              fix a flag, the environment, a DSN, a secret file
    - UnsupportedServerError
  x PendingError            nothing is wrong: migrations are pending
    - WaitTimeoutError      wait again: another run may apply them
  x NotReadyError           nothing is wrong: a health check came before the end
  x FilesInvalidError       fix the migration files
    - FileChangedError      let nobody write them while they run
  x HistoryConflictError    files and table disagree: decide
    - OutOfOrderError
    - DatabaseAheadError
    - UnknownTargetError
    - HistoryExistsError
    - MigrationFileMissingError
    - InvalidTrackingTableError
    - MissingSchemaError    create the schema of the table
    - ForeignObjectError    a role that is not trusted owns the table, or code in it
    - RowNotWrittenError    something redirects what is written to the table
    - NotRecordedError      make the tracking table take goose's row
  x DriftError              applied files have changed: restore them, or decide
  x StatementFailedError    fix the SQL; nothing of its migration is applied
    - OutOfResourcesError   give the server room: disk, memory, locks
  x PartiallyAppliedError   a human must look at the database
  x AccessDeniedError       fix credentials, TLS, privileges, the database's name
  x PasswordUnavailableError fix the password source
  x UnavailableError        try again: the server did not answer
    - ReadOnlyServerError
    - BrokenAnswerError     what answers is perhaps no PostgreSQL
  x LockWaitTimeoutError    try again: another migrator works
  x ContentionError         try again: the application held the locks
  x ConnectionLostError     try again: the session died
    - LockLostError
  x TrackingTableError      fix what the server names: our own tables
  x TrackingTableLockedError try again: our own tables are locked
  x StatementTimeoutError   try again, with a longer statement timeout
  x StoppedRunError         try again: the run was asked to stop
    - DeadlineError         our own deadline came first
    - InterruptedRunError   somebody stopped us

Every message ends with what to do. `exit_codes.py` gives each branch its exit code.
"""

from migrator.errors.base import MigratorError
from migrator.errors.preflight import (
    DatabaseAheadError,
    DriftError,
    FilesInvalidError,
    ForeignObjectError,
    HistoryConflictError,
    HistoryExistsError,
    InvalidTrackingTableError,
    MigrationFileMissingError,
    MissingSchemaError,
    NotReadyError,
    OutOfOrderError,
    PendingError,
    RowNotWrittenError,
    UnknownTargetError,
    UnsupportedServerError,
    UsageError,
    WaitTimeoutError,
)
from migrator.errors.runtime import (
    AccessDeniedError,
    BrokenAnswerError,
    ConnectionLostError,
    ContentionError,
    FileChangedError,
    LockLostError,
    LockWaitTimeoutError,
    NotAppliedError,
    NotRecordedError,
    OutOfResourcesError,
    PartiallyAppliedError,
    PasswordUnavailableError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
    TrackingTableError,
    TrackingTableLockedError,
    UnavailableError,
)
from migrator.errors.stopping import (
    DeadlineError,
    InterruptedRunError,
    StoppedRunError,
)


__all__ = [
    "AccessDeniedError",
    "BrokenAnswerError",
    "ConnectionLostError",
    "ContentionError",
    "DatabaseAheadError",
    "DeadlineError",
    "DriftError",
    "FileChangedError",
    "FilesInvalidError",
    "ForeignObjectError",
    "HistoryConflictError",
    "HistoryExistsError",
    "InterruptedRunError",
    "InvalidTrackingTableError",
    "LockLostError",
    "LockWaitTimeoutError",
    "MigrationFileMissingError",
    "MigratorError",
    "MissingSchemaError",
    "NotAppliedError",
    "NotReadyError",
    "NotRecordedError",
    "OutOfOrderError",
    "OutOfResourcesError",
    "PartiallyAppliedError",
    "PasswordUnavailableError",
    "PendingError",
    "ReadOnlyServerError",
    "RowNotWrittenError",
    "StatementFailedError",
    "StatementTimeoutError",
    "StoppedRunError",
    "TrackingTableError",
    "TrackingTableLockedError",
    "UnavailableError",
    "UnknownTargetError",
    "UnsupportedServerError",
    "UsageError",
    "WaitTimeoutError",
]

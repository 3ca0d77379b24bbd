"""
The exceptions of migrator, grouped by what the operator has to do.

* MigratorError
  x UsageError              fix a flag, the environment, a DSN, a secret file
    - UnsupportedServerError
  x PendingError            run `up`: migrations are pending
    - WaitTimeoutError      wait again: another run may apply them
  x NotReadyError           wait: the run has not finished
  x FilesInvalidError       fix the migration files
    - FileChangedError      do not write to the files during a run
  x HistoryConflictError    files and tracking table disagree: decide
    - OutOfOrderError
    - DatabaseAheadError
    - UnknownTargetError
    - HistoryExistsError
    - MigrationFileMissingError
    - InvalidTrackingTableError
    - MissingSchemaError    create the schema of the table
    - ForeignObjectError    a role that is not trusted owns the table, or code in it
    - RowNotWrittenError    a trigger or rule redirects writes to the table
    - NotRecordedError      make the tracking table take goose's row
  x DriftError              applied files have changed: restore them, or decide
  x StatementFailedError    fix the SQL; nothing of its migration is applied
    - OutOfResourcesError   free disk space, memory or locks on the server
  x PartiallyAppliedError   check the database manually
  x AccessDeniedError       fix credentials, TLS, privileges, the database's name
  x PasswordUnavailableError fix the password source
  x UnavailableError        re-run: the server did not answer
    - ReadOnlyServerError
    - BrokenAnswerError     the server may not be PostgreSQL
  x LockWaitTimeoutError    re-run: another migrator holds the lock
  x ContentionError         re-run: other sessions held the locks
  x ConnectionLostError     re-run: the session ended
    - LockLostError
  x TrackingTableError      fix migrator's own tables, as the message says
  x TrackingTableLockedError re-run: migrator's own tables are locked
  x StatementTimeoutError   re-run with a longer statement timeout
  x StoppedRunError         re-run: the run was asked to stop
    - DeadlineError         MIGRATOR_DEADLINE passed
    - InterruptedRunError   SIGINT or SIGTERM

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

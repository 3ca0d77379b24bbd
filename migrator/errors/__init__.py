"""
Everything that can go wrong, by what the operator has to do about it.

* MigratorError
  x UsageError              fix a flag, the environment, a DSN, a secret file
    - UnsupportedServerError
  x PendingError            nothing is wrong: migrations are pending
    - WaitTimeoutError      wait again: another run may apply them
  x NotThroughError         nothing is wrong: a health check came before the end
  x FilesInvalidError       fix the migration files
    - FileChangedError      let nobody write them while they run
  x HistoryConflictError    files and table disagree: decide
    - MissingMigrationsError
    - DatabaseAheadError
    - UnknownTargetError
    - HistoryExistsError
    - NoFileError
    - BadTableError
    - MissingSchemaError    create the schema of the table
    - ForeignObjectError    a role that is not trusted owns the table, or code in it
    - RowNotWrittenError    something redirects what is written to the table
    - NotRecordedError      make the tracking table take goose's row
  x DriftError              applied files have changed: restore them, or decide
  x StatementFailedError    fix the SQL; nothing of its migration is applied
    - OutOfResourcesError   give the server room: disk, memory, locks
  x PartialError            a human must look at the database
  x AccessDeniedError       fix credentials, TLS, privileges, the database's name
  x NoPasswordError         mend where the password comes from
  x UnavailableError        try again: the server did not answer
    - ReadOnlyServerError
    - BrokenAnswerError     what answers is perhaps no PostgreSQL
  x LockedError             try again: another migrator works
  x ContentionError         try again: the application held the locks
  x ConnectionLostError     try again: the session died
    - LockLostError
  x BookkeepingError        mend what the server names: our own tables
  x BusyTableError          try again: our own tables are locked
  x StatementTimeoutError   try again, with a longer statement timeout
  x StoppedRunError         try again: the run was asked to stop
    - DeadlineError         our own deadline came first
    - InterruptedRunError   somebody stopped us

Messages end with the way out. `exits.py` gives each branch its exit code.
"""

from migrator.errors.base import MigratorError
from migrator.errors.preflight import (
    BadTableError,
    DatabaseAheadError,
    DriftError,
    FilesInvalidError,
    ForeignObjectError,
    HistoryConflictError,
    HistoryExistsError,
    MissingMigrationsError,
    MissingSchemaError,
    NoFileError,
    NotThroughError,
    PendingError,
    RowNotWrittenError,
    UnknownTargetError,
    UnsupportedServerError,
    UsageError,
    WaitTimeoutError,
)
from migrator.errors.runtime import (
    AccessDeniedError,
    BookkeepingError,
    BrokenAnswerError,
    BusyTableError,
    ConnectionLostError,
    ContentionError,
    FileChangedError,
    LockedError,
    LockLostError,
    NoPasswordError,
    NotAppliedError,
    NotRecordedError,
    OutOfResourcesError,
    PartialError,
    ReadOnlyServerError,
    StatementFailedError,
    StatementTimeoutError,
    UnavailableError,
)
from migrator.errors.stopping import (
    DeadlineError,
    InterruptedRunError,
    StoppedRunError,
)


__all__ = [
    "AccessDeniedError",
    "BadTableError",
    "BookkeepingError",
    "BrokenAnswerError",
    "BusyTableError",
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
    "LockLostError",
    "LockedError",
    "MigratorError",
    "MissingMigrationsError",
    "MissingSchemaError",
    "NoFileError",
    "NoPasswordError",
    "NotAppliedError",
    "NotRecordedError",
    "NotThroughError",
    "OutOfResourcesError",
    "PartialError",
    "PendingError",
    "ReadOnlyServerError",
    "RowNotWrittenError",
    "StatementFailedError",
    "StatementTimeoutError",
    "StoppedRunError",
    "UnavailableError",
    "UnknownTargetError",
    "UnsupportedServerError",
    "UsageError",
    "WaitTimeoutError",
]

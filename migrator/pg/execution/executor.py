"""
Executes one migration in one direction, together with its version row.

A migration without a transaction is `migrator.pg.execution.no_transaction`'s.
"""

from migrator.domain.model import Script, Step
from migrator.errors import (
    AccessDeniedError,
    MigratorError,
    NotAppliedError,
    StatementFailedError,
)
from migrator.errors.runtime import NOT_APPLIED
from migrator.pg.errors.translate import without_file_settings
from migrator.pg.execution.no_transaction import NoTransactionRun
from migrator.pg.execution.partial_errors import located_statements
from migrator.pg.execution.python_script import ScriptCall
from migrator.pg.execution.statements import StatementExecutor


def execute_step(executor: StatementExecutor, step: Step) -> bool:
    """
    Run *step* and record it; False when another migrator has recorded it already.

    Raises:
        StatementFailedError: The server refused a statement, or the COMMIT; nothing of
            the step is applied.
        NotRecordedError: The tracking table does not take the row; nor is it then.
        ContentionError: Locks, deadlock, serialization; all is rolled back.
        ConnectionLostError: The session died.
        PartiallyAppliedError: Part of a NO TRANSACTION file is applied and a human must
            look, or the file ended the transaction that was to hold it.
        AccessDeniedError, FileChangedError, StatementTimeoutError: As they say; rolled
            back.
    """
    try:
        return _execute(executor, step)
    except (AccessDeniedError, NotAppliedError) as error:
        raise _final_error(executor, step, error) from error


def _final_error(
    executor: StatementExecutor, step: Step, error: MigratorError
) -> MigratorError:
    if isinstance(error, StatementFailedError):
        executor.lock.check_known()  # a lost lock cancels the statement
    if isinstance(error, AccessDeniedError):
        error = without_file_settings(error, executor.conn)
    if isinstance(error, NotAppliedError) and not step.migration.transaction:
        error.state = NOT_APPLIED
    return error


def _execute(executor: StatementExecutor, step: Step) -> bool:
    if step.script is not None:
        return _execute_script(executor, step, step.script)
    if not step.migration.transaction:
        return NoTransactionRun(executor, step).run()
    with executor.transaction(step):
        for place, statement in located_statements(step):
            executor.run_inside(statement, place)
        return executor.record_and_commit(step)


def _execute_script(executor: StatementExecutor, step: Step, script: Script) -> bool:
    call = ScriptCall(
        script,
        step.migration.place(script.call, 1),
        executor.conn,
        executor.session,
        executor.observe,
        executor.cancellation,
        executor.current,
    )
    with (
        executor.report_notices(call.place, script.text),
        call.load() as function,
    ):
        if not step.migration.transaction:
            return NoTransactionRun(executor, step).run_script(call, function)
        with executor.transaction(step):
            call.run_inside(function)
            executor.check_lock_after(call.place)
            return executor.record_and_commit(step)

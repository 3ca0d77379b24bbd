"""
Executes many migrations in one pipeline, each in its own transaction.

What was committed before a failure stays, and nothing behind it runs, as if each
statement had waited for the one before it. A statement that has to wait, such as a
COPY, is executed in between; a migration that has to run alone ends the pipeline.
"""

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from typing import NamedTuple

import psycopg

from migrator.domain.model import Step
from migrator.errors import ContentionError
from migrator.pg.connection.queries import roll_back
from migrator.pg.execution.messages import Kind, Message, MessageStream
from migrator.pg.execution.pipeline import Pipeline, QueryFailedError
from migrator.pg.execution.server_messages import NoticeReporter, statement_finished
from migrator.pg.execution.statements import StatementExecutor
from migrator.pg.monitor.current_statement import RunningStatement
from migrator.sql.riding import not_pipelined_reason


_AHEAD = 100
"""Among how many messages the running one is: answers come in groups."""

_ENTRY_IS_OURS = ("22012", "26000")
"""A division by zero says that there is no row, and the other that a file has removed
what was prepared, by DEALLOCATE ALL."""

_OF_THE_PROTOCOL = ("exec_parse_message", "exec_bind_message")
"""PostgreSQL's postgres.c: what these two refuse, a simple query does not know."""


class StepStarted(NamedTuple):
    """The server is at *step* from now on."""

    step: Step


class StepCommitted(NamedTuple):
    """The server has answered the COMMIT of *step*, which holds its version row."""

    step: Step


class NotPipelined(NamedTuple):
    """A step that was rolled back and has to run alone, and why; the last outcome."""

    step: Step
    error: ContentionError | None
    """How the first attempt ended; None when our way of sending it has failed."""

    finished_statements: int
    """How many of its statements have been reported."""


Outcome = StepStarted | StepCommitted | NotPipelined


class PipelinedRun:
    """Executes *steps* as *executor* does, without waiting for each answer; once."""

    def __init__(self, executor: StatementExecutor, steps: Sequence[Step]) -> None:
        self.commits_sent: list[Step] = []
        """The steps whose COMMIT was sent: each may have been committed."""

        self._executor = executor
        self._steps = iter(steps)
        stream = MessageStream(
            executor.conn, executor.table, executor.lock, executor.session.state
        )
        self._messages = stream.messages(steps)
        self._barrier: Message | None = None
        """A statement that is not sent before all those in front are answered."""

        self._pipeline: Pipeline[Message] | None = None
        self._notices = NoticeReporter(executor.observe)
        self._since = self._surely_since = 0.0
        """When the last answer came; and the last one that was asked for early."""

    def outcomes(self) -> Generator[Outcome, None, None]:
        """
        Execute the steps and yield when each is started and is committed.

        Raises:
            MigratorError: As `execute_step`, about the step that was started last.
        """
        alone: NotPipelined | None = None
        try:
            yield from self._start_next()
            while alone is None:
                yield from self._pipelined_outcomes()
                if self._barrier is None:
                    return
                alone = self._run_barrier(self._barrier)
        except QueryFailedError as failure:
            alone = self._handle_failure(failure.query, failure.error)
        finally:
            roll_back(self._executor.conn)
        yield alone

    def _start_next(self) -> Iterator[Outcome]:
        yield from map(StepStarted, islice(self._steps, 1))

    def _pipelined_outcomes(self) -> Iterator[Outcome]:
        """Send what can be pipelined, up to the next barrier, and read the answers."""
        executor, self._barrier = self._executor, None
        self._since = self._surely_since = time.monotonic()
        self._pipeline = Pipeline(
            executor.conn,
            self._messages_to_barrier(),
            cancellation=executor.cancellation,
            check_lock=executor.lock.check_known,
        )
        with (
            self._report_notices(),
            executor.current.running_from(self._current_statement),
            closing(self._pipeline.results()) as results,
        ):
            for message, tag in results:
                yield from self._handle_answer(message, tag)

    def _run_barrier(self, barrier: Message) -> NotPipelined | None:
        try:
            self._executor.run_inside(barrier.statement, barrier.place)
        except ContentionError as error:
            return NotPipelined(barrier.step, error, 0)
        return None

    def _messages_to_barrier(self) -> Iterator[Message]:
        for message in self._messages:
            if message.kind is Kind.STATEMENT and not_pipelined_reason(
                message.statement
            ):
                self._barrier = message
                return
            if message.kind is Kind.COMMIT:
                self.commits_sent.append(message.step)
            yield message

    def _handle_answer(self, message: Message, tag: str) -> Iterator[Outcome]:
        now = time.monotonic()
        took_s = now - self._since
        if message.flush:
            self._surely_since = now
        if message.flush or message.kind is Kind.STATEMENT:
            self._since = now  # the answer to BEGIN comes with the first statement's
        if message.kind is Kind.STATEMENT:
            self._executor.observe(statement_finished(message.place, (tag,), took_s))
        elif message.kind is Kind.COMMIT:
            yield StepCommitted(message.step)
            yield from self._start_next()

    def _current_statement(self) -> RunningStatement | None:
        """Return the statement that the server executes; called by the monitor."""
        sent = list(islice(self._pipeline.waiting, _AHEAD)) if self._pipeline else []
        if not sent:
            return None
        flushed = (number for number, each in enumerate(sent, 1) if each.flush)
        asked = sent[: next(flushed, None)]
        own = (each for each in asked if each.kind is Kind.STATEMENT)
        return RunningStatement(next(own, sent[0]).place, self._since)

    @contextmanager
    def _report_notices(self) -> Iterator[None]:
        self._executor.conn.add_notice_handler(self._notice)
        try:
            yield
        finally:
            self._executor.conn.remove_notice_handler(self._notice)

    def _notice(self, diag: psycopg.errors.Diagnostic) -> None:
        waiting = self._pipeline.waiting if self._pipeline else ()
        if waiting and waiting[0].kind is Kind.STATEMENT:
            at = waiting[0]
            self._notices.emit(diag, at.place, at.statement.text)

    def _handle_failure(self, message: Message, error: psycopg.Error) -> NotPipelined:
        """Return the step that has to run alone, or raise the translated *error*."""
        executor, step = self._executor, message.step
        executor.lock.check_known()
        if _is_ours(message, error):
            executor.lock.check()
            return NotPipelined(step, None, _finished_before(message))
        since = self._surely_since
        final = executor.translate(error, message.place, message.statement, since)
        if isinstance(final, ContentionError):
            return NotPipelined(step, final, 0)
        raise final from error


def _is_ours(message: Message, error: psycopg.Error) -> bool:
    """Tell whether only our way of sending it has failed, not what was sent."""
    if message.kind is Kind.ENTER:
        return error.sqlstate in _ENTRY_IS_OURS
    return error.diag.source_function in _OF_THE_PROTOCOL


def _finished_before(message: Message) -> int:
    """Return how many statements of its step were answered before *message*."""
    entering = message.kind is Kind.ENTER
    return len(message.step.statements) if entering else max(message.number - 1, 0)

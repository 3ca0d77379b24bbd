"""
Executes many migrations in one pipeline, each in its own transaction.

What was committed before a failure stays, and nothing behind it runs, as if each
statement had waited for the one before it. One that must wait, such as a COPY, is run
in between; one migration that has to run by itself ends the stream.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
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
from migrator.sql.restrictions import not_pipelined_reason


Tell = Callable[[Step], None]
_AHEAD = 100
"""Among how many messages the one is that the server is at: answers come in groups."""

_ENTRY_IS_OURS = ("22012", "26000")
"""A division by zero says that there is no row, and the other that a file has taken
away what was prepared, by DEALLOCATE ALL."""

_OF_THE_PROTOCOL = ("exec_parse_message", "exec_bind_message")
"""PostgreSQL's postgres.c: what these two refuse, a simple query does not know."""


class NotPipelined(NamedTuple):
    """A step that was rolled back and has to run by itself, and why."""

    step: Step
    error: ContentionError | None
    """What the first attempt met; None when only running it will tell."""

    finished_statements: int
    """How many of its statements have been reported."""


class PipelinedExecutor(NamedTuple):
    """Runs steps as *executor* does, without waiting for each answer."""

    executor: StatementExecutor
    begun: Tell
    sent: Tell
    """Called before the step's COMMIT is sent."""

    ended: Tell

    def run(self, steps: Sequence[Step]) -> NotPipelined | None:
        """
        Run *steps* and report when each begins and is committed.

        Return the one at which it ended too early, if there is one.

        Raises:
            MigratorError: As `execute_step`, about the step that was begun last.
        """
        try:
            return _PipelinedRun(self, steps).run()
        finally:
            roll_back(self.executor.conn)


class _PipelinedRun:
    def __init__(self, streamer: PipelinedExecutor, steps: Sequence[Step]) -> None:
        self._executor = executor = streamer.executor
        self._streamer = streamer
        self._steps = iter(steps)
        stream = MessageStream(
            executor.conn, executor.table, executor.lock, executor.session.state
        )
        self._messages = stream.messages(steps)
        self._apart: Message | None = None
        """A statement that waits for the answers to all before it."""

        self._pipeline: Pipeline[Message] | None = None
        self._notices = NoticeReporter(executor.observe)
        self._since = self._surely_since = 0.0
        """When the last answer came; and the last one that was asked for early."""

    def run(self) -> NotPipelined | None:
        self._begin()
        while True:
            stopped = self._run_pipelineable()
            if stopped is not None or self._apart is None:
                return stopped
            apart = self._apart
            try:
                self._executor.run_inside(apart.statement, apart.place)
            except ContentionError as error:
                return NotPipelined(apart.step, error, 0)

    def _begin(self) -> None:
        step = next(self._steps, None)
        if step is not None:
            self._streamer.begun(step)

    def _run_pipelineable(self) -> NotPipelined | None:
        """Send what rides, up to the next statement that does not."""
        executor = self._executor
        self._apart = None
        self._since = self._surely_since = time.monotonic()
        self._pipeline = Pipeline(
            executor.conn,
            self._pipelineable_messages(),
            cancellation=executor.cancellation,
            held=executor.lock.check_known,
        )
        executor.conn.add_notice_handler(self._notice)
        try:
            with (
                executor.current.running_from(self._current_statement),
                closing(self._pipeline.results()) as results,
            ):
                for message, tag in results:
                    self._handle_answer(message, tag)
        except QueryFailedError as failure:
            return self._handle_failure(failure.query, failure.error)
        finally:
            executor.conn.remove_notice_handler(self._notice)
        return None

    def _pipelineable_messages(self) -> Iterator[Message]:
        for message in self._messages:
            if message.kind is Kind.STATEMENT and not_pipelined_reason(
                message.statement
            ):
                self._apart = message
                return
            if message.kind is Kind.COMMIT:
                self._streamer.sent(message.step)
            yield message

    def _handle_answer(self, message: Message, tag: str) -> None:
        now = time.monotonic()
        took_s = now - self._since
        if message.flush:
            self._surely_since = now
        if message.flush or message.kind is Kind.STATEMENT:
            self._since = now  # the answer to BEGIN comes with the first statement's
        if message.kind is Kind.STATEMENT:
            self._executor.observe(statement_finished(message.place, (tag,), took_s))
        elif message.kind is Kind.COMMIT:
            self._streamer.ended(message.step)
            self._begin()

    def _current_statement(self) -> RunningStatement | None:
        """Return what the server is at; called from the thread that watches."""
        sent = list(islice(self._pipeline.waiting, _AHEAD)) if self._pipeline else []
        if not sent:
            return None
        flushed = (number for number, each in enumerate(sent, 1) if each.flush)
        asked = sent[: next(flushed, None)]
        own = (each for each in asked if each.kind is Kind.STATEMENT)
        return RunningStatement(next(own, sent[0]).place, self._since)

    def _notice(self, diag: psycopg.errors.Diagnostic) -> None:
        waiting = self._pipeline.waiting if self._pipeline else ()
        if waiting and waiting[0].kind is Kind.STATEMENT:
            at = waiting[0]
            self._notices.emit(diag, at.place, at.statement.text)

    def _handle_failure(self, message: Message, error: psycopg.Error) -> NotPipelined:
        """Return the step that has to run by itself, or raise what *error* means."""
        executor, step = self._executor, message.step
        executor.lock.check_known()
        if _is_ours(message, error):
            executor.lock.check()
            return NotPipelined(step, None, _finished_before(message))
        since = self._surely_since
        meant = executor.translate(error, message.place, message.statement, since)
        if isinstance(meant, ContentionError):
            return NotPipelined(step, meant, 0)
        raise meant from error


def _is_ours(message: Message, error: psycopg.Error) -> bool:
    """Tell whether only our way of sending it has failed, not what was sent."""
    if message.kind is Kind.ENTER:
        return error.sqlstate in _ENTRY_IS_OURS
    return error.diag.source_function in _OF_THE_PROTOCOL


def _finished_before(message: Message) -> int:
    """Return how many statements of its step were answered before *message*."""
    entering = message.kind is Kind.ENTER
    return len(message.step.statements) if entering else max(message.number - 1, 0)

"""
Executes a Python migration: loads its module and calls its function.

Inside the migration's transaction `conn.transaction()` makes savepoints, and
`conn.commit()` is refused; a function that ends the transaction by other means is found
out by the state in which it leaves the connection.
"""

import linecache
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import TransactionStatus

from migrator.domain.facts import Place, ServerMessage
from migrator.domain.model import Script, Statement
from migrator.errors import (
    ConnectionLostError,
    MigratorError,
    PartiallyAppliedError,
    StatementFailedError,
)
from migrator.events.base import Observer
from migrator.events.migration import ScriptPrinted, StatementFinished
from migrator.events.serialized import capture_stdout
from migrator.pg.connection.connect import Session
from migrator.pg.connection.pooler import is_pooled, without_memory_limit
from migrator.pg.connection.tcp_liveness import allow_slow_reader
from migrator.pg.errors.sqlstates import is_session_gone
from migrator.pg.errors.translate import mask_server_message, translate
from migrator.pg.monitor.current_statement import CurrentStatement
from migrator.process.cancellation import Cancellation, Interruption


Function = Callable[[psycopg.Connection], object]


class ScriptCall(NamedTuple):
    """One call of a script's function, with what it may disturb put right again."""

    script: Script
    place: Place
    conn: psycopg.Connection
    session: Session
    observe: Observer
    cancellation: Cancellation
    current: CurrentStatement

    @contextmanager
    def load(self) -> Iterator[Function]:
        """
        Run the module's text as it was read, and yield its function.

        What it prints, then and later, becomes events; within, its classes and
        functions find their module in `sys.modules`, as dataclasses do, under a name
        that nobody can import.

        Raises:
            StatementFailedError: Running the module failed.
        """
        file, text = self.script.file, self.script.text
        lines = text.splitlines(keepends=True)
        linecache.cache[file] = (len(text), None, lines, file)
        module = ModuleType(Path(file).stem)
        module.__file__ = file
        sys.modules[module.__name__] = module
        try:
            with capture_stdout(self._emit_line):
                with self.cancellation.interruptible(), self._translate_errors():
                    code = compile(text, file, "exec", dont_inherit=True)
                    exec(code, vars(module))  # noqa: S102 - the migration itself
                    function = vars(module)[self.script.function]
                yield function
        finally:
            sys.modules.pop(module.__name__, None)

    def run_inside(self, function: Function) -> None:
        """
        Call *function* in the transaction that is open.

        Raises:
            PartiallyAppliedError: It has ended the transaction.
            MigratorError: What it raised, explained.
        """
        with _emit_finished(self), _forbid_commit(self.conn):
            self._run(function)
            self._check_inside()

    def run_outside(self, function: Function) -> None:
        """
        Call *function* in autocommit.

        Raises:
            MigratorError: What it raised, explained; or it left a transaction open.
        """
        with _emit_finished(self):
            self._run(function)
            self._check_outside()

    def _run(self, function: Function) -> None:
        try:
            with (
                self.cancellation.interruptible(),
                self._translate_errors(),
                _allow_slow_peers(self.conn),
            ):
                function(self.conn)
        finally:
            _reset_connection_object(self.conn)
        self.cancellation.check()  # the function may have swallowed the interruption

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        started = time.monotonic()
        try:
            with self.current.running_at(self.place, started):
                yield
        except psycopg.Error as error:
            place = self._innermost_place(error)
            if self.conn.closed and not self.conn.broken:
                raise _closed_by_script(place) from error
            if is_session_gone(error) and not self.conn.closed:
                # a connection of the script's own
                raise StatementFailedError(
                    place, self._server_message(error)
                ) from error
            late = 0 < self.session.statement_timeout_s <= time.monotonic() - started
            here = Statement("", place.line, place.column)
            raise translate(
                error,
                place,
                here,
                self.conn,
                timed_out=late,
                source=self.script.text,
                blocker=self.current.blocker(place),
            ) from error
        except Interruption:
            raise
        except BaseException as error:  # asyncio's CancelledError is no Exception
            place = self._innermost_place(error)
            raise StatementFailedError(place, self._server_message(error)) from error

    def _server_message(self, error: BaseException) -> ServerMessage:
        return mask_server_message(
            _message_of(error, self.script.file), self.script.text
        )

    def _innermost_place(self, error: BaseException) -> Place:
        """Return the place in the script from which *error* came."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == self.script.file]
        if not own:
            return self.place
        line, column = own[-1].lineno or self.place.line, (own[-1].colno or 0) + 1
        return self.place._replace(line=line, column=column)

    def _check_inside(self) -> None:
        match self.conn.info.transaction_status:
            case TransactionStatus.INTRANS:
                return
            case TransactionStatus.IDLE:
                raise PartiallyAppliedError(
                    self.place, reason=_ENDED, remedy=_ENDED_REMEDY
                )
            case TransactionStatus.INERROR:
                raise StatementFailedError(self.place, _own_message(_ABORTED))
            case TransactionStatus.UNKNOWN:
                raise self._connection_lost_error()
            case _:
                self.conn.close()
                raise StatementFailedError(self.place, _own_message(_UNFINISHED))

    def _check_outside(self) -> None:
        match self.conn.info.transaction_status:
            case TransactionStatus.IDLE:
                self.conn.autocommit = True
                self.conn.isolation_level = None
                self.conn.read_only = self.conn.deferrable = None
            case TransactionStatus.UNKNOWN:
                raise self._connection_lost_error()
            case _:
                raise StatementFailedError(self.place, _own_message(_LEFT_OPEN))

    def _connection_lost_error(self) -> MigratorError:
        if self.conn.broken:
            words = _own_message("the session ended")
            return ConnectionLostError(
                words, doing=f"running {self.place}", place=self.place
            )
        return _closed_by_script(self.place)

    def _emit_line(self, line: str) -> None:
        place = self.place
        self.observe(
            ScriptPrinted(version=place.version, path=place.path, message=line)
        )


@contextmanager
def _emit_finished(call: ScriptCall) -> Iterator[None]:
    """Report the end of the block as if it were a statement."""
    started, place = time.monotonic(), call.place
    yield
    call.observe(
        StatementFinished(
            version=place.version,
            path=place.path,
            line=place.line,
            statement=place.statement,
            command=call.script.call.text,
            duration_s=round(time.monotonic() - started, 3),
        )
    )


@contextmanager
def _allow_slow_peers(conn: psycopg.Connection) -> Iterator[None]:
    """
    Let either end read as late as it likes, as when rows of COPY are worked on.

    The server's own limit comes back with the settings of the next migration.
    """
    if not is_pooled(conn):
        conn.execute("SET tcp_user_timeout = 0")
    with allow_slow_reader(conn), without_memory_limit(conn):
        yield


@contextmanager
def _forbid_commit(conn: psycopg.Connection) -> Iterator[None]:
    """Let nobody end the transaction from Python, as in psycopg's own blocks."""

    def refuse() -> None:
        raise psycopg.ProgrammingError(_NOT_YOURS)

    vars(conn).update(commit=refuse, rollback=refuse)
    try:
        yield
    finally:
        del vars(conn)["commit"], vars(conn)["rollback"]


def _reset_connection_object(conn: psycopg.Connection[Any]) -> None:
    """Undo what a script may have set on the connection object; we read rows next."""
    conn.row_factory = psycopg.rows.tuple_row
    conn.cursor_factory = psycopg.Cursor
    conn.prepare_threshold = None


def _message_of(error: BaseException, file: str) -> ServerMessage:
    """Return *error* in the form of what a server says, with the script's traceback."""
    name = type(error).__name__
    try:
        whole = str(error)
    except Exception:  # noqa: BLE001 - a class of the script's own, which cannot say it
        whole = ""
    lines = [line.strip() for line in whole.splitlines() if line.strip()]
    text = "; ".join(lines)
    shown = traceback.format_exception(
        type(error), error, _traceback_from(error.__traceback__, file), chain=False
    )
    return ServerMessage(
        sqlstate=None,
        message=f"{name}: {text}" if text else name,
        context="".join(shown).rstrip(),
    )


def _traceback_from(trace: TracebackType | None, file: str) -> TracebackType | None:
    """Return the part of *trace* that begins in *file*."""
    while trace is not None and trace.tb_frame.f_code.co_filename != file:
        trace = trace.tb_next
    return trace


def _closed_by_script(place: Place) -> StatementFailedError:
    return StatementFailedError(place, _own_message(_CLOSED))


def _own_message(text: str) -> ServerMessage:
    return ServerMessage(sqlstate=None, message=text)


_NOT_YOURS = (
    "the transaction also holds the version's row, and is committed with it: set"
    " TRANSACTION = False for a function that commits by itself"
)
_ENDED = "the file contains COMMIT or ROLLBACK, which ended the migration's transaction"
_ENDED_REMEDY = (
    "what ran up to here was committed or rolled back by the file, and is not"
    " recorded: repair the database manually, then remove COMMIT and ROLLBACK from"
    " the file or set TRANSACTION = False in it"
)
_ABORTED = (
    "the function went on after a statement had failed and aborted the transaction;"
    " put what may fail into `with conn.transaction():`"
)
_UNFINISHED = "the function left a command unfinished"
_LEFT_OPEN = "the function left a transaction open"
_CLOSED = "the function closed the connection, which is not its own"

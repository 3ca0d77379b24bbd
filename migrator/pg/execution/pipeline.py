"""
Sends many statements without waiting for each answer: libpq's pipeline mode.

All go out one behind the other, with one Sync at the end. After an error the server
skips everything up to the Sync (protocol-flow, "Pipelining"), so nothing runs behind
what has failed, whatever that was, a COMMIT included. Flush messages ask for answers
early, and they are yielded while the rest runs.

Sending and receiving take turns. A client that only sends and a server that only
answers wait for each other for ever once both sockets' buffers are full.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Generic, Protocol, TypeVar

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, abc

from migrator.errors import MigratorError
from migrator.pg.connection.queries import (
    ROWS,
    cancel,
    result_error,
    split_rows,
    wait_ready,
)
from migrator.pg.connection.tcp_liveness import (
    CHECK_INTERVAL_S,
    SlowReader,
    allow_slow_reader,
)
from migrator.process.cancellation import Cancellation


class PipelineQuery(Protocol):
    """One statement to send: what it says, and how its answer is wanted."""

    @property
    def text(self) -> bytes:
        """What it says."""
        ...

    @property
    def flush(self) -> bool:
        """Whether its answer is wanted early."""
        ...

    @property
    def discards_rows(self) -> bool:
        """Whether its rows are read and discarded, so that none are kept."""
        ...

    def send(self, pgconn: abc.PGconn) -> None:
        """Hand it over."""
        ...


Q = TypeVar("Q", bound=PipelineQuery)


class QueryFailedError(Exception, Generic[Q]):
    """The server refused *query*, or died with it; nothing behind it has run."""

    def __init__(self, query: Q, error: psycopg.Error) -> None:
        self.query = query
        self.error = error
        super().__init__(str(error))


_GOOD = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.EMPTY_QUERY)
_BYTES = 64 * 1024
"""What is handed to libpq before it must have reached the network."""

_WINDOW = 1024 * 1024
"""How many bytes may wait for their answers: this much of a large file is held."""

_AGAIN_S = 0.2
"""A request to cancel may be lost between two statements: how soon to ask again."""


class Pipeline(Generic[Q]):
    """
    Sends *queries* on *conn*, which stays usable afterwards, and yields the answers.

    *check_lock* raises once the migration lock is lost; it is called after each answer
    that was wanted early.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        queries: Iterator[Q],
        *,
        cancellation: Cancellation,
        check_lock: Callable[[], None],
    ) -> None:
        self.waiting: deque[Q] = deque()
        """What was sent and not answered; the server is at the first one."""

        self._conn = conn
        self._pgconn = conn.pgconn
        self._queries = queries
        self._cancellation = cancellation
        self._check_lock = check_lock
        self._last: Q | None = None
        self._peer: SlowReader
        self._unanswered = 0
        """How many bytes wait for their answers."""

        self._tag = b""
        """The last rows of a statement may have its command tag."""

        self._sending = True
        self._synced = False
        self._reason: MigratorError | None = None
        self._failure: QueryFailedError[Q] | None = None

    def results(self) -> Generator[tuple[Q, str], None, None]:
        """
        Yield each query with its command tag, in order, until all are answered.

        When the run is stopped, it cancels, sends nothing more, and yields the answers
        that still arrive: a migration committed meanwhile has to be reported.

        Raises:
            QueryFailedError: The first query that failed.
            MigratorError: Why the run stops: a signal, or a lost lock.
        """
        with allow_slow_reader(self._conn) as self._peer:
            self._pgconn.enter_pipeline_mode()
            try:
                yield from self._answers()
            finally:
                self._leave()
        if self._reason is not None:
            raise self._reason
        if self._failure is not None:
            raise self._failure from self._failure.error

    def _answers(self) -> Iterator[tuple[Q, str]]:
        try:
            while not self._synced:
                self._wait(unsent=self._send())
                for query, tag in self._available_results():
                    yield query, tag
                    if query.flush:
                        self._check()
        except psycopg.OperationalError as error:
            self._note_loss(error)

    def _send(self) -> bool:
        """Hand over what the network takes; tell whether something is left to send."""
        while not self._pgconn.flush():
            if not self._sending or self._unanswered >= _WINDOW:
                return False
            self._send_some()
        return True

    def _send_some(self) -> None:
        before = self._unanswered
        for query in self._queries:
            first, self._last = self._last is None, query
            query.send(self._pgconn)
            self.waiting.append(query)
            if first:
                self._split_rows()
            self._unanswered += len(query.text)
            full = self._unanswered >= _WINDOW
            if query.flush or full:  # or nobody would answer, and nobody send
                self._pgconn.send_flush_request()
            if full or self._unanswered - before >= _BYTES:
                return
        self._end()

    def _end(self) -> None:
        if self._sending:
            self._sending = False
            self._pgconn.pipeline_sync()

    def _wait(self, *, unsent: bool) -> None:
        fileno = self._pgconn.socket
        if self._reason is not None:
            ready = wait_ready(fileno, _AGAIN_S, writing=unsent)
            if not any(ready):
                cancel(self._conn)
        else:
            try:
                with self._cancellation.interruptible():
                    ready = wait_ready(fileno, CHECK_INTERVAL_S, writing=unsent)
            except MigratorError as reason:
                self._stop(reason)
                return
            if not any(ready):
                self._peer.check()
        if ready.reading:
            self._peer.note_activity()
            self._pgconn.consume_input()

    def _available_results(self) -> Iterator[tuple[Q, str]]:
        while (result := self._result()) is not None:
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._synced = True
                return
            # or the server says why it ends the session
            if result.status in ROWS or not self.waiting:
                self._tag = result.command_status or b""
                continue
            query = self.waiting.popleft()
            self._unanswered -= len(query.text)
            if result.status in _GOOD:
                yield query, (result.command_status or self._tag).decode()
            elif self._failure is None:
                self._failure = QueryFailedError(
                    query, result_error(self._pgconn, result)
                )
                self._end()

    def _result(self) -> abc.PGresult | None:
        """Return the next result that is here; a NULL ends those of one query."""
        for _ in range(2):
            due = self.waiting or not self._sending
            if not due or self._pgconn.is_busy():
                return None
            result = self._pgconn.get_result()
            if result is not None:
                return result
            self._split_rows()
        return None

    def _split_rows(self) -> None:
        """Say how the answer is wanted that is next; before any of it is looked at."""
        if self.waiting and self.waiting[0].discards_rows and self._failure is None:
            split_rows(self._pgconn)

    def _check(self) -> None:
        if self._reason is None:
            try:
                self._check_lock()
            except MigratorError as reason:
                self._stop(reason)

    def _stop(self, reason: MigratorError) -> None:
        self._reason = reason
        self._end()
        cancel(self._conn)

    def _note_loss(self, error: psycopg.Error) -> None:
        """Note a connection that has died, unless all answers are here."""
        at = self.waiting[0] if self.waiting else self._last
        open_ends = self.waiting or self._sending
        if open_ends and at is not None and self._failure is None:
            self._failure = QueryFailedError(at, error)

    def _leave(self) -> None:
        """Read to the Sync, when whoever listened has gone, and be as before."""
        try:
            if not self._synced and self._pgconn.status == ConnStatus.OK:
                self._drain()
            self._pgconn.exit_pipeline_mode()
        except psycopg.Error:
            self._conn.close()

    def _drain(self) -> None:
        self._end()
        cancel(self._conn)
        while not self._synced:
            unsent = self._send()
            if wait_ready(self._pgconn.socket, 1, writing=unsent).reading:
                self._pgconn.consume_input()
            for _ in self._available_results():
                pass

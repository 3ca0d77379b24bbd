"""The database of a run: opens connections, with retries while the server is down."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import sql

from migrator.domain.backoff import Backoff
from migrator.errors import (
    AccessDeniedError,
    MigratorError,
    PasswordUnavailableError,
    UnavailableError,
    UsageError,
)
from migrator.events.base import Event, Observer, ignore_events
from migrator.events.run import ConnectionOpened
from migrator.pg.connection.connect import (
    ConnectFailedError,
    Session,
    open_connection,
    server_message,
    translate_connect_error,
)
from migrator.pg.connection.dsn import COURTESIES, Dsn
from migrator.pg.connection.memory_limit import AnswerTooLargeError
from migrator.pg.connection.pooler import Link, is_pooled
from migrator.pg.connection.server_product import check_product, query_version
from migrator.pg.connection.session import SENTINEL, Answers, open_session
from migrator.pg.connection.startup_options import (
    REFUSED,
    with_options,
    without_options,
)
from migrator.process.cancellation import Cancellation
from migrator.sql.secrets import mask_passwords


ANSWER_S = 15.0
"""How long a question may take on a connection beside the first one, without waits."""

_FLOOD = "{}; is it PostgreSQL? check host and port"
NOTHING = sql.SQL("")
"""No question."""


class Database(NamedTuple):
    """Where to migrate, how sessions are set, and how long to wait for the server."""

    dsn: Dsn
    session: Session = Session()
    backoff: Backoff = Backoff(total_s=60, most_s=5)
    password: Callable[[], str] | None = None
    """Asked before each connection, where the address's own password is not meant."""

    mask: Callable[[str], str] = mask_passwords
    """Hides secrets in what is kept in a table of ours."""

    limit_s: float = math.inf
    """How long the server may take for an answer to a question of ours."""

    def connect(self, observe: Observer, cancellation: Cancellation) -> Link:
        """Return a connection as `connect_and_query` does, without a query."""
        return self.connect_and_query(NOTHING, observe, cancellation)[0]

    def connect_and_query(
        self,
        question: sql.Composable,
        observe: Observer,
        cancellation: Cancellation,
        *,
        bare: bool = False,
    ) -> tuple[Link, Answers | None]:
        """
        Return a configured connection, in autocommit, and the answers to *question*.

        One round trip more than connecting. The answers are None when the question has
        to be asked again: as `greet` says. *bare* leaves `options` out from the start.

        A server that starts is waited for. Only what time heals is: no address, nobody
        listening, starting up, shutting down, too many connections, a failover, and a
        source of passwords that has none.

        Raises:
            UnavailableError: MIGRATOR_CONNECT_WAIT ran out.
            AccessDeniedError: Credentials, TLS, or no such database: at once. Or there
                was no password when the wait ran out.
            UsageError: The server refuses a parameter of the DSN, or is not PostgreSQL:
                at once. Or there is no source of passwords where one is named.
        """
        started, attempt = time.monotonic(), 1
        delays = self.backoff.delays()
        while True:
            within = self._with_remaining_time(started)
            try:
                with cancellation.interruptible():
                    conn, answers = within.connect_once(
                        question, cancellation, bare=bare
                    )
            except (ConnectFailedError, PasswordUnavailableError) as error:
                waited = time.monotonic() - started
                delay = next(delays, None)
                if delay is None:
                    raise _final_error(error, waited) from error
                observe(_retry_event(error, attempt, waited, delay))
                cancellation.sleep(delay)
                attempt += 1
            else:
                observe(_connection_event(conn, attempt, time.monotonic() - started))
                return conn, answers

    def connect_again(self, cancellation: Cancellation) -> Link:
        """
        Return a further connection of the run, with a shorter wait.

        Raises:
            MigratorError: As `connect`, without waiting as long.
        """
        return self._for_small_queries.connect(ignore_events, cancellation)

    def connect_again_and_query(
        self,
        question: sql.Composable,
        cancellation: Cancellation,
        like: psycopg.Connection,
    ) -> tuple[psycopg.Connection, Answers | None]:
        """
        Return a further connection, made as *like* was, and the answers to *question*.

        Raises:
            MigratorError: As `connect_again`.
        """
        bare = isinstance(like, Link) and like.without_options
        return self._for_small_queries.connect_and_query(
            question, ignore_events, cancellation, bare=bare
        )

    @property
    def _for_small_queries(self) -> "Database":
        """
        Return it for a connection beside the first one, which asks small questions.

        None of them may hold up a run that perhaps has the lock already.
        """
        locks_s = self.session.lock_timeout_s
        return self._replace(
            backoff=Backoff(total_s=min(self.backoff.total_s, 10)),
            limit_s=ANSWER_S + locks_s if locks_s else math.inf,
        )

    def _with_remaining_time(self, started: float) -> "Database":
        """Return it with no more time for connecting than is left of the wait."""
        if not self.backoff.total_s:
            return self
        left = self.backoff.total_s - (time.monotonic() - started)
        return self._replace(dsn=self.dsn.with_connect_timeout(left))

    def connect_once(
        self, question: sql.Composable, cancellation: Cancellation, *, bare: bool
    ) -> tuple[Link, Answers | None]:
        """
        Return what `connect_and_query` does, in one attempt, without waiting.

        Raises:
            ConnectFailedError, PasswordUnavailableError: A later attempt may work.
            MigratorError: As `connect_and_query`.
        """
        with _refusing_floods():
            conn, options = self._connect_without_options() if bare else self._connect()
        cancellation.attach(conn)
        conn.limit_s = self.limit_s
        try:
            check_product(conn)
            with _refusing_floods():
                answers = self._open_session(conn, options, question)
        except BaseException:
            conn.close()
            raise
        return conn, answers

    def _open_session(
        self, conn: Link, options: Mapping[str, str], question: sql.Composable
    ) -> Answers | None:
        try:
            return open_session(conn, {**options, **self.session.settings}, question)
        except AnswerTooLargeError:
            raise
        except psycopg.Error as error:
            # what is not PostgreSQL may refuse the message that asks what it is
            version = query_version(conn)
            if not conn.closed:
                check_product(conn, version)
            raise translate_connect_error(
                server_message(error), self.session, options
            ) from error

    def _connect(self) -> tuple[Link, Mapping[str, str]]:
        """Connect; return also the options that a pooler or proxy did not take."""
        for courtesies in (COURTESIES, {}):
            try:
                return self._connect_with_options(courtesies), {}
            except MigratorError as error:
                refused = error
                if not _is_about_options(error):
                    raise
                if not any(name in str(error) for name in courtesies):
                    break
        try:
            return self._connect_without_options()
        except UsageError as error:
            # the options of a server that has said what is wrong with them
            raise error if REFUSED in str(refused) else refused from None

    def _connect_with_options(self, courtesies: Mapping[str, str]) -> Link:
        settings = {SENTINEL: "on", **self.session.settings}
        dsn = with_options(self._resolve_dsn(), settings, defaults=courtesies)
        return open_connection(dsn, self.session)

    def _connect_without_options(self) -> tuple[Link, Mapping[str, str]]:
        dsn, options = without_options(self._resolve_dsn())
        conn = open_connection(dsn, self.session)
        conn.without_options = True
        return conn, options

    def _resolve_dsn(self) -> Dsn:
        if self.password is None:
            return self.dsn
        return self.dsn.with_password(self.password())


@contextmanager
def _refusing_floods() -> Iterator[None]:
    """Translate an answer over the memory limit into a UsageError."""
    try:
        yield
    except AnswerTooLargeError as error:
        raise UsageError(_FLOOD.format(error)) from error


def _is_about_options(error: MigratorError) -> bool:
    """Tell whether a connection without `options` may be taken after *error*."""
    if REFUSED in str(error):
        return True
    if isinstance(error, ConnectFailedError):
        return not error.is_transient
    return isinstance(error, UsageError)


def _final_error(
    error: ConnectFailedError | PasswordUnavailableError, waited: float
) -> MigratorError:
    """Return the error of a connection that failed until the wait ran out."""
    if isinstance(error, PasswordUnavailableError):
        if not error.silent:
            return AccessDeniedError(error.server, remedy="fix the password source")
        remedy = "check the password source and the network to it"
        return UnavailableError(error.server, waited_s=waited, remedy=remedy)
    return UnavailableError(error.server, waited_s=waited)


def _retry_event(
    error: ConnectFailedError | PasswordUnavailableError,
    attempt: int,
    waited: float,
    delay: float,
) -> Event:
    from migrator.events.database import ConnectionRetried  # noqa: PLC0415 - rare

    return ConnectionRetried(
        attempt=attempt,
        waited_s=round(waited, 3),
        next_attempt_s=round(delay, 3),
        reason=error.server.message,
        sqlstate=error.server.sqlstate,
    )


def _connection_event(
    conn: psycopg.Connection, attempts: int, waited: float
) -> ConnectionOpened:
    return ConnectionOpened(
        host=conn.info.host,
        port=conn.info.port,
        dbname=conn.info.dbname,
        user=conn.info.user,
        server_version=conn.info.parameter_status("server_version") or "",
        backend_pid=conn.info.backend_pid,
        pooler=is_pooled(conn),
        attempts=attempts,
        waited_s=round(waited, 3),
    )

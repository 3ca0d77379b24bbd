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
from migrator.events.database import ConnectionRetried
from migrator.events.run import ConnectionOpened
from migrator.pg.connection.connect import (
    ConnectFailedError,
    Session,
    open_connection,
    server_message,
    translate_connect_error,
)
from migrator.pg.connection.dsn import LIVENESS_SETTINGS, Dsn
from migrator.pg.connection.memory_limit import AnswerTooLargeError
from migrator.pg.connection.pooler import Link, is_pooled
from migrator.pg.connection.server_product import check_product, query_version
from migrator.pg.connection.session import MARKER, Answers, open_session
from migrator.pg.connection.startup_options import (
    REFUSED,
    with_options,
    without_options,
)
from migrator.process.cancellation import Cancellation
from migrator.sql.secrets import mask_passwords


ANSWER_S = 15.0
"""The time limit of a query on a further connection, without its wait for locks."""

_TOO_LARGE = "{}; is it PostgreSQL? check host and port"
_NO_QUERY = sql.SQL("")


@contextmanager
def _limited_answers() -> Iterator[None]:
    """Translate the error of an answer over the memory limit."""
    try:
        yield
    except AnswerTooLargeError as error:
        raise UsageError(_TOO_LARGE.format(error)) from error


class Database(NamedTuple):
    """Where to migrate, how sessions are set, and how long to wait for the server."""

    dsn: Dsn
    session: Session = Session()
    backoff: Backoff = Backoff(total_s=60, max_s=5)
    password: Callable[[], str] | None = None
    """Returns the password of the next connection; None for that of the DSN."""

    mask: Callable[[str], str] = mask_passwords
    """Masks secrets in what is written to the history table."""

    limit_s: float = math.inf
    """The time limit of an own query."""

    def connect(self, observe: Observer, cancellation: Cancellation) -> Link:
        """Return a connection as `connect_and_query` does, without a query."""
        return self.connect_and_query(_NO_QUERY, observe, cancellation)[0]

    def connect_and_query(
        self,
        query: sql.Composable,
        observe: Observer,
        cancellation: Cancellation,
        *,
        without_options: bool = False,
    ) -> tuple[Link, Answers | None]:
        """
        Return a configured connection, in autocommit, and the answers to *query*.

        One round trip more than connecting. The answers are None if the query has to be
        sent again, as `open_session` says. *without_options* sends no `options`, which
        a pooler may refuse.

        Transient errors are retried: an unknown host, connection refused, a server that
        is starting up, shutting down or failing over, too many connections, and a
        password source without a password.

        Raises:
            UnavailableError: MIGRATOR_CONNECT_WAIT ran out.
            AccessDeniedError: Credentials, TLS, or no such database: at once. Or there
                was no password when the wait ran out.
            UsageError: The server refuses a parameter of the DSN, or is not PostgreSQL:
                at once. Or a password source that a setting names does not exist.
        """
        started, attempt = time.monotonic(), 1
        delays = self.backoff.delays()
        while True:
            database = self._with_remaining_time(started)
            try:
                with cancellation.interruptible():
                    conn, answers = database.connect_once(
                        query, cancellation, without_options=without_options
                    )
            except (ConnectFailedError, PasswordUnavailableError) as error:
                waited_s = time.monotonic() - started
                delay_s = next(delays, None)
                if delay_s is None:
                    raise _final_error(error, waited_s) from error
                observe(_retry_event(error, attempt, waited_s, delay_s))
                cancellation.sleep(delay_s)
                attempt += 1
            else:
                observe(_connection_event(conn, attempt, time.monotonic() - started))
                return conn, answers

    def connect_again(self, cancellation: Cancellation) -> Link:
        """
        Return a further connection of the run, with a wait of at most 10 s.

        Raises:
            MigratorError: As `connect`.
        """
        return self._with_short_limits.connect(ignore_events, cancellation)

    def connect_again_and_query(
        self,
        query: sql.Composable,
        cancellation: Cancellation,
        like: psycopg.Connection,
    ) -> tuple[psycopg.Connection, Answers | None]:
        """
        Return a further connection, opened as *like* was, and the answers to *query*.

        Raises:
            MigratorError: As `connect_again`.
        """
        return self._with_short_limits.connect_and_query(
            query,
            ignore_events,
            cancellation,
            without_options=isinstance(like, Link) and like.without_options,
        )

    @property
    def _with_short_limits(self) -> "Database":
        """Return it with limits for small queries, while the run may hold the lock."""
        locks_s = self.session.lock_timeout_s
        return self._replace(
            backoff=Backoff(total_s=min(self.backoff.total_s, 10)),
            limit_s=ANSWER_S + locks_s if locks_s else math.inf,
        )

    def _with_remaining_time(self, started: float) -> "Database":
        """Return it with a connect_timeout of what is left of the wait."""
        if not self.backoff.total_s:
            return self
        left_s = self.backoff.total_s - (time.monotonic() - started)
        return self._replace(dsn=self.dsn.with_connect_timeout(left_s))

    @_limited_answers()
    def connect_once(
        self,
        query: sql.Composable,
        cancellation: Cancellation,
        *,
        without_options: bool,
    ) -> tuple[Link, Answers | None]:
        """
        Return what `connect_and_query` does, in one attempt.

        Raises:
            ConnectFailedError, PasswordUnavailableError: A later attempt may succeed.
            MigratorError: As `connect_and_query`.
        """
        conn, options = (
            self._connect_without_options() if without_options else self._connect()
        )
        cancellation.attach(conn)
        conn.limit_s = self.limit_s
        try:
            check_product(conn)
            answers = self._open_session(conn, options, query)
        except BaseException:
            conn.close()
            raise
        return conn, answers

    def _open_session(
        self, conn: Link, options: Mapping[str, str], query: sql.Composable
    ) -> Answers | None:
        try:
            return open_session(conn, {**options, **self.session.settings}, query)
        except AnswerTooLargeError:
            raise
        except psycopg.Error as error:
            # another product may refuse the message that includes version()
            version = query_version(conn)
            if not conn.closed:
                check_product(conn, version)
            raise translate_connect_error(
                server_message(error), self.session, options
            ) from error

    def _connect(self) -> tuple[Link, Mapping[str, str]]:
        """Connect; return also the options if a pooler or proxy refused them."""
        for defaults in (LIVENESS_SETTINGS, {}):
            try:
                return self._connect_with_options(defaults), {}
            except MigratorError as error:
                options_error = error
                if not _may_be_about_options(error):
                    raise
                if not any(name in str(error) for name in defaults):
                    break
        try:
            return self._connect_without_options()
        except UsageError as error:
            # a server's error about the options says more than this one
            raise error if REFUSED in str(options_error) else options_error from None

    def _connect_with_options(self, defaults: Mapping[str, str]) -> Link:
        settings = {MARKER: "on", **self.session.settings}
        dsn = with_options(self._resolve_dsn(), settings, defaults=defaults)
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


def _may_be_about_options(error: MigratorError) -> bool:
    """Tell whether a connection without `options` may succeed after *error*."""
    if REFUSED in str(error):
        return True
    if isinstance(error, ConnectFailedError):
        return not error.is_transient
    return isinstance(error, UsageError)


def _final_error(
    error: ConnectFailedError | PasswordUnavailableError, waited_s: float
) -> MigratorError:
    """Return the error of a connection that failed until the wait ran out."""
    if isinstance(error, PasswordUnavailableError):
        if not error.silent:
            return AccessDeniedError(error.server, remedy="fix the password source")
        remedy = "check the password source and the network to it"
        return UnavailableError(error.server, waited_s=waited_s, remedy=remedy)
    return UnavailableError(error.server, waited_s=waited_s)


def _retry_event(
    error: ConnectFailedError | PasswordUnavailableError,
    attempt: int,
    waited_s: float,
    delay_s: float,
) -> Event:
    return ConnectionRetried(
        attempt=attempt,
        waited_s=round(waited_s, 3),
        next_attempt_s=round(delay_s, 3),
        reason=error.server.message,
        sqlstate=error.server.sqlstate,
    )


def _connection_event(
    conn: psycopg.Connection, attempts: int, waited_s: float
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
        waited_s=round(waited_s, 3),
    )

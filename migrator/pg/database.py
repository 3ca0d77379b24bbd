"""The database of a run: opens connections to it, waiting where waiting helps."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import psycopg

from migrator.backoff import Backoff
from migrator.cancellation import Cancellation
from migrator.errors import MigratorError, UnavailableError
from migrator.events.base import Event, Observer, nobody
from migrator.events.run import DatabaseConnected
from migrator.pg.connect import (
    ConnectFailedError,
    Session,
    classified,
    open_connection,
    server_message,
)
from migrator.pg.dsn import Dsn
from migrator.pg.pooler import (
    REFUSES_OPTIONS,
    Link,
    introduce,
    pooled,
    without_options,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where to migrate, how sessions are set, and how long to wait for the server."""

    dsn: Dsn
    session: Session = field(default_factory=Session)
    patience: Backoff = field(default_factory=lambda: Backoff(total_s=60, most_s=5))

    def connect(
        self, observe: Observer, cancellation: Cancellation
    ) -> psycopg.Connection:
        """
        Return a settled connection, in autocommit; wait for a server that starts.

        Only what time heals is waited for: no address, nobody listening, starting
        up, shutting down, too many connections, a server in failover.

        Raises:
            UnavailableError: The patience ran out.
            AccessDeniedError: Credentials, TLS, or no such database: at once.
            UsageError: The server refuses a parameter of the DSN: at once.
        """
        started, attempt = time.monotonic(), 1
        delays = self.patience.delays()
        while True:
            try:
                with cancellation.armed():
                    conn = self._settled()
            except ConnectFailedError as error:
                waited = time.monotonic() - started
                delay = next(delays, None)
                if delay is None:
                    raise UnavailableError(error.server, waited_s=waited) from error
                observe(_waited(error, attempt, waited, delay))
                cancellation.sleep(delay)
                attempt += 1
            else:
                observe(_connected(conn, attempt, time.monotonic() - started))
                return conn

    def connect_again(self, cancellation: Cancellation) -> psycopg.Connection:
        """
        Return a further connection while another one of ours stands.

        Raises:
            MigratorError: As `connect`, without waiting as long.
        """
        quick = replace(self, patience=Backoff(total_s=min(self.patience.total_s, 10)))
        return quick.connect(nobody, cancellation)

    def _settled(self) -> psycopg.Connection:
        conn, options = self._opened()
        try:
            settings = self.session.settings(conn.info.server_version)
            introduce(conn, {**options, **settings})
        except psycopg.Error as error:
            conn.close()
            raise classified(server_message(error)) from error
        return conn

    def _opened(self) -> tuple[Link, Mapping[str, str]]:
        """Connect; return also the options that a pooler did not take."""
        try:
            return open_connection(self.dsn), {}
        except MigratorError as error:
            if REFUSES_OPTIONS not in str(error):
                raise
        dsn, options = without_options(self.dsn)
        return open_connection(dsn), options


def _waited(
    error: ConnectFailedError, attempt: int, waited: float, delay: float
) -> Event:
    from migrator.events.database import DatabaseWaited  # noqa: PLC0415 - rare

    return DatabaseWaited(
        attempt=attempt,
        waited_s=round(waited, 3),
        next_attempt_s=round(delay, 3),
        reason=error.server.message,
        sqlstate=error.server.sqlstate,
    )


def _connected(
    conn: psycopg.Connection, attempts: int, waited: float
) -> DatabaseConnected:
    return DatabaseConnected(
        host=conn.info.host,
        port=conn.info.port,
        dbname=conn.info.dbname,
        user=conn.info.user,
        server_version=conn.info.parameter_status("server_version") or "",
        backend_pid=conn.info.backend_pid,
        pooler=pooled(conn),
        attempts=attempts,
        waited_s=round(waited, 3),
    )

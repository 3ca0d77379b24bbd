"""
Connecting with SQLSTATEs in libpq's errors, which it has nowhere else.

libpq keeps no result of a failed connection, so psycopg has no SQLSTATE either (psycopg
issue 1188), and the message is in the server's language. With the verbosity VERBOSE
libpq puts the SQLSTATE before it (fe-protocol3.c: pqBuildErrorMessage3). It is set for
the first attempt, because another one would be another failed login.
"""

import ctypes.util
import re
import sys
import time
from collections.abc import Generator, Mapping
from functools import cache

import psycopg
from psycopg import pq
from psycopg.waiting import Ready, Wait

from migrator.pg.connection.memory_limit import MemoryGrowth, memory_limit


SQLSTATE = re.compile(r"(?:^|failed: )[^:\n]+:  ([0-9A-Z]{5}): (.*)$", re.MULTILINE)
"""Matches SQLSTATE and message in the error of a failed connection."""

_DEFAULT, _VERBOSE = 1, 2
"""PGVerbosity in libpq-fe.h."""

_INVALID_PASSWORD = "28P01"  # noqa: S105 - a SQLSTATE
_WAITS: Mapping[int, Wait] = {
    pq.PollingStatus.READING: Wait.R,
    pq.PollingStatus.WRITING: Wait.W,
}


def connect_verbosely(
    conninfo: str, timeout_s: float
) -> Generator[tuple[int, Wait], Ready | int, pq.abc.PGconn]:
    """
    Connect, as psycopg's `generators.connect` does; 0 is no limit.

    Where libpq's library cannot be found, errors have no SQLSTATE.

    Raises:
        PasswordRefusedError: A server has refused the password.
        AnswerTooLargeError: The server sent more than LIMIT_MB.
        psycopg.OperationalError: It failed, or took longer than *timeout_s*.
    """
    conn, growth = pq.PGconn.connect_start(conninfo.encode()), MemoryGrowth()
    end = time.monotonic() + timeout_s if timeout_s else None
    _set_verbosity(conn, _VERBOSE)
    # the first host's name, which PQsetnonblocking clears (fe-exec.c)
    heading = conn.error_message
    # else libpq blocks without a limit until the server reads (fe-misc.c: pqSendSome)
    conn.nonblocking = 1
    while (wait := _poll(conn, heading)) is not None:
        growth.check()
        while not (yield conn.socket, wait):
            if end is not None and time.monotonic() > end:
                conn.finish()
                raise psycopg.errors.ConnectionTimeout("connection timeout expired")
    _set_verbosity(conn, _DEFAULT)
    return conn


class PasswordRefusedError(Exception):
    """
    A server has refused the password; the argument is the psycopg.OperationalError.

    It is no psycopg.Error, after which psycopg would try the next host. libpq does not
    (libpq-connect.html, "Specifying Multiple Hosts").
    """


@memory_limit()
def _poll(conn: pq.abc.PGconn, heading: bytes) -> Wait | None:
    """
    Continue connecting; return what to wait for, None once it is done.

    *heading* is libpq's name of the first host, to be put before the error.
    """
    # libpq-connect.html, PQconnectPoll: if the status is bad, connecting has failed
    bad = conn.status == pq.ConnStatus.BAD
    status = pq.PollingStatus.FAILED if bad else conn.connect_poll()
    if status == pq.PollingStatus.OK:
        return None
    message = (heading + conn.error_message).decode(errors="replace")
    match = SQLSTATE.search(message)
    refused = match is not None and match[1] == _INVALID_PASSWORD
    # with sslmode=prefer libpq would log in again, without TLS (fe-connect.c:
    # select_next_encryption_method)
    if status in _WAITS and not refused:
        return _WAITS[status]
    conn.finish()
    error = psycopg.OperationalError(f"connection failed: {message}")
    raise PasswordRefusedError(error) if refused else error


def _set_verbosity(conn: pq.abc.PGconn, verbosity: int) -> None:
    library = _libpq()
    pointer = getattr(conn, "pgconn_ptr", None)  # not in pq.abc
    if library is not None and pointer:
        library.PQsetErrorVerbosity(ctypes.c_void_p(pointer), verbosity)


@cache
def _libpq() -> ctypes.CDLL | None:
    """Return the libpq that psycopg itself uses, or None where it cannot be found."""
    try:
        library = ctypes.CDLL(_library_path())
        library.PQsetErrorVerbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
    except (OSError, AttributeError):
        return None
    return library


def _library_path() -> str | None:
    """Return a library that is libpq or depends on it: dlsym(3) searches both."""
    if pq.__impl__ != "python":
        return sys.modules[pq.PGconn.__module__].__file__
    return ctypes.util.find_library("pq")

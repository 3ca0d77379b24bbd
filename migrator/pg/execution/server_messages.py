"""Events for notices of the server and finished statements."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from migrator.domain.facts import Place, ServerMessage
from migrator.events.base import Event, Observer
from migrator.events.database import ServerNoticed
from migrator.events.migration import StatementFinished
from migrator.pg.errors.translate import mask_server_message


_SHOWN = 10
"""How many command tags of one statement text are reported."""

MOST_NOTICES = 1000
"""How many notices of one statement are reported: some raise one for each row."""


def statement_finished(
    place: Place, tags: tuple[str, ...], duration_s: float
) -> StatementFinished:
    """Return the `statement.finished` event of the statement at *place*."""
    return StatementFinished(
        version=place.version,
        path=place.path,
        line=place.line,
        statement=place.statement,
        command="; ".join(tags[:_SHOWN]),
        duration_s=round(duration_s, 3),
    )


def notice_event(
    diag: psycopg.errors.Diagnostic, place: Place, source: str
) -> ServerNoticed:
    """
    Return the event of a NOTICE, WARNING or the like, raised at *place*.

    It is without the passwords that *source* gives away.
    """
    said = mask_server_message(
        ServerMessage(
            sqlstate=diag.sqlstate,
            message=diag.message_primary or "",
            detail=diag.message_detail,
            hint=diag.message_hint,
        ),
        source,
    )
    return ServerNoticed(
        version=place.version,
        path=place.path,
        line=place.line,
        notice=diag.severity_nonlocalized or diag.severity or "",
        sqlstate=said.sqlstate,
        message=said.message,
        detail=said.detail,
        hint=said.hint,
    )


class NoticeReporter:
    """Reports the first MOST_NOTICES of each statement, and that more were dropped."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._place: Place | None = None
        self._number = 0

    def emit(self, diag: psycopg.errors.Diagnostic, place: Place, source: str) -> None:
        """Report *diag*, raised at *place*; *source* is as for `notice_event`."""
        if place != self._place:
            self._place, self._number = place, 0
        self._number += 1
        if self._number <= MOST_NOTICES:
            self._observe(notice_event(diag, place, source))
        elif self._number == MOST_NOTICES + 1:
            self._observe(_more_event(place))


@contextmanager
def report_notices(
    conn: psycopg.Connection, observe: Observer, place: Place, source: str
) -> Iterator[None]:
    """Report the notices of *conn* within the block, at *place* (`NoticeReporter`)."""
    notices = NoticeReporter(observe)

    def report(diag: psycopg.errors.Diagnostic) -> None:
        notices.emit(diag, place, source)

    conn.add_notice_handler(report)
    try:
        yield
    finally:
        conn.remove_notice_handler(report)


def _more_event(place: Place) -> ServerNoticed:
    return ServerNoticed(
        version=place.version,
        path=place.path,
        line=place.line,
        notice="NOTICE",
        sqlstate=None,
        message=f"further notices of this statement, after {MOST_NOTICES}, are dropped",
        detail=None,
        hint=None,
    )


def deduplicate(observe: Observer, reported: int) -> Observer:
    """Return *observe* for a re-run, without the first *reported* statements."""
    finished = 0

    def report(event: Event) -> None:
        nonlocal finished
        again = isinstance(event, ServerNoticed) and finished < reported
        if isinstance(event, StatementFinished):
            finished = event.statement
            again = finished <= reported
        if not again:
            observe(event)

    return report

"""What the server says about a statement, as events."""

import psycopg

from migrator.events.base import Event, Observer
from migrator.events.database import ServerNoticed
from migrator.events.migration import StatementFinished
from migrator.facts import Place, ServerMessage
from migrator.pg.failures import discreet


_SHOWN = 10
"""How many command tags of one statement text are told."""


def statement_finished(
    place: Place, tags: tuple[str, ...], duration_s: float
) -> StatementFinished:
    """Return the event that the statement at *place* is through."""
    return StatementFinished(
        version=place.version,
        path=place.path,
        line=place.line,
        statement=place.statement,
        command="; ".join(tags[:_SHOWN]),
        duration_s=round(duration_s, 3),
    )


def noticed(
    diag: psycopg.errors.Diagnostic, place: Place, source: str
) -> ServerNoticed:
    """
    Return the event of a NOTICE, WARNING or the like, said at *place*.

    It is without the passwords that *source* gives away.
    """
    said = discreet(
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


def hushed(observe: Observer, told: int) -> Observer:
    """Return *observe* for a second run of statements of which *told* were told."""
    finished = 0

    def tell(event: Event) -> None:
        nonlocal finished
        again = isinstance(event, ServerNoticed) and finished < told
        if isinstance(event, StatementFinished):
            finished = event.statement
            again = finished <= told
        if not again:
            observe(event)

    return tell

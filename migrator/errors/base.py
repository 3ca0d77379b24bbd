"""The base class of all errors, and helpers that format their messages."""

from collections.abc import Sequence

from migrator.domain.facts import ServerMessage


class MigratorError(Exception):
    """Base class of every error that migrator raises deliberately."""

    advice: str = ""
    """Further advice, appended to the message."""

    @property
    def text(self) -> str:
        """The message without `advice`."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


_SHOWN = 5
_MAX_LENGTH = 500
"""How many characters of DETAIL, and of CONTEXT, a message shows."""


def server_text(server: ServerMessage) -> str:
    """
    Return message, DETAIL, CONTEXT and SQLSTATE of *server* in one line.

    CONTEXT has the row of a COPY, and the line in a PL/pgSQL function. That of a Python
    exception, which has no SQLSTATE, is a traceback: it stays in its field.
    """
    detail = _in_one_line(server.detail)
    context = _in_one_line(server.context) if server.sqlstate else ""
    text = f"{server.message}: {detail}" if detail else server.message
    text = f"{text}; {context}" if context else text
    return f"{text}{sqlstate_text(server)}"


def _in_one_line(text: str | None) -> str:
    line = "; ".join(line.rstrip(";.") for line in (text or "").splitlines())
    return f"{line[:_MAX_LENGTH]}…" if len(line) > _MAX_LENGTH else line


def sqlstate_text(server: ServerMessage) -> str:
    """Return the SQLSTATE as a message shows it; empty when there is none."""
    return f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""


def list_values(values: Sequence[object]) -> str:
    """Return the first five of *values*, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

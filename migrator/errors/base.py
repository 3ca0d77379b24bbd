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

    CONTEXT has the row of a COPY and the line in a PL/pgSQL function. The context of a
    Python exception, which has no SQLSTATE, is a traceback and is left out.
    """
    detail = _in_one_line(server.detail or "")
    context = _in_one_line(server.context or "") if server.sqlstate else ""
    text = f"{server.message}: {detail}" if detail else server.message
    text = f"{text}; {context}" if context else text
    return f"{text} (SQLSTATE {server.sqlstate})" if server.sqlstate else text


def _in_one_line(text: str) -> str:
    line = "; ".join(line.rstrip(";.") for line in text.splitlines())
    return f"{line[:_MAX_LENGTH]}…" if len(line) > _MAX_LENGTH else line


def list_values(values: Sequence[object]) -> str:
    """Return the first five of *values*, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

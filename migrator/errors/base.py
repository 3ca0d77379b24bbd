"""The root of all errors, and how messages show lists and SQLSTATEs."""

from collections.abc import Sequence

from migrator.domain.facts import ServerMessage


class MigratorError(Exception):
    """The root: every error that the core raises on purpose."""

    advice: str = ""
    """What else there is to say; the message ends with it."""

    @property
    def text(self) -> str:
        """The message without its sequel."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.text}; {self.advice}" if self.advice else self.text


_SHOWN = 5
_MOST = 500
"""How many characters of DETAIL, and of CONTEXT, a message shows."""


def server_text(server: ServerMessage) -> str:
    """
    Return message, DETAIL, CONTEXT and SQLSTATE of *server* in one line.

    CONTEXT has the row of a COPY, and the line in a PL/pgSQL function. That of a Python
    exception, which has no SQLSTATE, is a traceback: it stays in its field.
    """
    detail = _in_one_line(server.detail)
    context = _in_one_line(server.context) if server.sqlstate else ""
    told = f"{server.message}: {detail}" if detail else server.message
    told = f"{told}; {context}" if context else told
    return f"{told}{sqlstate_text(server)}"


def _in_one_line(text: str | None) -> str:
    line = "; ".join(line.rstrip(";.") for line in (text or "").splitlines())
    return f"{line[:_MOST]}…" if len(line) > _MOST else line


def sqlstate_text(server: ServerMessage) -> str:
    """Return the SQLSTATE as a message shows it; empty when there is none."""
    return f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""


def list_values(values: Sequence[object]) -> str:
    """Return the first five of *values*, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

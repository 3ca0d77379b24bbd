"""The root of all errors, and how messages show lists and SQLSTATEs."""

from collections.abc import Sequence

from migrator.facts import ServerMessage


class MigratorError(Exception):
    """The root: every error that the core raises on purpose."""

    sequel: str = ""
    """What else there is to say; the message ends with it."""

    @property
    def text(self) -> str:
        """The message without its sequel."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.text}; {self.sequel}" if self.sequel else self.text


_SHOWN = 5
_DETAIL = 500
"""How many characters of PostgreSQL's DETAIL a message shows; its field has all."""


def words(server: ServerMessage) -> str:
    """Return message, DETAIL and SQLSTATE of *server* in one line, as messages do."""
    lines = (server.detail or "").splitlines()
    detail = "; ".join(line.rstrip(";.") for line in lines)
    if len(detail) > _DETAIL:
        detail = f"{detail[:_DETAIL]}…"
    told = f"{server.message}: {detail}" if detail else server.message
    return f"{told}{sqlstate(server)}"


def sqlstate(server: ServerMessage) -> str:
    """Return the SQLSTATE as a message shows it; empty when there is none."""
    return f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""


def listed(values: Sequence[object]) -> str:
    """Return the first five of *values*, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

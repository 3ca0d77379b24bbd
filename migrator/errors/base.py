"""The root of all errors, and how messages show lists and SQLSTATEs."""

from collections.abc import Sequence

from migrator.facts import ServerMessage


class MigratorError(Exception):
    """The root: every error that the core raises on purpose."""

    sequel: str = ""
    """What else there is to say; the message ends with it."""

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}; {self.sequel}" if self.sequel else message


_SHOWN = 5


def sqlstate(server: ServerMessage) -> str:
    """Return the SQLSTATE as a message shows it; empty when there is none."""
    return f" (SQLSTATE {server.sqlstate})" if server.sqlstate else ""


def listed(values: Sequence[object]) -> str:
    """Return the first five of *values*, and how many more there are."""
    shown = ", ".join(str(value) for value in values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown

"""Why a statement of unknown outcome failed, as `migrator_history` keeps it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from migrator.errors import MigratorError
from migrator.errors.base import words
from migrator.facts import Place, ServerMessage


class Failure(NamedTuple):
    """How a statement of unknown outcome failed; its intent keeps it for later runs."""

    line: int
    column: int
    sqlstate: str | None
    message: str
    detail: str | None

    @classmethod
    def of(
        cls, error: MigratorError, place: Place, mask: Callable[[str], str]
    ) -> "Failure":
        """Return what is kept of *error*, met at *place*: bounded, secrets masked."""
        here = getattr(error, "place", None) or place
        server = getattr(error, "server", None) or ServerMessage(None, words_of(error))
        message = f"{server.message}{_blocker_of(error)}"
        kept = [text and mask(text)[:_KEPT] for text in (message, server.detail)]
        return cls(
            here.line, here.column, server.sqlstate, kept[0] or "", kept[1] or None
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "Failure":
        """Return what `fields` were made of."""
        texts = (fields["sqlstate"], fields["message"], fields["detail"])
        sqlstate, message, detail = map(_decoded, texts)
        return cls(fields["line"], fields["column"], sqlstate, message or "", detail)

    @property
    def server(self) -> ServerMessage:
        """Return what the server, or the function, said then."""
        return ServerMessage(self.sqlstate, self.message, self.detail)

    @property
    def fields(self) -> dict[str, Any]:
        """
        Return it as JSON that a database of any encoding takes.

        A text may hold what jsonb refuses, such as U+0000 or half a surrogate pair.
        """
        return {name: _encoded(value) for name, value in self._asdict().items()}


def _encoded(value: int | str | None) -> int | str | None:
    if not isinstance(value, str):
        return value
    return value.encode("unicode_escape").decode("ascii")


def _decoded(value: str | None) -> str | None:
    if value is None:
        return None
    return value.encode("ascii", "replace").decode("unicode_escape", "replace")


_KEPT = 1000
"""How many characters of a message, and of its DETAIL, are kept."""


def words_of(error: MigratorError) -> str:
    """Return why *error* came, without what it says of the database."""
    server = getattr(error, "server", None)
    if server is None:
        return str(getattr(error, "reason", error))
    return f"{words(server)}{_blocker_of(error)}"


def _blocker_of(error: MigratorError) -> str:
    blocker = getattr(error, "blocker", None)
    return f", blocked by {blocker}" if blocker else ""

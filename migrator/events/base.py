"""The shape of every event, and of whoever listens."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something happened; `name` is a constant, everything variable is a field."""

    name: ClassVar[str]
    level: ClassVar[str] = "info"

    @property
    def severity(self) -> str:
        """Return the log level of this one."""
        return self.level


Observer = Callable[[Event], None]


def nobody(event: Event) -> None:
    """Listen to nothing."""

"""
The shape of every event, and of whoever listens.

A class of events behaves as a frozen dataclass with keywords, and is made by hand: a
dataclass takes 0.6 ms to make and this 0.02, and every pod makes two dozen.
"""

from collections.abc import Callable
from typing import Any, ClassVar, dataclass_transform

from migrator.domain.facts import words_of


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Event:
    """Something happened; `name` is a constant, everything variable is a field."""

    name: ClassVar[str]
    level: ClassVar[str] = "info"
    fields: ClassVar[tuple[str, ...]] = ()
    """The names of what is variable, in order: what is annotated and has no value."""

    words: ClassVar[frozenset[str]] = frozenset()
    """The fields whose text is ours (`migrator.domain.facts.Word`), not foreign."""

    def __init_subclass__(cls) -> None:
        own = (each for each in cls.__annotations__ if each not in vars(cls))
        cls.fields = tuple(own)
        cls.words = words_of(cls)

    def __init__(self, **values: Any) -> None:
        if wrong := values.keys() ^ self.fields:
            names = ", ".join(sorted(wrong))
            raise TypeError(f"{type(self).__name__}: missing or unknown: {names}")
        vars(self).update((each, values[each]) for each in self.fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} does not change")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(vars(self).values()))

    def __repr__(self) -> str:
        text = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({text})"

    @property
    def severity(self) -> str:
        """Return the log level of this one."""
        return self.level


Observer = Callable[[Event], None]


def ignore_events(event: Event) -> None:
    """Listen to nothing."""

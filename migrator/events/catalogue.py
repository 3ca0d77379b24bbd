"""Every event there is."""

from importlib import import_module
from pkgutil import iter_modules

from migrator import events
from migrator.events.base import Event


def catalogue() -> tuple[type[Event], ...]:
    """Return every event there is, by name."""
    for module in iter_modules(events.__path__, f"{events.__name__}."):
        import_module(module.name)
    # dataclass(slots=True) makes each class anew, and the first one may linger
    found = {event.name: event for event in Event.__subclasses__()}
    return tuple(found[name] for name in sorted(found))

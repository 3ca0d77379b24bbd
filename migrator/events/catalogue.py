"""Every event there is."""

from importlib import import_module
from pkgutil import iter_modules

from migrator import events
from migrator.events.base import Event


def catalogue() -> tuple[type[Event], ...]:
    """Return every event there is, by name."""
    found = {
        each.name: each
        for module in iter_modules(events.__path__, f"{events.__name__}.")
        for each in vars(import_module(module.name)).values()
        if isinstance(each, type) and issubclass(each, Event) and each is not Event
    }
    return tuple(found[name] for name in sorted(found))

"""Migrate a PostgreSQL schema once: goose's files and table, made for containers."""

from typing import TYPE_CHECKING

from migrator._version import VERSION


if TYPE_CHECKING:
    from migrator.library import MigrationRunner, Status

__all__ = ["MigrationRunner", "Status", "__version__"]

__version__ = VERSION


def __getattr__(name: str) -> object:
    """Import the library when somebody asks for it: the command does not (PEP 562)."""
    if name in __all__:
        from migrator import library  # noqa: PLC0415 - the command starts without it

        return getattr(library, name)
    raise AttributeError(name)

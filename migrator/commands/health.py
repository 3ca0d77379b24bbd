"""The command that a container's health check runs beside the migrator itself."""

from migrator.commands.request import Request
from migrator.errors import NotThroughError
from migrator.linger import lingers


def healthcheck(request: Request) -> None:
    """
    Exit with 0 while a run that came through lingers in this container, else with 3.

    Raises:
        NotThroughError: None does.
    """
    if not lingers():
        raise NotThroughError

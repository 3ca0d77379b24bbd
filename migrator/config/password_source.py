"""The password of each connection, where it is not the URL's own."""

from collections.abc import Callable, Mapping

from migrator.config.environment import SECRETS_DIR, Environment
from migrator.config.settings import Settings
from migrator.credentials.provider import PasswordChoice
from migrator.pg.connection.dsn import Dsn


def password_source(
    settings: Settings,
    dsn: Dsn,
    environ: Mapping[str, str],
    *,
    learn: Callable[[str], None],
) -> Callable[[], str]:
    """
    Return what gives the password that *settings* name, and tells *learn* before.

    Raises:
        UsageError: A token is asked for, and *dsn* does not say for what.
    """
    given = settings.password
    source = Environment(environ, ["password"], SECRETS_DIR)
    file = None if given is None else source.file("password")
    if given is not None and file is None:
        return given.get_secret_value
    choice = PasswordChoice(file, settings.password_command, settings.password_provider)
    return choice.source(dict(dsn.parameters), environ, learn=learn)

"""The source of passwords that the settings name."""

import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from migrator.credentials import Password


class PasswordChoice(NamedTuple):
    """What the settings say; at most one of them says something."""

    file: Path | None = None
    command: str | None = None
    provider: str = "none"

    def source(
        self,
        parameters: Mapping[str, str],
        environ: Mapping[str, str],
        *,
        learn: Callable[[str], None],
    ) -> Password:
        """
        Return the source, which tells *learn* each password before anybody else.

        *parameters* are libpq's, for a token that is made for one server.

        Raises:
            UsageError: They name no user, or not exactly one host.
        """
        ask = self._named(parameters, environ, learn)

        def learned() -> str:
            password = ask()
            learn(password)
            return password

        return learned

    def _named(
        self,
        parameters: Mapping[str, str],
        environ: Mapping[str, str],
        learn: Callable[[str], None],
    ) -> Password:
        from migrator.credentials.file_or_command import FromCommand, FromFile  # noqa: PLC0415

        if self.file is not None:
            return FromFile(self.file)
        if self.command is not None:
            return FromCommand(self.command, learn)
        from migrator.credentials.cloud_token import cloud_token  # noqa: PLC0415 - rare

        return cloud_token(self.provider, parameters, environ)


def faults(given: bool, command: str | None, provider: str) -> Iterator[str]:  # noqa: FBT001
    """Return what is wrong with the settings; *given* says whether a text is there."""
    said = {"": given, "_COMMAND": command is not None, "_PROVIDER": provider != "none"}
    named = [f"MIGRATOR_PASSWORD{end}" for end, true in said.items() if true]
    if len(named) > 1:
        yield f"set one of {' and '.join(named)}, not both"
    try:
        shlex.split(command or "")
    except ValueError as error:
        yield f"MIGRATOR_PASSWORD_COMMAND: {str(error).lower()}"

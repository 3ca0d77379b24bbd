"""Every variable: its type, its default, its meaning in one line."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from migrator.environment import SECRETS_DIR, Environment, variable
from migrator.errors import UsageError
from migrator.model import Split, When
from migrator.pg.dsn import parse_dsn
from migrator.pg.embedded import SCHEME as EMBEDDED
from migrator.pg.exclusion import Lock


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")


def seconds(text: object) -> object:
    """
    Read a duration: `30s`, `5m`, `1h30m`, `500ms`, or a number of seconds.

    Raises:
        ValueError: It is none of them, or negative.
    """
    written = str(text).strip()
    if _DURATION.fullmatch(written):
        parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|s)", written)
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    try:
        number = float(written)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError("write a duration such as 30s, 5m, 1h30m, or seconds")
    return number


Duration = Annotated[float, BeforeValidator(seconds)]
Command = Literal[
    "up",
    "up-by-one",
    "up-to",
    "down",
    "down-to",
    "redo",
    "reset",
    "baseline",
    "status",
    "version",
    "plan",
    "wait",
    "validate",
    "create",
    "fix",
]
_TARGETED = ("up-to", "down-to", "baseline")
_VERSIONED = ("baseline", "status", "version", "wait")


class Settings(BaseSettings):
    """What the environment and the arguments ask for; the README's table is from it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    command: Command = Field(
        default="up",
        description="what to do: `up`, `down`, `status` and so on, as listed above",
    )
    target: int | None = Field(
        default=None,
        ge=0,
        description="the version N of a command that has one",
    )
    check: bool = Field(
        default=False,
        description="`status` and `plan` exit with 3 when something is pending",
    )
    name: str | None = Field(
        default=None, min_length=1, description="what `create` calls the new file"
    )
    kind: Literal["sql", "py"] = Field(
        default="sql", description="what `create` makes: `sql` or `py`"
    )
    sequential: bool = Field(
        default=False,
        description="`create` gives the next number as version, not a timestamp",
    )
    wait: Duration = Field(
        default=300.0, description="how long `wait` waits for the version"
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="where: a URL or keywords; without it libpq's `PG*` variables say;"
        " `embedded:DIR` starts a private PostgreSQL for development",
    )
    migrations_dir: Path = Field(
        default=Path("migrations"),
        description="where the files are; in the image that is `/migrations`",
    )
    table: str = Field(
        default="goose_db_version",
        min_length=1,
        description="the tracking table, `schema.table` allowed",
    )
    split: Split = Field(
        default=Split.GOOSE,
        description="who says where a statement ends: `goose` (`;` at a line's end,"
        " StatementBegin/End) or `postgres` (PostgreSQL's own lexical rules)",
    )
    no_versioning: bool = Field(
        default=False,
        description="run the files whatever was applied, and leave the table alone",
    )
    allow_missing: bool = Field(
        default=False, description="apply files older than the newest applied version"
    )
    on_db_ahead: When = Field(
        default=When.WARN,
        description="database newer than the files: `warn`, `fail`, `ignore`",
    )
    on_drift: When = Field(
        default=When.WARN,
        description="an applied file has changed: `warn`, `fail`, `ignore`",
    )
    history: bool = Field(
        default=True,
        description="keep a side table of our own, `migrator_history`, with content and"
        " times of what was applied",
    )
    connect_wait: Duration = Field(
        default=60.0, description="how long to wait for the server to take connections"
    )
    lock: Lock = Field(
        default=Lock.AUTO,
        description="how migrators exclude each other: `session` (goose's advisory"
        " lock), `table` (goose's lease), `none`, or `auto`: `table` behind a pooler,"
        " else `session`",
    )
    lock_wait: Duration = Field(
        default=300.0, description="how long to wait for another migrator"
    )
    lock_timeout: Duration = Field(
        default=5.0, description="PostgreSQL's `lock_timeout` for our statements"
    )
    lock_retry: Duration = Field(
        default=300.0,
        description="how long to retry a migration that met lock timeouts, deadlocks,"
        " serialization failures",
    )
    pipeline: bool = Field(
        default=True,
        description="send statements without waiting for each answer; `false` runs"
        " them one by one",
    )
    statement_timeout: Duration = Field(
        default=0.0,
        description="PostgreSQL's `statement_timeout` for our statements; 0 is none",
    )
    deadline: Duration = Field(default=0.0, description="for the whole run; 0 is none")
    env_file: str | None = Field(
        default=None,
        description="a file of `NAME=value` lines for what the environment lacks",
    )
    role: str | None = Field(
        default=None, min_length=1, description="`SET ROLE` on our sessions"
    )
    search_path: str | None = Field(
        default=None, description="`search_path` of our sessions, as `SET` takes it"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        default="auto",
        description="`json`, `console`, or `auto`: console on a terminal",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="`debug`, `info`, `warning`, `error`"
    )
    termination_log: Path = Field(
        default=Path("/dev/termination-log"),
        description="the termination message; written where the file exists",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what `read_settings` has read, and nothing behind its back."""
        return (init_settings,)


def read_settings(
    environ: Mapping[str, str],
    arguments: Mapping[str, str] | None = None,
    *,
    secrets_dir: Path = SECRETS_DIR,
) -> Settings:
    """
    Return the settings; *arguments* override *environ*.

    Raises:
        UsageError: One text for each fault, all faults at once, no secret in any.
    """
    source = Environment(environ, tuple(Settings.model_fields), secrets_dir)
    values: dict[str, Any] = {**source.values(), **(arguments or {})}
    argument = environ.get("GOOSE_COMMAND_ARG", "").strip()
    if values.get("command") == "create" and values.get("target") == argument:
        del values["target"]  # there it is a name
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise UsageError(*source.faults, *map(_told, error.errors())) from None
    faults = [*source.faults, *_incomplete(settings)]
    if faults:
        raise UsageError(*faults)
    return settings


def _incomplete(settings: Settings) -> Iterator[str]:
    name, url = settings.command, settings.database_url
    if name in _TARGETED and settings.target is None:
        yield f"{name} needs a version: `{name} 42`, or MIGRATOR_TARGET"
    if name == "create" and settings.name is None:
        yield "create needs a name: `create add_users`, or MIGRATOR_NAME"
    if name not in (*_TARGETED, "plan", "wait") and settings.target is not None:
        yield f"{name} takes no version: leave {settings.target} out"
    if name not in {"status", "plan"} and settings.check:
        yield f"{name} takes no --check: `status` and `plan` do"
    if url is not None and not url.get_secret_value().startswith(EMBEDDED):
        try:
            parse_dsn(url.get_secret_value())
        except UsageError as error:
            yield from error.faults
    if name in _VERSIONED and settings.no_versioning:
        yield f"{name} asks the tracking table: leave MIGRATOR_NO_VERSIONING out"


def _told(error: ErrorDetails) -> str:
    name = variable(str(error["loc"][0]))
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"

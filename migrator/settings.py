"""Every variable: its type, its default, its meaning in one line."""

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from migrator.errors import UsageError
from migrator.model import Split, WhenAhead
from migrator.runner import Lock


PREFIX = "MIGRATOR_"
SECRETS_DIR = Path("/run/secrets")
# Kubernetes sets these for every Service of the namespace whose name begins with
# "migrator" (kubernetes.io "Service": environment variables), unless the pod says
# enableServiceLinks: false.
_SERVICE_LINK = re.compile(
    r"MIGRATOR_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)
FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "database_url": ("GOOSE_DBSTRING", "DATABASE_URL"),
    "migrations_dir": ("GOOSE_MIGRATION_DIR",),
    "table": ("GOOSE_TABLE",),
    "command": ("GOOSE_COMMAND",),
    "target": ("GOOSE_COMMAND_ARG",),
}
_DRIVERS = ("postgres", "pgx")
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
    "status",
    "version",
    "validate",
]


class Settings(BaseSettings):
    """What the environment and the arguments ask for; the README's table is from it."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    command: Command = Field(
        default="up",
        description="what to do: `up`, `down`, `status` and so on, as listed above",
    )
    target: int | None = Field(
        default=None, ge=0, description="the version that `up-to` and `down-to` go to"
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
    allow_missing: bool = Field(
        default=False, description="apply files older than the newest applied version"
    )
    on_db_ahead: WhenAhead = Field(
        default=WhenAhead.WARN,
        description="database newer than the files: `warn`, `fail`, `ignore`",
    )
    connect_wait: Duration = Field(
        default=60.0, description="how long to wait for the server to take connections"
    )
    lock: Lock = Field(
        default=Lock.SESSION,
        description="how migrators exclude each other: `session`"
        " (goose's advisory lock), `none`",
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
    statement_timeout: Duration = Field(
        default=0.0,
        description="PostgreSQL's `statement_timeout` for our statements; 0 is none",
    )
    deadline: Duration = Field(default=0.0, description="for the whole run; 0 is none")
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


class Environment(PydanticBaseSettingsSource):
    """`MIGRATOR_X`, its file, the secrets directory, then other tools' names for it."""

    def __init__(self, environ: Mapping[str, str], secrets_dir: Path) -> None:
        super().__init__(Settings)
        self.environ = {n: v.strip() for n, v in environ.items() if v.strip()}
        self.secrets_dir = secrets_dir
        self.faults: list[str] = []

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[str | None, str, bool]:
        """Return the first value that a source has for *field_name*."""
        name = variable(field_name)
        if name in self.environ and f"{name}_FILE" in self.environ:
            self.faults.append(f"set {name} or {name}_FILE, not both")
        readers: tuple[Callable[[], str | None], ...] = (
            lambda: self.environ.get(name),
            lambda: self._file(name),
            lambda: self._secret(name),
            lambda: self._fallback(field_name),
        )
        return next((v for read in readers if (v := read())), None), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values that are set, by field."""
        found = {
            field_name: self.get_field_value(field, field_name)[0]
            for field_name, field in Settings.model_fields.items()
        }
        return {name: value for name, value in found.items() if value is not None}

    def _file(self, name: str) -> str | None:
        path = self.environ.get(f"{name}_FILE")
        return None if path is None else self._text(Path(path), f"{name}_FILE")

    def _secret(self, name: str) -> str | None:
        places = (self.secrets_dir / name.lower(), self.secrets_dir / name)
        path = next((place for place in places if place.is_file()), None)
        return None if path is None else self._text(path, name)

    def _text(self, path: Path, name: str) -> str | None:
        try:
            return path.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            self.faults.append(f"{name}: cannot read {path}: {reason}")
            return None

    def _fallback(self, field_name: str) -> str | None:
        names = FALLBACKS.get(field_name, ())
        return next((self.environ[n] for n in names if n in self.environ), None)


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
    source = Environment(environ, secrets_dir)
    values = {**source(), **(arguments or {})}
    faults = [*source.faults, *_unknown(source.environ), *_driver(source.environ)]
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise UsageError(*faults, *map(_told, error.errors())) from None
    if settings.command.endswith("-to") and settings.target is None:
        name = settings.command
        faults.append(f"{name} needs a version: `{name} 42`, or MIGRATOR_TARGET")
    if faults:
        raise UsageError(*faults)
    return settings


def service_links(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield variables that look like ours and are Kubernetes' service links."""
    for name in sorted(environ):
        if _SERVICE_LINK.fullmatch(name) and name not in _known():
            yield name


def variable(field_name: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field_name.upper()


def _known() -> frozenset[str]:
    names = [variable(field_name) for field_name in Settings.model_fields]
    return frozenset((*names, *(f"{name}_FILE" for name in names)))


def _unknown(environ: Mapping[str, str]) -> Iterator[str]:
    known = _known()
    for name in sorted(environ):
        if (
            not name.startswith(PREFIX)
            or name in known
            or _SERVICE_LINK.fullmatch(name)
        ):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield f"{name} is not a setting{hint}"


def _driver(environ: Mapping[str, str]) -> Iterator[str]:
    driver = environ.get("GOOSE_DRIVER")
    if driver is not None and driver not in _DRIVERS:
        yield f"GOOSE_DRIVER={driver}: only PostgreSQL is migrated; unset it"


def _told(error: ErrorDetails) -> str:
    name = variable(str(error["loc"][0]))
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"

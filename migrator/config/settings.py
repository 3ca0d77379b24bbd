"""Every variable: its type, its default, its meaning in one line."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from migrator.config.arguments import Command
from migrator.config.environment import (
    SECRETS_DIR,
    Environment,
    valid_values,
    value_faults,
)
from migrator.config.types import (
    Addresses,
    Duration,
    Paths,
    SecretText,
    TableName,
    parse_value,
)
from migrator.domain.model import (
    HistoryMode,
    Lock,
    OnInvalidIndex,
    OnProblem,
    SessionState,
    Split,
)
from migrator.errors import UsageError
from migrator.pg.connection.dsn import parse_dsn
from migrator.pg.connection.embedded import SCHEME as EMBEDDED


_TARGETED = ("up-to", "down-to", "baseline")
_VERSIONED = ("baseline", "status", "version", "wait")


def _setting(meaning: str, **limits: int) -> Mapping[str, Any]:
    """Return a setting's metadata: its meaning, and its limits in pydantic's words."""
    return {"meaning": meaning, "limits": limits}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment and the arguments ask for; the README's table is from it."""

    command: Command = field(
        default="up",
        metadata=_setting("command: `up`, `down`, `status` and so on"),
    )
    target: int | None = field(
        default=None,
        metadata=_setting("version N, for the commands that have one", ge=0),
    )
    check: bool = field(
        default=False,
        metadata=_setting("`status` and `plan` exit with 3 if a migration is pending"),
    )
    name: str | None = field(
        default=None,
        metadata=_setting("name of the file that `create` makes", min_length=1),
    )
    kind: Literal["sql", "py"] = field(
        default="sql",
        metadata=_setting("type of the file that `create` makes: `sql` or `py`"),
    )
    sequential: bool = field(
        default=False,
        metadata=_setting("`create` uses the next number as version, not the time"),
    )
    wait: Duration = field(default=300.0, metadata=_setting("how long `wait` waits"))
    database_url: SecretText = field(
        default=None,
        metadata=_setting(
            "the database, as a URL or keywords (default: libpq's `PG*` variables);"
            " `embedded:DIR` starts a private PostgreSQL for development"
        ),
    )
    password: SecretText = field(
        default=None,
        metadata=_setting(
            "password, instead of the URL's; `MIGRATOR_PASSWORD_FILE` is read again for"
            " each connection"
        ),
    )
    password_command: str | None = field(
        default=None,
        metadata=_setting(
            "program and arguments, run without a shell for each connection; the first"
            " line of its output is the password",
            min_length=1,
        ),
    )
    password_provider: Literal["none", "rds-iam", "cloudsql-iam", "entra"] = field(
        default="none",
        metadata=_setting(
            "use a token as the password, a new one for each connection: `rds-iam`"
            " (AWS), `cloudsql-iam` (Google Cloud), `entra` (Azure)"
        ),
    )
    migrations_dir: Paths = field(
        default=(Path("migrations"),),
        metadata=_setting(
            "directory or `.tar.gz` of the migrations, several separated by `:`; in the"
            " image `migrations` is `/migrations`"
        ),
    )
    base: Paths = field(
        default=(),
        metadata=_setting(
            "directory or `.tar.gz` of the base branch, which `validate` compares with"
        ),
    )
    table: TableName = field(
        default="goose_db_version",
        metadata=_setting("tracking table, with or without a schema"),
    )
    split: Split = field(
        default=Split.GOOSE,
        metadata=_setting(
            "where a statement ends: `goose` (`;` at the end of a line, or"
            " StatementBegin/End) or `postgres` (PostgreSQL's lexical rules)"
        ),
    )
    no_versioning: bool = field(
        default=False,
        metadata=_setting(
            "run the files without reading or writing the tracking table"
        ),
    )
    allow_missing: bool = field(
        default=False,
        metadata=_setting("apply files older than the newest applied version"),
    )
    on_db_ahead: OnProblem = field(
        default=OnProblem.WARN,
        metadata=_setting(
            "if the database is newer than the files: `warn`, `fail`, `ignore`"
        ),
    )
    on_drift: OnProblem = field(
        default=OnProblem.WARN,
        metadata=_setting("if an applied file has changed: `warn`, `fail`, `ignore`"),
    )
    on_invalid_index: OnInvalidIndex = field(
        default=OnInvalidIndex.DROP,
        metadata=_setting(
            "if an interrupted concurrent build left the index of a migration INVALID:"
            " `drop` it and build it again, `fail`"
        ),
    )
    history: HistoryMode = field(
        default=HistoryMode.AUTO,
        metadata=_setting(
            "keep the table `migrator_history`, with checksums and times of applied"
            " migrations: `true`, `false`, or `auto`: unless a publication of all"
            " tables would send it to subscribers that do not have it"
        ),
    )
    connect_wait: Duration = field(
        default=60.0,
        metadata=_setting(
            "how long to wait for the server to accept connections, at the start and"
            " after a lost one: all waits of a run together"
        ),
    )
    lock: Lock = field(
        default=Lock.AUTO,
        metadata=_setting(
            "lock against other migrators: `session` (goose's advisory lock),"
            " `table` (goose's lease), `none`, or `auto`: `table` behind a pooler, else"
            " `session`"
        ),
    )
    lock_wait: Duration = field(
        default=300.0, metadata=_setting("how long to wait for that lock")
    )
    lock_timeout: Duration = field(
        default=5.0, metadata=_setting("PostgreSQL's `lock_timeout` for migrations")
    )
    lock_retry: Duration = field(
        default=300.0,
        metadata=_setting(
            "how long to retry a migration after lock timeouts, deadlocks and"
            " serialization failures"
        ),
    )
    pipeline: bool = field(
        default=True,
        metadata=_setting(
            "send statements without waiting for each answer; `false` runs them one by"
            " one"
        ),
    )
    statement_timeout: Duration = field(
        default=0.0,
        metadata=_setting(
            "PostgreSQL's `statement_timeout` for migrations; 0 disables it"
        ),
    )
    deadline: Duration = field(
        default=0.0, metadata=_setting("limit for the whole run; 0 disables it")
    )
    linger: bool = field(
        default=False,
        metadata=_setting(
            "keep running until SIGTERM after `up`, `up-by-one`, `up-to` or `wait`"
            " succeeded: for `docker compose up --wait`"
        ),
    )
    env_file: str | None = field(
        default=None,
        metadata=_setting("file of `NAME=value` lines, for variables that are not set"),
    )
    role: str | None = field(
        default=None,
        metadata=_setting(
            "role that the sessions assume with `SET ROLE`", min_length=1
        ),
    )
    search_path: str | None = field(
        default=None,
        metadata=_setting("`search_path` of the sessions, in the syntax of `SET`"),
    )
    session: SessionState = field(
        default=SessionState.RESET,
        metadata=_setting(
            "settings and role between the files of a run: `reset` restores them for"
            " each file, `keep` leaves them to the next file, as goose does"
        ),
    )
    log_format: Literal["auto", "json", "console", "plain"] = field(
        default="auto",
        metadata=_setting(
            "`json`; `console`: sentences for a person; `plain`: only the answer of"
            " `status`, `version` or `plan` on stdout, the rest on stderr; `auto`:"
            " `console` on a terminal, else `json`"
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=_setting(
            "lowest level that is logged: `debug`, `info`, `warning`, `error`"
        ),
    )
    termination_log: Path = field(
        default=Path("/dev/termination-log"),
        metadata=_setting("file for the termination message; written if it exists"),
    )
    shutdown_urls: Addresses = field(
        default=(),
        metadata=_setting(
            "URLs that get a POST at the end of the run, separated by commas, such as a"
            " proxy's `http://127.0.0.1:15020/quitquitquit`"
        ),
    )

    @property
    def own_password(self) -> bool:
        """Whether the password is not the URL's."""
        given = self.password, self.password_command, self.password_provider
        return given != (None, None, "none")


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
    source = Environment(environ, [each.name for each in fields(Settings)], secrets_dir)
    values: dict[str, str] = {**source.values(), **(arguments or {})}
    argument = environ.get("GOOSE_COMMAND_ARG", "").strip()
    if values.get("command") == "create" and values.get("target") == argument:
        del values["target"]  # there it is a name
    faults: list[str] = [*source.faults, *value_faults(values)]
    try:
        faults += _incomplete(settings := _read(valid_values(values)))
    except UsageError as error:
        faults += error.faults
    if faults:
        raise UsageError(*faults)
    return settings


def _read(values: Mapping[str, str]) -> Settings:
    declared = {each.name: each for each in fields(Settings)}
    found: dict[str, Any]
    try:
        found = {
            name: parse_value(declared[name].type, values[name]) for name in values
        }
    except ValueError:
        from migrator.config.validation import validate  # noqa: PLC0415 - 100 ms

        found = validate(fields(Settings), values)
    return Settings(**found)


def _incomplete(settings: Settings) -> Iterator[str]:
    name, url = settings.command, settings.database_url
    if name == "healthcheck":
        return  # it runs in the environment of another command
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
    if settings.own_password:
        from migrator.credentials.provider import faults  # noqa: PLC0415 - rare

        given = settings.password is not None
        yield from faults(given, settings.password_command, settings.password_provider)
    if name in _VERSIONED and settings.no_versioning:
        yield f"{name} asks the tracking table: leave MIGRATOR_NO_VERSIONING out"

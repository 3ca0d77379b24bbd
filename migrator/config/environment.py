"""
Where values of settings come from: variables, files, secrets, other tools' names.

It knows the names of the settings' fields, not their types.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from migrator.config.arguments import POSTGRES, did_you_mean, parse_arguments
from migrator.errors import UsageError


PREFIX = "MIGRATOR_"
SECRETS_DIR = Path("/run/secrets")
FALLBACKS: Mapping[str, tuple[str, ...]] = {
    "database_url": ("GOOSE_DBSTRING", "DATABASE_URL"),
    "migrations_dir": ("GOOSE_MIGRATION_DIR",),
    "table": ("GOOSE_TABLE",),
    "lock": ("GOOSE_LOCK",),
    "command": ("GOOSE_COMMAND",),
    "target": ("GOOSE_COMMAND_ARG",),
    "name": ("GOOSE_COMMAND_ARG",),
    "log_level": ("GOOSE_VERBOSE",),
}
# kukymbr/goose-docker, entrypoint.sh: these words stand before GOOSE_COMMAND's, and
# of the other variable only whether it is empty counts
_EXTRA_ARGS = "GOOSE_EXTRA_ARGS"
_SWITCHES = {"GOOSE_VERBOSE": "debug"}
# Kubernetes sets these for every Service of the namespace whose name begins with
# "migrator" (kubernetes.io "Service": environment variables), unless the pod says
# enableServiceLinks: false.
_SERVICE_LINK = re.compile(
    r"MIGRATOR_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)

_OTHERS = ("PG", "AWS_", "AZURE_", "GOOGLE_")

_NO_TEXT = "it holds a NUL character, or bytes that are not UTF-8"


def is_text(value: str) -> bool:
    """Return whether *value* can be written: os.environ has surrogates for bytes."""
    return "\0" not in value and not any("\ud800" <= each <= "\udfff" for each in value)


def variable_name(field: str) -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.upper()


class Environment:
    """`MIGRATOR_X`, its file, the secrets directory, then other tools' names for it."""

    def __init__(
        self, environ: Mapping[str, str], fields: Collection[str], secrets_dir: Path
    ) -> None:
        self._environ = {n: v.strip() for n, v in environ.items() if v.strip()}
        self._fields = fields
        self._secrets_dir = secrets_dir
        self._has_secrets = secrets_dir.is_dir()
        self.faults: list[str] = []
        self._extra = self._extra_args()

    def values(self) -> dict[str, str]:
        """
        Return what is set, by field; empty values are unset, as with goose.

        What is wrong with the environment itself is in `faults` afterwards.
        """
        found = {field: self._value(field) for field in self._fields}
        self.faults.extend((*self._unknown(), *self._driver(), *self._others()))
        return {field: value for field, value in found.items() if value is not None}

    def file(self, field: str) -> Path | None:
        """Return the file that holds the value of *field*, where one does."""
        name = variable_name(field)
        if name in self._environ:
            return None
        given = self._environ.get(f"{name}_FILE")
        return Path(given) if given else self._secret_path(name)

    def _value(self, field: str) -> str | None:
        name = variable_name(field)
        if name in self._environ and f"{name}_FILE" in self._environ:
            self.faults.append(f"set {name} or {name}_FILE, not both")
        readers: tuple[Callable[[], str | None], ...] = (
            lambda: self._environ.get(name),
            lambda: self._file(name),
            lambda: self._secret(name),
            lambda: self._fallback(field),
        )
        return next((value for read in readers if (value := read())), None)

    def _file(self, name: str) -> str | None:
        path = self._environ.get(f"{name}_FILE")
        return None if path is None else self._text(Path(path), f"{name}_FILE")

    def _secret(self, name: str) -> str | None:
        path = self._secret_path(name)
        return None if path is None else self._text(path, name)

    def _secret_path(self, name: str) -> Path | None:
        if not self._has_secrets:
            return None
        places = (self._secrets_dir / name.lower(), self._secrets_dir / name)
        try:
            return next((place for place in places if place.is_file()), None)
        except OSError as error:
            self._has_secrets = False  # said once is enough
            reason = error.strerror or type(error).__name__
            self.faults.append(f"cannot search {self._secrets_dir}: {reason}")
            return None

    def _text(self, path: Path, name: str) -> str | None:
        try:
            return path.read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            self.faults.append(f"{name}: cannot read {path}: {reason}")
            return None

    def _fallback(self, field: str) -> str | None:
        if field in self._extra:
            return self._extra[field]
        names = [name for name in FALLBACKS.get(field, ()) if name in self._environ]
        return next((_SWITCHES.get(n, self._environ[n]) for n in names), None)

    def _extra_args(self) -> Mapping[str, str]:
        try:
            return _extra_args(self._environ)
        except UsageError as error:
            self.faults.extend(error.faults)
            return {}

    def _unknown(self) -> Iterator[str]:
        names = [variable_name(field) for field in self._fields]
        known = {*names, *(f"{name}_FILE" for name in names)}
        for name in sorted(set(self._environ) - known):
            if not name.startswith(PREFIX) or _SERVICE_LINK.fullmatch(name):
                continue
            yield f"{name} is not a setting{did_you_mean(name, known)}"

    def _others(self) -> Iterator[str]:
        """Yield a fault for each variable that libpq or a cloud would not take."""
        for name, value in sorted(self._environ.items()):
            if name.startswith(_OTHERS) and not is_text(value):
                yield f"{name}: {_NO_TEXT}"

    def _driver(self) -> Iterator[str]:
        driver = self._environ.get("GOOSE_DRIVER")
        if driver is not None and driver not in POSTGRES:
            yield f"GOOSE_DRIVER={driver}: only PostgreSQL is migrated; unset it"


def with_env_file(
    environ: Mapping[str, str], given: Mapping[str, str]
) -> Mapping[str, str]:
    """
    Return *environ* and what it lacks from the file that it or an argument names.

    Raises:
        UsageError: The file cannot be read, or GOOSE_EXTRA_ARGS cannot.
    """
    named = environ.get(variable_name("env_file"), "").strip()
    path = given.get("env_file") or named or _extra_args(environ).get("env_file")
    if path is None or path == "none":
        return environ
    from migrator.config.dotenv import read_env_file  # noqa: PLC0415 - rare

    return {**read_env_file(Path(path)), **environ}


def _extra_args(environ: Mapping[str, str]) -> Mapping[str, str]:
    words = environ.get(_EXTRA_ARGS, "")
    if not words:
        return {}
    import shlex  # noqa: PLC0415 - rare

    try:
        return parse_arguments(shlex.split(words))
    except UsageError as error:
        raise UsageError(*(f"{_EXTRA_ARGS}: {f}" for f in error.faults)) from error
    except ValueError as error:
        raise UsageError(f"{_EXTRA_ARGS}: {str(error).lower()}") from error


def value_faults(values: Mapping[str, str]) -> Iterator[str]:
    """Yield a fault for each field's value that no server and no file system takes."""
    for name, text in values.items():
        if not is_text(text):
            yield f"{variable_name(name)}: {_NO_TEXT}"


def valid_values(values: Mapping[str, str]) -> Mapping[str, str]:
    """Return those of *values* that `value_faults` has nothing against."""
    return {name: text for name, text in values.items() if is_text(text)}


def service_links(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return variables that look like ours and are Kubernetes' service links."""
    return tuple(name for name in sorted(environ) if _SERVICE_LINK.fullmatch(name))

"""
pydantic-settings judges what is not certain: all values at once, with all their faults.

It takes longer to import than all else together, and is imported when it is needed.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from migrator.config.environment import variable_name
from migrator.config.types import Secret
from migrator.errors import UsageError


if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Settings = TypeVar("_Settings", bound="DataclassInstance")


def validate(kind: type[_Settings], texts: Mapping[str, str]) -> _Settings:
    """
    Return the settings of a dataclass that *texts*, by field, ask for.

    Raises:
        UsageError: One text for each fault, all faults at once, no secret in any.
    """
    try:
        found = _model(kind, texts)()
    except ValidationError as error:
        raise UsageError(*map(_error_text, error.errors())) from None
    return kind(
        **{each.name: _plain(getattr(found, each.name)) for each in fields(kind)}
    )


class _Texts(PydanticBaseSettingsSource):
    """What `Environment` and the arguments say, and nothing behind their back."""

    def __init__(self, model: type[BaseSettings], texts: Mapping[str, str]) -> None:
        super().__init__(model)
        self._texts = texts

    def get_field_value(
        self, field: FieldInfo, field_name: str
    ) -> tuple[Any, str, bool]:
        """Return the field's text as it is."""
        return self._texts.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return all texts, also those of fields that there are not."""
        return dict(self._texts)


def _model(kind: type[_Settings], texts: Mapping[str, str]) -> type[BaseSettings]:
    class Base(BaseSettings):
        model_config = SettingsConfigDict(extra="forbid", validate_default=False)

        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (_Texts(settings_cls, texts),)

    declared: dict[str, Any] = {
        each.name: (
            _annotation(each.type),
            Field(default=each.default, **each.metadata["limits"]),
        )
        for each in fields(kind)
    }
    return create_model(kind.__name__, __base__=Base, **declared)


def _annotation(kind: Any) -> Any:
    if kind == Secret | None:
        return Annotated[SecretStr | None, BeforeValidator(_in_utf8)]
    if kind in (str, str | None):
        return Annotated[kind, BeforeValidator(_in_utf8)]
    if get_origin(kind) is Annotated:
        base, read = get_args(kind)
        return Annotated[base, BeforeValidator(read)]
    return kind


def _in_utf8(text: object) -> object:
    try:
        str(text).encode()
    except UnicodeEncodeError:
        raise ValueError("it is not UTF-8") from None  # its own words repeat the text
    return text


def _plain(value: object) -> object:
    return Secret(value.get_secret_value()) if isinstance(value, SecretStr) else value


def _error_text(error: ErrorDetails) -> str:
    name = variable_name(str(error["loc"][0]))
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"

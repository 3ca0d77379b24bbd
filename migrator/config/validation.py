"""
pydantic-settings judges what is not certain: all values at once, with all their faults.

It takes 100 ms of CPU time to import, and is imported when it is needed.
"""

from collections.abc import Mapping
from dataclasses import Field as Declared
from typing import Annotated, Any, get_args, get_origin

from pydantic import BeforeValidator, Field, ValidationError, create_model
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from migrator.config.environment import variable_name
from migrator.errors import UsageError


def validate(
    declared: tuple[Declared[Any], ...], texts: Mapping[str, str]
) -> dict[str, Any]:
    """
    Return the values of a dataclass's fields that *texts*, by field, ask for.

    Raises:
        UsageError: One text for each fault, all faults at once, no secret in any.
    """
    known: dict[str, Any] = {
        each.name: (
            _annotation(each.type),
            Field(default=each.default, **each.metadata["limits"]),
        )
        for each in declared
    }
    try:
        found = create_model("Settings", __base__=_Texts, **known)(**texts)
    except ValidationError as error:
        raise UsageError(*map(_error_text, error.errors())) from None
    return {name: getattr(found, name) for name in texts}


class _Texts(BaseSettings):
    """What `Environment` and the arguments say, and nothing behind their back."""

    model_config = SettingsConfigDict(extra="forbid", validate_default=False)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: Any,
        **__: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def _annotation(kind: Any) -> Any:
    if get_origin(kind) is Annotated:
        base, read = get_args(kind)
        return Annotated[base, BeforeValidator(read)]
    return kind


def _error_text(error: ErrorDetails) -> str:
    name = variable_name(str(error["loc"][0]))
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"

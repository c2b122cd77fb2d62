"""A gateway's configuration from a TOML file and the environment."""

import os
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from trunkline import registry
from trunkline.errors import InvalidConfig
from trunkline.gateway.config import GatewayConfig

PREFIX: Final = "TRUNKLINE_"
"""Of the variables that say what else a file would."""


def read_settings(
    path: str | os.PathLike[str] | None, config_class: type[GatewayConfig], *, carrier: str
) -> dict[str, Any]:
    """The keywords of a carrier's gateway, as a file and the environment give them; the environment goes first.

    Args:
        path: The file, or None.
        config_class: The configuration whose fields may be set by variables.
        carrier: The name that the file's `carrier` must have, if it is there.

    Raises:
        InvalidConfig: The file cannot be read, or is for another carrier.
    """
    settings = {} if path is None else _read(path)
    meant = settings.pop("carrier", carrier)
    if meant != carrier:
        raise InvalidConfig("carrier", f"must be {str(carrier)!r} here, got {meant!r}")
    return settings | _from_environment(config_class)


def carrier_class(path: str | os.PathLike[str]) -> Any:
    """The gateway class of the carrier that a file names: `carrier = "twilio"`.

    Raises:
        InvalidConfig: The file cannot be read, or names none.
        UnknownProvider: The carrier is not known; the error lists those that are.
    """
    carrier = _read(path).get("carrier")
    if not isinstance(carrier, str):
        raise InvalidConfig("carrier", f"must be one of {', '.join(registry.names('gateways'))}, got {carrier!r}")
    return registry.get("gateways", carrier)


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig("config", f"{os.fspath(path)} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidConfig("config", f"{os.fspath(path)} is not TOML: {error}") from error


def _from_environment(config_class: type[GatewayConfig]) -> dict[str, Any]:
    given = {}
    for name, field in config_class.model_fields.items():
        text = os.environ.get(PREFIX + name.upper())
        if text:
            given[name] = _parsed(text, field.annotation)
    return given


def _parsed(text: str, kind: Any) -> Any:
    """Text as the number or truth value that a field wants; text that is none stays, and is refused with the rest."""
    try:
        return TypeAdapter(kind).validate_python(text)
    except (ValidationError, PydanticUserError):  # the second: what only a program can give, or its name
        return text

"""Typed reads from the JSON that a vendor sends: odd members are left out, and essential ones raise an error that names them.

The functions read members that an event can do without: where one is missing or of another type, they give the default. A `Reader` reads
the message itself and the members that an event cannot do without; it raises `RemoteProtocolError` with the vendor and the path.

Both are lenient where servers of one protocol differ: a number where a text is wanted counts as its digits (error codes), digits where a
number is wanted as the number (counters), a whole number may be written with a point, and text that is not quite Unicode is read with
U+FFFD in the place of what is broken.
"""

import json
import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

from pydantic_core import SchemaValidator, ValidationError, core_schema, from_json

from trunkline.errors import RemoteProtocolError

Fields = Mapping[str, Any]
"""A JSON object."""

_EMPTY: Final[Fields] = {}
_MAX_DIGITS: Final = 18  # of a counter; longer ones are no counters, and cost much to read
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

# A fifth of the time of `binascii`, which is most of what reading a message of audio takes.
_BASE64: Final = SchemaValidator(core_schema.bytes_schema(), config=core_schema.CoreConfig(val_json_bytes="base64"))


def replace_surrogates(text: str) -> str:
    """The text with U+FFFD for each half of a character that stands alone; no other side could read it."""
    return _SURROGATE.sub("\ufffd", text)


# ── what an event can do without ─────────────────────────────────────────────────────────────────────────────────────


def text_or(fields: Fields, name: str, default: str = "") -> str:
    """A text; a number counts as its digits."""
    value = fields.get(name)
    if isinstance(value, str):
        return value
    return default if _digits(value) is None else str(value)


def int_or(fields: Fields, name: str, default: int | None = None) -> int | None:
    """A whole number; digits in a text count, and what stands behind the point does not."""
    value = fields.get(name)
    if type(value) is int:
        return value
    if isinstance(value, float) and isfinite(value):
        return int(value)
    return int(value) if isinstance(value, str) and _is_counter(value) else default


def number_or(fields: Fields, name: str, default: float | None = None) -> float | None:
    """A finite number."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return default
    return value


def flag_or(fields: Fields, name: str, default: bool) -> bool:
    """True or False."""
    value = fields.get(name)
    return value if isinstance(value, bool) else default


def object_or_empty(fields: Fields, name: str) -> Fields:
    """An object; an empty one where there is none."""
    value = fields.get(name)
    return value if isinstance(value, dict) else _EMPTY


def objects(fields: Fields, name: str) -> list[Fields]:
    """The objects in a list; other members of it are left out."""
    value = fields.get(name)
    return [member for member in value if isinstance(member, dict)] if isinstance(value, list) else []


# ── what it cannot do without ────────────────────────────────────────────────────────────────────────────────────────


class Reader:
    """Reads messages of one vendor.

    Args:
        vendor: The vendor's name, for errors.
    """

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor

    def message(self, message: str | bytes) -> Fields:
        """The object that a message holds.

        Raises:
            RemoteProtocolError: It is not JSON, or not an object.
        """
        try:
            value = from_json(message)
        except (ValueError, TypeError):  # the second for a text that is no Unicode
            value = self._repaired(message)
        if not isinstance(value, dict):
            raise self.error("not a JSON object")
        return value

    def text(self, fields: Fields, name: str, within: str = "") -> str:
        """A text; a number counts as its digits.

        Args:
            fields: The object it is in.
            name: Its name there.
            within: The path of the object with a point behind it, for the error.

        Raises:
            RemoteProtocolError: It is missing or something else; so for all of these.
        """
        value = fields.get(name)
        if isinstance(value, str):
            return value
        if _digits(value) is None:
            raise self.error("missing" if value is None else "not a text", within + name)
        return str(value)

    def integer(self, fields: Fields, name: str, within: str = "") -> int:
        """A whole number, or its digits as a text."""
        value = int_or(fields, name)
        if value is None:
            raise self.error("missing" if fields.get(name) is None else "not a whole number", within + name)
        return value

    def object(self, fields: Fields, name: str, within: str = "") -> Fields:
        """An object."""
        value = fields.get(name)
        if not isinstance(value, dict):
            raise self.error("missing" if value is None else "not an object", within + name)
        return value

    def base64(self, fields: Fields, name: str, within: str = "") -> bytes:
        """Bytes that are written in base64."""
        value = fields.get(name)
        if not isinstance(value, str):
            raise self.error("missing" if value is None else "not a text", within + name)
        try:
            data: bytes = _BASE64.validate_strings(value)  # type: ignore[arg-type]  # its stub forgets texts
        except ValidationError:
            # Not chained: that error holds all of the audio.
            raise self.error("not base64", within + name) from None
        return data

    def error(self, reason: str, path: str = "") -> RemoteProtocolError:
        """An error of this vendor's, to be raised."""
        return RemoteProtocolError(self.vendor, reason, path=path)

    def _repaired(self, message: str | bytes) -> Any:
        """The slow way, for text with half a character in it: each half becomes U+FFFD."""
        if isinstance(message, bytes | bytearray):
            message = message.decode("utf-8", "replace")
        try:
            return _without_surrogates(json.loads(message))
        except json.JSONDecodeError as error:
            raise self.error(f"not JSON: {error.msg}") from None  # the cause holds the whole message
        except (ValueError, RecursionError):
            raise self.error("not JSON: nested too deep, or a number of too many digits") from None


def _digits(value: object) -> float | None:
    """A number that may stand for a text."""
    return None if isinstance(value, bool) or not isinstance(value, int | float) else value


def _is_counter(value: str) -> bool:
    return len(value) <= _MAX_DIGITS and value.isascii() and value.isdigit()


def _without_surrogates(value: Any) -> Any:
    match value:
        case str():
            return replace_surrogates(value)
        case dict():
            return {_without_surrogates(name): _without_surrogates(member) for name, member in value.items()}
        case list():
            return [_without_surrogates(member) for member in value]
        case _:
            return value

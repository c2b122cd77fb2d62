"""Objects that are sent to vendors, checked against their types before anything is sent.

A vendor refuses a whole message for one field that it does not know. Its wire package writes the object down as `TypedDict`s, with
`extra="forbid"`, and a `Settings` of it names the field in the way the vendor's own errors do.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from trunkline.errors import InvalidConfig

_SHOWN_CHARS = 40


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, objects within objects likewise; where they differ `more` holds. An object of another `type` replaces the whole."""
    both = dict(base)
    for name, value in more.items():
        known = both.get(name)
        if isinstance(known, Mapping) and isinstance(value, Mapping) and value.get("type") in {None, known.get("type")}:
            both[name] = merged(known, value)
        else:
            both[name] = value
    return both


class Settings:
    """Checks objects of one type.

    Args:
        shape: The type, a `TypedDict` or what else pydantic knows. It is looked at when the first object is checked.
    """

    def __init__(self, shape: Any) -> None:
        self._shape = shape

    def check(self, value: object, where: str = "") -> None:
        """See that the vendor will take it.

        Args:
            value: The object, as it will be sent.
            where: Its name in the message, the beginning of the path in the error.

        Raises:
            InvalidConfig: A field does not exist, is missing, or its value is none that it may have; `field` is its path.
        """
        try:
            self._adapter.validate_python(value)
        except ValidationError as refused:
            raise _first(refused.errors(include_url=False), value, where) from None  # the cause may show a key

    @cached_property
    def _adapter(self) -> TypeAdapter[Any]:
        return TypeAdapter(self._shape)


def _first(errors: Sequence[ErrorDetails], value: object, where: str) -> InvalidConfig:
    """The error that is told: of a choice of types the one that fits best, which is the one that was read furthest."""
    paths = [_path(error, value) for error in errors]
    # A field that does not exist says more than one that is missing: it is often the same, misspelt.
    deepest = max(
        zip(paths, errors, strict=True), key=lambda found: (len(found[0]), found[1]["type"] == "extra_forbidden")
    )[0]
    reasons = dict.fromkeys(_reason(error) for error, path in zip(errors, paths, strict=True) if path == deepest)
    field = where
    for step in deepest:
        field += f"[{step}]" if isinstance(step, int) else f".{step}" if field else step
    return InvalidConfig(field, " or ".join(reasons) + _shown(errors[paths.index(deepest)]))


def _path(error: ErrorDetails, value: Any) -> tuple[str | int, ...]:
    """Where in the value the error is, without the names of types that pydantic puts between."""
    path: list[str | int] = []
    steps: tuple[Any, ...] = error["loc"]
    for position, step in enumerate(steps):
        if (isinstance(value, dict) and step in value) or (isinstance(value, list | tuple) and isinstance(step, int)):
            value = value[step]
            path.append(step)
        elif error["type"] == "missing" and position == len(steps) - 1:
            path.append(step)
    if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
        path.append(error["ctx"]["discriminator"].strip("'"))
    return tuple(path)


def _reason(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "there is no such field"
        case "missing":
            return "is needed"
        case "union_tag_not_found":
            return "is needed"
        case "union_tag_invalid":
            return f"must be one of {error['ctx']['expected_tags']}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            message = error["msg"].replace("Input should", "must").replace("should", "must")
            return (
                message.replace("a valid dictionary", "an object")
                .replace("a valid integer", "a whole number")
                .replace("a valid ", "a ")
            )


def _shown(error: ErrorDetails) -> str:
    """The value, where it is short and the field itself is right."""
    value = error["input"]
    if error["type"] in {"extra_forbidden", "missing", "union_tag_not_found"}:
        return ""
    if error["type"] == "union_tag_invalid":
        value = error["ctx"]["tag"]
    if isinstance(value, str) and len(value) > _SHOWN_CHARS:
        return f", got {value[:_SHOWN_CHARS]!r}…"
    return (
        f", got {value!r}" if value is None or isinstance(value, str | int | float) else f", got {type(value).__name__}"
    )

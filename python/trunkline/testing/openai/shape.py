"""What a JSON value must look like, said in tables: a check takes a value and its path and raises the service's refusal.

SPEED = record({"audio": record({"output": record({"speed": number(0.25, 1.5)})})})
SPEED({"audio": {"output": {"sped": 1}}}, "session")    # Refusal: Unknown parameter: 'session.audio.output.sped'.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from trunkline.testing.openai.refusal import Refusal, invalid_value, missing_parameter, unknown_parameter

Check: TypeAlias = Callable[[object, str], None]


def anything(value: object, path: str) -> None:
    """Any JSON value."""


def text(value: object, path: str) -> None:
    """A string."""
    if not isinstance(value, str):
        raise invalid_value(value, path, "Expected a string.")


def short_text(longest: int) -> Check:
    """A string of at most so many characters."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, str) or len(value) > longest:
            raise invalid_value(value, path, f"Expected a string of at most {longest} characters.")

    return check


def boolean(value: object, path: str) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid_value(value, path, "Expected a boolean.")


def integer(low: int, high: int | None = None) -> Check:
    """A whole number between two others, both included."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise invalid_value(value, path, "Expected an integer.")
        if value < low:
            raise Refusal(
                "integer_below_min_value",
                f"Invalid '{path}': integer below minimum value. Expected a value >= {low}, but got {value} instead.",
                path,
            )
        if high is not None and value > high:
            raise invalid_value(value, path, f"Expected a value <= {high}.")

    return check


def number(low: float, high: float) -> Check:
    """A number between two others, both included."""

    def check(value: object, path: str) -> None:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise invalid_value(value, path, f"Expected a number between {low} and {high}.")

    return check


def one_of(*values: str) -> Check:
    """One of these strings."""

    def check(value: object, path: str) -> None:
        if value not in values:
            raise invalid_value(value, path, values)

    return check


def nullable(check: Check) -> Check:
    """Null, or what the check allows."""

    def allow_null(value: object, path: str) -> None:
        if value is not None:
            check(value, path)

    return allow_null


def text_or(check: Check) -> Check:
    """A string, or an object that the check allows."""

    def choose(value: object, path: str) -> None:
        if not isinstance(value, str):
            check(value, path)

    return choose


def one_of_or(values: Collection[str], check: Check) -> Check:
    """One of these strings, or something else that the check allows."""

    def choose(value: object, path: str) -> None:
        if isinstance(value, str):
            if value not in values:
                raise invalid_value(value, path, values)
        else:
            check(value, path)

    return choose


def list_of(check: Check) -> Check:
    """An array whose every element passes."""

    def check_all(value: object, path: str) -> None:
        if not isinstance(value, list):
            raise invalid_value(value, path, "Expected an array.")
        for position, element in enumerate(value):
            check(element, f"{path}[{position}]")

    return check_all


def map_of(check: Check, *, longest: int | None = None, key: Check = text) -> Check:
    """An object with any keys whose every value passes."""

    def check_all(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid_value(value, path, "Expected an object.")
        if longest is not None and len(value) > longest:
            raise Refusal("invalid_value", f"Invalid '{path}': expected at most {longest} properties.", path)
        for name, element in value.items():
            key(name, path)
            check(element, f"{path}.{name}")

    return check_all


def record(fields: Mapping[str, Check], *, required: Collection[str] = ()) -> Check:
    """An object with these keys and no others."""

    def check_fields(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid_value(value, path, "Expected an object.")
        prefix = f"{path}." if path else ""
        for name in value:
            if name not in fields:
                raise unknown_parameter(f"{prefix}{name}")
        for name in required:
            if value.get(name) is None:
                raise missing_parameter(f"{prefix}{name}")
        for name, element in value.items():
            fields[name](element, f"{prefix}{name}")

    return check_fields


def tagged(kinds: Mapping[str, Check], *, tag: str = "type") -> Check:
    """An object whose `tag` tells which of the checks applies."""

    def choose(value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise invalid_value(value, path, "Expected an object.")
        where = f"{path}.{tag}" if path else tag
        kind = value.get(tag)
        if kind is None:
            raise missing_parameter(where)
        if not isinstance(kind, str) or kind not in kinds:
            raise invalid_value(kind, where, kinds)
        kinds[kind](value, path)

    return choose

"""The model's arguments: JSON text read, and checked against the tool's schema before anything runs."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json

from trunkline.errors import InvalidArguments, InvalidConfig, MissingExtra
from trunkline.tools.definition import ToolDefinition
from trunkline.tools.json_schema import InvalidSchema, NotUnderstood, compile_schema

Check = Callable[[Mapping[str, Any]], Any]
"""Turns the arguments as the model wrote them into what the handler is called with; raises `InvalidArguments`."""

MOST_COMPLAINTS = 5


def read_arguments(tool: str, text: str) -> dict[str, Any]:
    """The arguments of a call from their JSON text; no text means no arguments.

    Raises:
        InvalidArguments: The text is not JSON, or not an object.
    """
    try:
        values = from_json(text or "{}", allow_inf_nan=False)
    except ValueError as error:
        raise InvalidArguments(tool, f"the arguments are not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InvalidArguments(tool, "the arguments are not a JSON object")
    return values


def schema_check(definition: ToolDefinition) -> Check:
    """A check against the definition's JSON schema (draft 2020-12 unless `$schema` says otherwise).

    The common keywords are checked by this package; a schema that has others needs the extra `jsonschema`. A schema may not refer to the
    network, and what a message says of an argument is its path, never its value.

    Raises:
        InvalidConfig: The schema itself is not valid.
        MissingExtra: It has a keyword that only the extra understands.
    """
    name = definition.name
    try:
        rule = compile_schema(definition.schema)
    except InvalidSchema as error:
        raise InvalidConfig("parameters", f"of tool {name!r}: {error}") from error
    except NotUnderstood as needs:
        return _full_check(definition, str(needs))

    def check(values: Mapping[str, Any]) -> Mapping[str, Any]:
        if complaints := [_at(path, message) for path, message in rule(values, ())]:
            raise InvalidArguments(name, _listed(complaints))
        return values

    return check


def _full_check(definition: ToolDefinition, needs: str) -> Check:
    """The same by a validator that knows all of JSON Schema."""
    name = definition.name
    try:
        from jsonschema_rs import ValidationError, validator_for
    except ImportError as error:
        raise MissingExtra("jsonschema", f"{needs} in the parameters of tool {name!r}") from error
    try:
        validator = validator_for(dict(definition.schema), mask="the value", offline=True)
    except ValidationError as error:
        raise InvalidConfig("parameters", f"of tool {name!r}: {_at(error.instance_path, error.message)}") from error
    except ValueError as error:
        raise InvalidConfig("parameters", f"of tool {name!r} cannot be used: {error}") from error

    def check(values: Mapping[str, Any]) -> Mapping[str, Any]:
        if complaints := [_at(error.instance_path, error.message) for error in validator.iter_errors(values)]:
            raise InvalidArguments(name, _listed(complaints))
        return values

    return check


def model_check(tool: str, validate: Check) -> Check:
    """A check by a pydantic model, whose errors are put into the words of `InvalidArguments`."""

    def check(values: Mapping[str, Any]) -> Any:
        try:
            return validate(values)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False, include_context=False)
            raise InvalidArguments(tool, _listed([_at(found["loc"], found["msg"]) for found in errors])) from error

    return check


def _at(path: Iterable[object], message: str) -> str:
    where = ".".join(str(part) for part in path)
    return f"{where}: {message}" if where else message


def _listed(errors: list[str]) -> str:
    more = len(errors) - MOST_COMPLAINTS
    return "; ".join(errors[:MOST_COMPLAINTS]) + (f"; and {more} more" if more > 0 else "")

"""What a tool is: its name, what the model is told of it, and what runs when the model calls it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.errors import InvalidConfig

ToolHandler = Callable[..., Any]
"""Called with the arguments, either one mapping or, for plain functions, by name; may be `async`."""

NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it; `FunctionDeclaration` and `Tool` are its second names.

    Args:
        name: What the model calls.
        description: When to use it, for the model.
        parameters: JSON schema of the arguments, an object schema, as a mapping or as JSON text; None means no arguments.

    Raises:
        InvalidConfig: The name is empty, or the parameters are not an object schema.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | str | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise InvalidConfig("name", "a tool needs a name")
        if isinstance(self.parameters, str):
            try:
                object.__setattr__(self, "parameters", json.loads(self.parameters))
            except ValueError as error:
                raise InvalidConfig("parameters", f"of tool {self.name!r} are not JSON: {error}") from error
        if self.parameters is not None and not isinstance(self.parameters, Mapping):
            raise InvalidConfig("parameters", f"of tool {self.name!r} must be a JSON schema of an object")

    @property
    def schema(self) -> Mapping[str, Any]:
        """The parameters as a JSON schema, an empty object schema where there are none."""
        return NO_PARAMETERS if self.parameters is None or isinstance(self.parameters, str) else self.parameters


FunctionDeclaration = ToolDefinition
Tool = ToolDefinition

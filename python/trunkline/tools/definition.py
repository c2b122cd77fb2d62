"""What a tool is: its name, what the model is told of it, and how a call of it is handled."""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal, get_args

from trunkline.errors import InvalidConfig

ToolHandler = Callable[..., Any]
"""Called with the arguments: one mapping, the instance of a model class, or for plain functions by name; may be `async`."""

OnInterruption = Literal["cancel", "finish", "detach"]
"""What becomes of a running tool when the caller interrupts.

`cancel`: it is stopped, and the model is told so. `finish`: it runs on, and the model gets its result. `detach`: the model is told at once
that the tool goes on in the background; the result itself is reported to the program only.
"""

NAME: Final = re.compile("[A-Za-z0-9_-]{1,64}")
"""Names that every vendor takes; one that is not refuses the whole session."""

NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool as the model sees it; `FunctionDeclaration` and `Tool` are its second names.

    The vendor is given name, description and parameters; the rest stays here. All fields are JSON-able.

    Args:
        name: What the model calls: 1 to 64 letters, digits, `_` and `-`.
        description: When to use it, for the model.
        parameters: JSON schema of the arguments, an object schema, as a mapping or as JSON text; None means no arguments.
        timeout: Seconds that the tool may take; None means the dispatcher's.
        on_interruption: What becomes of a running call when the caller interrupts.
        filler: A phrase for the caller when the tool is slow; empty for none.
        filler_after: Seconds after which the tool counts as slow.

    Raises:
        InvalidConfig: The name is not one, the parameters are not an object schema, or another field is out of range.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] | str | None = None
    _: KW_ONLY
    timeout: float | None = None
    on_interruption: OnInterruption = "finish"
    filler: str = ""
    filler_after: float = 2.0

    def __post_init__(self) -> None:
        name: object = self.name
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise InvalidConfig(
                "name", f"of a tool must be 1 to 64 letters (a-z, A-Z), digits, _ or -, got {self.name!r}"
            )
        if isinstance(self.parameters, str):
            try:
                object.__setattr__(self, "parameters", json.loads(self.parameters))
            except ValueError as error:
                raise InvalidConfig("parameters", f"of tool {self.name!r} are not JSON: {error}") from error
        if self.schema.get("type", "object") != "object":
            raise self._refuse("parameters", f"must be a schema of an object, not of {self.schema['type']!r}")
        if self.timeout is not None and not is_duration(self.timeout):
            raise self._refuse("timeout", f"must be a number of seconds above 0, got {self.timeout!r}")
        if self.on_interruption not in get_args(OnInterruption):
            choices = ", ".join(get_args(OnInterruption))
            raise self._refuse("on_interruption", f"must be one of {choices}, got {self.on_interruption!r}")
        if not isinstance(self.filler, str):
            raise self._refuse("filler", f"must be text, got {self.filler!r}")
        if not is_duration(self.filler_after):
            raise self._refuse("filler_after", f"must be a number of seconds above 0, got {self.filler_after!r}")

    @property
    def schema(self) -> Mapping[str, Any]:
        """The parameters as a JSON schema, an empty object schema where there are none."""
        if self.parameters is None:
            return NO_PARAMETERS
        if not isinstance(self.parameters, Mapping):
            raise self._refuse("parameters", "must be a JSON schema of an object")
        return self.parameters

    def _refuse(self, field: str, reason: str) -> InvalidConfig:
        return InvalidConfig(field, f"of tool {self.name!r} {reason}")


FunctionDeclaration = ToolDefinition
Tool = ToolDefinition


def is_duration(seconds: object) -> bool:
    """Whether this is a finite number of seconds above zero."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0 and math.isfinite(seconds)

"""From plain functions to tools: the schema comes from signature, annotations and docstring."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from trunkline.errors import InvalidConfig
from trunkline.tools.definition import ToolDefinition


def arguments_model(function: Callable[..., Any]) -> type[BaseModel]:
    """A model that checks and converts the arguments of a call to `function`.

    Raises:
        InvalidConfig: The function takes arguments that a model cannot name (`*args`, `**kwargs`, positional only).
    """
    name = getattr(function, "__name__", "tool")
    hints = get_type_hints(function, include_extras=True)
    told = _argument_descriptions(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise InvalidConfig(
                "tools", f"{name}() takes {parameter}, which a model cannot pass; give each argument a name"
            )
        annotation = hints.get(parameter.name, Any)
        if parameter.name in told:
            annotation = Annotated[annotation, Field(description=told[parameter.name])]
        fields[parameter.name] = (annotation, ... if parameter.default is parameter.empty else parameter.default)
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields)


def definition_of(function: Callable[..., Any]) -> ToolDefinition:
    """The definition of a plain function: its name, the first paragraph of its docstring, and its arguments."""
    schema = arguments_model(function).model_json_schema()
    schema.pop("title", None)
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
    first = (inspect.getdoc(function) or "").split("\n\n", 1)[0]
    return ToolDefinition(function.__name__, " ".join(first.split()), schema)


def _argument_descriptions(docstring: str) -> dict[str, str]:
    """What a Google-style docstring says of each argument."""
    told: dict[str, str] = {}
    inside = False
    current = ""
    for line in docstring.splitlines():
        text = line.strip()
        if not line.startswith(" "):
            inside = text == "Args:"
        elif inside and ":" in text and len(line) - len(line.lstrip()) <= 4:
            current, _, rest = text.partition(":")
            current = current.split(" ")[0]
            told[current] = rest.strip()
        elif inside and current:
            told[current] = f"{told[current]} {text}".strip()
    return told

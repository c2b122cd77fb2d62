"""From plain functions and pydantic models to tools: the schema comes from signature, annotations and docstring."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeGuard, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from trunkline.errors import InvalidConfig
from trunkline.tools.definition import OnInterruption, ToolDefinition
from trunkline.tools.parameters import open_parameters

Source = TypeVar("Source", bound=Callable[..., Any])

_OPTIONS = "__tool_options__"


def tool(
    *,
    name: str = "",
    description: str = "",
    timeout: float | None = None,
    on_interruption: OnInterruption = "finish",
    filler: str = "",
    filler_after: float = 2.0,
) -> Callable[[Source], Source]:
    """Give a function or a pydantic model, which stays what it is, the options that its signature cannot hold.

    Args:
        name: What the model calls, if not the name in the program.
        description: For the model, if not the docstring's first paragraph.
        timeout: As in `ToolDefinition`, like those that follow.
        on_interruption: What becomes of a running call when the caller interrupts.
        filler: A phrase for the caller when the tool is slow.
        filler_after: Seconds after which it is slow.

    Raises:
        InvalidConfig: When the decorated object is made a tool: an option is out of range.
    """
    options: dict[str, Any] = {key: text for key, text in (("name", name), ("description", description)) if text}
    options |= {"timeout": timeout, "on_interruption": on_interruption, "filler": filler, "filler_after": filler_after}

    def mark(source: Source) -> Source:
        setattr(source, _OPTIONS, options)
        return source

    return mark


@dataclass(frozen=True, slots=True)
class Signature:
    """The named arguments of a plain function, and the model that checks and converts them."""

    model: type[BaseModel]
    names: Mapping[str, str]
    """Argument of the function by field of the model; a field may not be called `json` or `_x`, an argument may."""

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments to call the function with; raises pydantic's `ValidationError`."""
        checked = self.model.model_validate(values)
        return {name: getattr(checked, field) for field, name in self.names.items()}


def signature_of(function: Callable[..., Any]) -> Signature:
    """What a plain function takes, apart from what a `functools.partial` has bound.

    Raises:
        InvalidConfig: It takes arguments that a model cannot name (`*args`, `**kwargs`, positional only), or whose types have no schema.
    """
    tool_name = _name_of(function)
    descriptions = _argument_descriptions(_docstring(function))
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    try:
        for number, parameter in enumerate(open_parameters(function)):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise InvalidConfig(
                    "tools", f"{tool_name}() takes {parameter}, which a model cannot pass; give each argument a name"
                )
            about: dict[str, Any] = (
                {"description": descriptions[parameter.name]} if parameter.name in descriptions else {}
            )
            hint: Any = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[f"argument_{number}"] = (Annotated[hint, Field(alias=parameter.name, **about)], default)
            names[f"argument_{number}"] = parameter.name
        model = create_model(tool_name, __config__=ConfigDict(extra="forbid"), **fields)
    except (NameError, TypeError, ValueError, PydanticUserError) as error:
        if isinstance(error, InvalidConfig):
            raise
        raise InvalidConfig("tools", f"{tool_name}() cannot be made a tool: {error}") from error
    return Signature(model, names)


def definition_of(source: Callable[..., Any]) -> ToolDefinition:
    """The definition of a plain function or a pydantic model: name, first paragraph of the docstring, arguments, `@tool`'s options.

    Raises:
        InvalidConfig: The function cannot be made a tool, or an option is out of range.
    """
    return declare(source)[0]


def declare(source: Callable[..., Any]) -> tuple[ToolDefinition, Signature | None]:
    """The definition of a plain function or a pydantic model, and the signature where it is a function.

    Raises:
        InvalidConfig: The function cannot be made a tool, or an option is out of range.
    """
    signature = None if is_model(source) else signature_of(source)
    model = signature.model if signature is not None else cast("type[BaseModel]", source)
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise InvalidConfig("tools", f"{_name_of(source)} cannot be made a tool: {error}") from error
    for titled in (schema, *schema.get("properties", {}).values()):
        titled.pop("title", None)
    schema.pop("description", None)  # a model's docstring, which is the tool's description
    description = " ".join(_docstring(source).split("\n\n", 1)[0].split())
    options = {"name": _name_of(source), "description": description, "parameters": schema} | _options_of(source)
    return ToolDefinition(**options), signature


def is_model(source: object) -> TypeGuard[type[BaseModel]]:
    """Whether this is a class whose instances are the arguments."""
    return isinstance(source, type) and issubclass(source, BaseModel)


def _options_of(source: Callable[..., Any]) -> dict[str, Any]:
    options = vars(source).get(_OPTIONS) if isinstance(source, type) else getattr(source, _OPTIONS, None)
    return options or {}


def _name_of(source: Callable[..., Any]) -> str:
    name = _options_of(source).get("name") or getattr(source, "__name__", "")
    if not name or name == "<lambda>":
        raise InvalidConfig("tools", f"{source!r} has no name to tell the model; write a function for it")
    return str(name)


def _docstring(source: Callable[..., Any]) -> str:
    while isinstance(source, functools.partial) and "__doc__" not in vars(source):
        source = source.func
    # getdoc() alone would give a bare model pydantic's own
    return (inspect.getdoc(source) or "") if source.__doc__ else ""


def _argument_descriptions(docstring: str) -> dict[str, str]:
    """What a Google-style docstring says of each argument."""
    described: dict[str, str] = {}
    inside = False
    current = ""
    for line in docstring.splitlines():
        text = line.strip()
        if not line.startswith(" "):
            inside = text == "Args:"
        elif inside and ":" in text and len(line) - len(line.lstrip()) <= 4:
            current, _, rest = text.partition(":")
            current = current.split(" ")[0]
            described[current] = rest.strip()
        elif inside and current:
            described[current] = f"{described[current]} {text}".strip()
    return described

"""From plain functions and pydantic models to tools: the schema comes from signature, annotations and docstring."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeGuard, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from trunkline.errors import InvalidConfig
from trunkline.tools.definition import OnInterruption, ToolDefinition

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
    """What a plain function takes.

    Raises:
        InvalidConfig: It takes arguments that a model cannot name (`*args`, `**kwargs`, positional only), or whose types have no schema.
    """
    tool_name = _name_of(function)
    told = _argument_descriptions(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    try:
        hints = get_type_hints(function, include_extras=True)
        for number, parameter in enumerate(inspect.signature(function).parameters.values()):
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise InvalidConfig(
                    "tools", f"{tool_name}() takes {parameter}, which a model cannot pass; give each argument a name"
                )
            about: dict[str, Any] = {"description": told[parameter.name]} if parameter.name in told else {}
            hint: Any = hints.get(parameter.name, Any)
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[f"argument_{number}"] = (Annotated[hint, Field(alias=parameter.name, **about)], default)
            names[f"argument_{number}"] = parameter.name
        model = create_model(tool_name, __config__=ConfigDict(extra="forbid"), **fields)
    except (NameError, TypeError, PydanticUserError) as error:
        raise InvalidConfig("tools", f"{tool_name}() cannot be made a tool: {error}") from error
    return Signature(model, names)


def definition_of(source: Callable[..., Any]) -> ToolDefinition:
    """The definition of a plain function or a pydantic model: name, first paragraph of the docstring, arguments, `@tool`'s options.

    Raises:
        InvalidConfig: The function cannot be made a tool, or an option is out of range.
    """
    model = source if is_model(source) else signature_of(source).model
    try:
        schema = model.model_json_schema()
    except PydanticUserError as error:
        raise InvalidConfig("tools", f"{_name_of(source)} cannot be made a tool: {error}") from error
    for titled in (schema, *schema.get("properties", {}).values()):
        titled.pop("title", None)
    schema.pop("description", None)  # a model's docstring, which is the tool's description
    doc = inspect.getdoc(source) if source.__doc__ else None  # getdoc() alone would give a bare model pydantic's own
    first = (doc or "").split("\n\n", 1)[0]
    definition = ToolDefinition(_name_of(source), " ".join(first.split()), schema)
    options = vars(source).get(_OPTIONS, {}) if is_model(source) else getattr(source, _OPTIONS, {})
    return replace(definition, **options)


def is_model(source: object) -> TypeGuard[type[BaseModel]]:
    """Whether this is a class whose instances are the arguments."""
    return isinstance(source, type) and issubclass(source, BaseModel)


def _name_of(source: Callable[..., Any]) -> str:
    name = getattr(source, "__name__", "")
    if not name or name == "<lambda>":
        raise InvalidConfig("tools", f"{source!r} has no name to tell the model; write a function for it")
    return str(name)


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

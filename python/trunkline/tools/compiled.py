"""The tools of a configuration, made ready once: schemas, validators and handlers, shared by all sessions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydantic import BaseModel

from trunkline.errors import InvalidConfig, UnknownTool
from trunkline.tools.arguments import Check, model_check, schema_check
from trunkline.tools.definition import ToolDefinition, ToolHandler
from trunkline.tools.schema import declare, is_model

ToolSource = ToolDefinition | Callable[..., Any] | type[BaseModel]
"""What a tool may be written as: a definition, a plain function, or a pydantic model."""


@dataclass(frozen=True, slots=True)
class CompiledTool:
    """One tool, ready to be called.

    Attributes:
        definition: What the model is told, and the tool's options.
        check: Checks and converts the model's arguments.
        bind: Makes the call of the handler with what `check` returned; None where `on_function_call` runs the tool.
    """

    definition: ToolDefinition
    check: Check
    bind: Callable[[Any], partial[Any]] | None = None


class CompiledTools:
    """Tools made ready to be called, once for a gateway or a bridge configuration. It never changes and holds nothing of any call.

    Args:
        tools: Definitions; plain functions, whose schema comes from their signature and which are called by argument name; pydantic
            models, whose handler is called with the instance.
        handlers: For each definition or model by name, what runs it.
        on_function_call: Runs whatever has no handler; called with the call's id, the tool's name and the arguments as JSON text.

    Attributes:
        definitions: What the model is told of, in the order given.

    Raises:
        InvalidConfig: A definition's schema is not valid, two tools share a name, a handler has no tool, or an object cannot be a tool.
    """

    __slots__ = ("_on_function_call", "_tools", "definitions")

    def __init__(
        self,
        tools: Iterable[ToolSource] = (),
        handlers: Mapping[str, ToolHandler] | None = None,
        *,
        on_function_call: Callable[[str, str, str], Any] | None = None,
    ) -> None:
        handlers = handlers or {}
        self._tools: dict[str, CompiledTool] = {}
        for source in tools:
            tool = _compile(source, handlers)
            if tool.definition.name in self._tools:
                raise InvalidConfig("tools", f"there are two tools called {tool.definition.name!r}")
            self._tools[tool.definition.name] = tool
        for name in handlers:
            if name not in self._tools:
                raise InvalidConfig("tool_handlers", f"there is a handler for {name!r} but no such tool")
        self.definitions: tuple[ToolDefinition, ...] = tuple(tool.definition for tool in self._tools.values())
        self._on_function_call = on_function_call

    def definition(self, name: str) -> ToolDefinition | None:
        """The tool of this name, if there is one."""
        tool = self._tools.get(name)
        return None if tool is None else tool.definition

    def prepare(self, call_id: str, name: str, values: Mapping[str, Any], arguments: str) -> partial[Any]:
        """Check a call's arguments and give what runs it.

        Args:
            call_id: The provider's id of the call.
            name: The tool's name.
            values: The arguments.
            arguments: The same as the JSON text that the model wrote.

        Raises:
            UnknownTool: There is no such tool, or nothing that runs it.
            InvalidArguments: The arguments do not fit the tool's schema.
        """
        tool = self._tools.get(name)
        if tool is not None:
            checked = tool.check(values)
            if tool.bind is not None:
                return tool.bind(checked)
        if self._on_function_call is None:
            raise UnknownTool(name)
        return partial(self._on_function_call, call_id, name, arguments)


def _compile(source: ToolSource, handlers: Mapping[str, ToolHandler]) -> CompiledTool:
    if isinstance(source, ToolDefinition):
        handler = handlers.get(source.name)
        return CompiledTool(source, schema_check(source), None if handler is None else partial(partial, handler))
    if not callable(source):
        raise InvalidConfig("tools", f"a tool is a ToolDefinition, a function or a model, not {type(source).__name__}")
    definition, signature = declare(source)
    handler = handlers.get(definition.name)
    if signature is None and is_model(source):
        check = model_check(definition.name, source.model_validate)
        return CompiledTool(definition, check, None if handler is None else partial(partial, handler))
    if signature is None or handler is not None:
        raise InvalidConfig("tool_handlers", f"tool {definition.name!r} is a function, which is its own handler")
    return CompiledTool(
        definition, model_check(definition.name, signature.arguments), lambda named: partial(source, **named)
    )

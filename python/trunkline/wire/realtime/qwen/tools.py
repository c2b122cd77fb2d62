"""Tools in the nested shape of DashScope's `session.update`."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trunkline.tools.definition import ToolDefinition
from trunkline.tools.schema import definition_of


def tools_for_session(
    tools: Iterable[ToolDefinition | Mapping[str, Any] | Callable[..., Any]],
) -> list[dict[str, Any]] | None:
    """The `tools` array of a `session.update` in DashScope's nested shape.

    Args:
        tools: Definitions, plain functions, pydantic models, or mappings with `name`, `description` and `parameters`.

    Returns:
        One ``{"type": "function", "function": {…}}`` for each tool with a name, an empty object schema where it has no parameters; None
        where nothing is left, so that the key can be omitted.

    Raises:
        InvalidConfig: A definition is not valid.
    """
    nested = [_nested(_definition(tool)) for tool in tools if not (isinstance(tool, Mapping) and not tool.get("name"))]
    return nested or None


def _definition(tool: ToolDefinition | Mapping[str, Any] | Callable[..., Any]) -> ToolDefinition:
    if isinstance(tool, ToolDefinition):
        return tool
    if isinstance(tool, Mapping):
        return ToolDefinition(tool["name"], tool.get("description") or "", tool.get("parameters") or None)
    return definition_of(tool)


def _nested(tool: ToolDefinition) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}

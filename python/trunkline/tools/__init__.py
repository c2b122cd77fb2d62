"""Tools that a model may call: definitions, schemas from functions, dispatch."""

from trunkline.tools.definition import FunctionDeclaration, Tool, ToolDefinition, ToolHandler
from trunkline.tools.dispatch import ToolDispatcher
from trunkline.tools.schema import definition_of

__all__ = ["FunctionDeclaration", "Tool", "ToolDefinition", "ToolDispatcher", "ToolHandler", "definition_of"]

"""Tools that a model may call: definitions, schemas from functions and models, dispatch."""

from trunkline.tools.calling import call
from trunkline.tools.compiled import CompiledTools
from trunkline.tools.counters import ToolCounters
from trunkline.tools.definition import FunctionDeclaration, OnInterruption, Tool, ToolDefinition, ToolHandler
from trunkline.tools.dispatch import ToolDispatcher
from trunkline.tools.schema import definition_of, tool
from trunkline.tools.session_tools import tools_for_session

__all__ = [
    "CompiledTools",
    "FunctionDeclaration",
    "OnInterruption",
    "Tool",
    "ToolCounters",
    "ToolDefinition",
    "ToolDispatcher",
    "ToolHandler",
    "call",
    "definition_of",
    "tool",
    "tools_for_session",
]

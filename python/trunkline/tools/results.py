"""What a tool returned, as the text that the model is given."""

import json
from typing import Any

from pydantic_core import to_json

from trunkline.errors import ToolError


def result_text(tool: str, result: Any) -> str:
    """A string as it is, anything else as JSON: None, numbers, lists, mappings, pydantic models, dataclasses, dates.

    Raises:
        ToolError: The value cannot be written as JSON.
    """
    if isinstance(result, str):
        return result.encode(errors="replace").decode()  # half a surrogate pair could not be sent
    try:
        return to_json(result, inf_nan_mode="null").decode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ToolError(tool, f"its result cannot be written as JSON: {error}") from error


def error_text(error: str) -> str:
    """What went wrong, as JSON."""
    return json.dumps({"error": error})


def detached_text(tool: str) -> str:
    """That the tool goes on although its result will not be told, as JSON."""
    message = f"Tool {tool} goes on in the background; the conversation goes on without its result."
    return json.dumps({"status": "running", "message": message})

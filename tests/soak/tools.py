"""Tools given to a gateway in every way there is; each answers with its own name and the argument it was called with."""

from collections.abc import Mapping
from typing import Any

import anyio.lowlevel
from pydantic import BaseModel

from trunkline.realtime import RealtimeConfig
from trunkline.tools import ToolDefinition

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def defined(arguments: Mapping[str, Any]) -> str:
    return f"defined {arguments['city']}"


def plain(city: str) -> str:
    """A plain function among the gateway's tools."""
    return f"plain {city}"


async def waiting(city: str) -> dict[str, str]:
    """An async function among the gateway's tools."""
    await anyio.lowlevel.checkpoint()
    return {"waiting": city}


class Modelled(BaseModel):
    """A pydantic model among the gateway's tools."""

    city: str


def modelled(wanted: Modelled) -> str:
    return f"Modelled {wanted.city}"


def configured(city: str) -> str:
    """A plain function among the tools of the realtime configuration."""
    return f"configured {city}"


def routed(call_id: str, name: str, arguments: str) -> str:
    return f"{name} {arguments}"


NAMES = ("defined", "plain", "waiting", "Modelled", "configured", "routed")

GATEWAY_TOOLS: dict[str, Any] = {
    "tools": [ToolDefinition("defined", "A definition with a handler.", CITY), plain, waiting, Modelled],
    "tool_handlers": {"defined": defined, "Modelled": modelled},
    "realtime_config": RealtimeConfig(
        instructions="You are tested.",
        functions=[ToolDefinition("routed", "A definition that on_function_call runs.", CITY)],
        tools=[configured],
        on_function_call=routed,
    ),
}

"""What the client speaks: the service's own interface, or its beta (§14 of the protocol), spoken by older and other servers.

The session thinks in the service's own events; a dialect turns them into what goes over the line, and back.
"""

import json
from collections.abc import Mapping
from typing import Any, Protocol

from trunkline.testing.faults import Fault
from trunkline.testing.openai.faults import ErrorEvent
from trunkline.testing.openai.ids import new_id
from trunkline.testing.openai.refusal import Refusal


class Dialect(Protocol):
    """One session's translator."""

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What the client is sent in place of this event of the session's; nothing, one event, or two."""
        ...

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The client's event as the session understands it.

        Raises:
            Refusal: The dialect has no such field.
        """
        ...


class GeneralAvailability:
    """The service's own interface, in which nothing has to be translated."""

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event itself."""
        return [dict(event)]

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event itself."""
        return event


class OpenAICodec:
    """JSON text with a `type`, in one dialect (`trunkline.testing.line.Codec`)."""

    def __init__(self, dialect: Dialect) -> None:
        self.outgoing = dialect.outgoing
        self.incoming = dialect.incoming

    def kind(self, event: Mapping[str, Any]) -> str:
        """The event's type."""
        return str(event.get("type"))

    def encode(self, event: Mapping[str, Any]) -> str:
        """The event as text."""
        return json.dumps(event)

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The object in a text message.

        Raises:
            Refusal: It is no JSON object, or not in a text message.
        """
        try:
            event = json.loads(message) if isinstance(message, str) else None
        except ValueError:
            raise Refusal("invalid_json", "We could not parse the JSON body of your event.") from None
        if not isinstance(event, dict):
            raise Refusal("invalid_json", "An event has to be a JSON object in a text message.")
        return event

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """The `error` event of an `ErrorEvent`."""
        if not isinstance(fault, ErrorEvent):
            return []
        error = {
            "type": fault.type,
            "code": fault.code,
            "message": fault.message,
            "param": None,
            "event_id": None,
        }
        return [{"type": "error", "event_id": new_id("event"), "error": error}]

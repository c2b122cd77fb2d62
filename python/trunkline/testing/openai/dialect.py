"""What the client speaks: the service's own interface, or its beta (§14 of the protocol), spoken by older and other servers.

The session thinks in the service's own events; a dialect turns them into what goes over the line, and back.
"""

from collections.abc import Mapping
from typing import Any, Protocol


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

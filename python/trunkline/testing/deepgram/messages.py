"""What both of Deepgram's listening interfaces share: binary audio and JSON text, and what an address may say of the audio."""

import json
from collections.abc import Mapping
from typing import Any

from trunkline.audio import AudioFormat
from trunkline.errors import AudioError
from trunkline.testing.faults import Fault
from trunkline.testing.vendor_simulator import Query, SendEvent, one


class DeepgramCodec:
    """Binary messages are events of the type "audio", texts are JSON (`trunkline.testing.line.Codec`)."""

    def kind(self, event: Mapping[str, Any]) -> str:
        """The event's type, or what happens in a turn."""
        return str(event.get("event") or event.get("type"))

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event itself."""
        return [dict(event)]

    def encode(self, event: Mapping[str, Any]) -> str:
        """The event as text."""
        return json.dumps(event)

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The object in a text, or the audio; a text that is no object is of the type "unreadable"."""
        if isinstance(message, bytes):
            return {"type": "audio", "audio": message}
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        return event if isinstance(event, dict) else {"type": "unreadable", "text": message}

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event itself."""
        return event

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """What a `SendEvent` holds."""
        return [fault.event] if isinstance(fault, SendEvent) else []


def audio_format_of(query: Query) -> AudioFormat | str:
    """What the audio is; or why it cannot be heard."""
    if "encoding" not in query:
        return "this simulator hears raw audio only: encoding and sample_rate are needed"
    try:
        return AudioFormat(one(query, "encoding"), int(one(query, "sample_rate", "0")))
    except (AudioError, ValueError):
        return "unsupported encoding or sample_rate"

"""What Gemini Live looks like on the wire: binary frames of JSON out, either casing of names in, and refusals that close the connection."""

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.testing.faults import Fault

_MOST_REASON = 123  # bytes of a close frame
# What stands under these names is not the protocol's.
_FOREIGN = {"args", "response", "parametersJsonSchema", "labels"}
_NAMES_OF_ITS_OWN = {"properties"}


class Refusal(Exception):
    """The service closes the connection with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason.encode()[:_MOST_REASON].decode(errors="ignore")
        super().__init__(code, self.reason)


def invalid_argument() -> Refusal:
    """What the service says of most that it does not like."""
    return Refusal(1007, "Request contains an invalid argument.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoAway(Fault):
    """The server says that it will end the connection in `seconds`, and does."""

    seconds: float = 10.0


class GeminiCodec:
    """The codec of one session.

    Args:
        as_text: Send text frames, which the real service does not.
        on_go_away: Called when a `GoAway` happens.
    """

    def __init__(self, *, as_text: bool, on_go_away: Callable[[float], None]) -> None:
        self._as_text = as_text
        self._on_go_away = on_go_away

    def kind(self, event: Mapping[str, Any]) -> str:
        """The message's key, and of `serverContent` and `realtimeInput` that within: "serverContent.modelTurn"."""
        key = next(iter(event), "")
        name, body = _camel(key), event.get(key)
        if name in {"serverContent", "realtimeInput"} and isinstance(body, Mapping) and body:
            return f"{name}.{_camel(next(iter(body)))}"
        return name

    def outgoing(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The event itself."""
        return [dict(event)]

    def encode(self, event: Mapping[str, Any]) -> str | bytes:
        """JSON in a binary frame."""
        text = json.dumps(event)
        return text if self._as_text else text.encode()

    def decode(self, message: str | bytes) -> dict[str, Any]:
        """The object in a frame of either kind.

        Raises:
            Refusal: It is no JSON object.
        """
        try:
            event = json.loads(message)
        except ValueError:
            raise Refusal(1007, "Invalid JSON payload received. Unexpected token.") from None
        if not isinstance(event, dict):
            raise Refusal(1007, "Invalid JSON payload received. Expected an object.")
        return event

    def incoming(self, event: dict[str, Any]) -> dict[str, Any]:
        """The event with its names in camel case."""
        named: dict[str, Any] = normalised(event)
        return named

    def fault_events(self, fault: Fault) -> list[dict[str, Any]]:
        """The message of a `GoAway`."""
        if not isinstance(fault, GoAway):
            return []
        self._on_go_away(fault.seconds)
        return [{"goAway": {"timeLeft": duration(fault.seconds)}}]


def normalised(value: Any) -> Any:
    """The value with the protocol's own names in camel case, at every depth."""
    if isinstance(value, list):
        return [normalised(member) for member in value]
    if not isinstance(value, dict):
        return value
    named: dict[str, Any] = {}
    for key, member in value.items():
        name = _camel(key)
        if name in _FOREIGN:
            named[name] = member
        elif name in _NAMES_OF_ITS_OWN and isinstance(member, dict):
            named[name] = {own: normalised(inner) for own, inner in member.items()}
        else:
            named[name] = normalised(member)
    return named


def decoded(data: object) -> bytes:
    """Bytes in base64, of either alphabet and with or without padding.

    Raises:
        Refusal: It is something else.
    """
    try:
        if not isinstance(data, str):
            raise invalid_argument()
        return b64decode(data.replace("-", "+").replace("_", "/") + "=" * (-len(data) % 4), validate=True)
    except Base64Error:
        raise invalid_argument() from None


def duration(seconds: float) -> str:
    """A duration as the protocol writes it."""
    return f"{round(seconds, 3):g}s"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest) if first else name

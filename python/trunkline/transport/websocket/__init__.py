"""WebSocket connections: the client, what client and server share, and the codec."""

from trunkline._native._rust import Close, Failed, Ping, Pong, WebSocketCodec

__all__ = ["Close", "Failed", "Ping", "Pong", "WebSocketCodec"]

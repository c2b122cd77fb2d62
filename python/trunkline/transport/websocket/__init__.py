"""WebSocket connections: the client and what client and server share."""

"""Connections: a WebSocket client, a server for HTTP and WebSocket, an HTTP client, and a stream in memory."""

from trunkline.transport.backoff import Backoff
from trunkline.transport.http.client import HttpClient, HttpResponse
from trunkline.transport.http.headers import Headers
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Handler, Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.memory import MemoryStream, memory_pair
from trunkline.transport.message_stream import MessageStream
from trunkline.transport.record import RecordedStream, Recording, read_recording, recorded
from trunkline.transport.websocket.client import connect_websocket
from trunkline.transport.websocket.connection import WebSocketConnection

__all__ = [
    "Backoff",
    "Handler",
    "Headers",
    "HttpClient",
    "HttpResponse",
    "MemoryStream",
    "MessageStream",
    "RecordedStream",
    "Recording",
    "Request",
    "Response",
    "Route",
    "Server",
    "ServerLimits",
    "Upgrade",
    "WebSocketConnection",
    "connect_websocket",
    "memory_pair",
    "read_recording",
    "recorded",
]

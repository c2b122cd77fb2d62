"""Connections: a WebSocket client, a server for HTTP and WebSocket, an HTTP client, and a stream in memory."""

from trunkline.transport.backoff import Backoff
from trunkline.transport.connection import MessageStream, WebSocketConnection
from trunkline.transport.headers import Headers
from trunkline.transport.http import HttpClient, HttpResponse
from trunkline.transport.limits import ServerLimits
from trunkline.transport.memory import MemoryStream, memory_pair
from trunkline.transport.record import RecordedStream, Recording, read_recording, recorded
from trunkline.transport.routing import Handler, Request, Response, Route, Upgrade
from trunkline.transport.server import Server
from trunkline.transport.websocket import connect_websocket

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

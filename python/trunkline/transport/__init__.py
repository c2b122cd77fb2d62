"""Connections: a WebSocket client, a server for HTTP and WebSocket, an HTTP client, and a stream in memory."""

from trunkline.transport.backoff import Backoff
from trunkline.transport.http.client import HttpClient, HttpResponse
from trunkline.transport.http.headers import Headers
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import BodyWriter, CutBody, Handler, Request, Response, Route, SendBody, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.http.streaming import HttpStream
from trunkline.transport.memory import MemoryStream, memory_pair
from trunkline.transport.record import RecordedStream, Recording, read_recording, recorded
from trunkline.transport.websocket.client import connect_websocket
from trunkline.transport.websocket.connection import MessageStream, WebSocketConnection

__all__ = [
    "Backoff",
    "BodyWriter",
    "CutBody",
    "Handler",
    "Headers",
    "HttpClient",
    "HttpResponse",
    "HttpStream",
    "MemoryStream",
    "MessageStream",
    "RecordedStream",
    "Recording",
    "Request",
    "Response",
    "Route",
    "SendBody",
    "Server",
    "ServerLimits",
    "Upgrade",
    "WebSocketConnection",
    "connect_websocket",
    "memory_pair",
    "read_recording",
    "recorded",
]

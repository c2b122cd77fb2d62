"""Connections: a WebSocket client, a server for HTTP and WebSocket, an HTTP client, a stream in memory, and the lines of the frame path."""

from trunkline.transport.backoff import Backoff
from trunkline.transport.http.client import HttpClient, HttpResponse
from trunkline.transport.http.headers import Headers
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Handler, Request, Response, Route, Upgrade
from trunkline.transport.http.server import Server
from trunkline.transport.line import Line
from trunkline.transport.link import Downlink, DownlinkSink, MediaLink, Uplink, UplinkSink
from trunkline.transport.memory import MemoryStream, memory_pair
from trunkline.transport.message_stream import MessageStream
from trunkline.transport.poller import Poller, SelectorPoller, TaskPoller, open_poller
from trunkline.transport.record import RecordedStream, Recording, read_recording, recorded
from trunkline.transport.websocket.client import connect_websocket
from trunkline.transport.websocket.connection import WebSocketConnection
from trunkline.transport.websocket.state import MessageSink

__all__ = [
    "Backoff",
    "Downlink",
    "DownlinkSink",
    "Handler",
    "Headers",
    "HttpClient",
    "HttpResponse",
    "Line",
    "MediaLink",
    "MemoryStream",
    "MessageSink",
    "MessageStream",
    "Poller",
    "RecordedStream",
    "Recording",
    "Request",
    "Response",
    "Route",
    "SelectorPoller",
    "Server",
    "ServerLimits",
    "TaskPoller",
    "Upgrade",
    "Uplink",
    "UplinkSink",
    "WebSocketConnection",
    "connect_websocket",
    "memory_pair",
    "open_poller",
    "read_recording",
    "recorded",
]

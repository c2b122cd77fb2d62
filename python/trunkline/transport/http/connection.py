"""One connection to the server: requests in turn, until it is closed or becomes a WebSocket."""

import logging
from contextlib import suppress
from dataclasses import replace
from email.utils import format_datetime
from http.client import responses
from typing import cast

import anyio
import anyio.lowlevel
import h11
from anyio.abc import ByteStream
from websockets.http11 import Request as HandshakeRequest
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from trunkline._native._rust import WebSocketCodec
from trunkline.clock import Clock
from trunkline.errors import DeadlineExceeded, TransportError, TrunklineError
from trunkline.transport.http.headers import Headers
from trunkline.transport.http.limits import ServerLimits
from trunkline.transport.http.routing import Handler, Request, Response, Router, Upgrade, refusal
from trunkline.transport.null_logger import SILENT
from trunkline.transport.tcp import CHUNK, STREAM_FAILED
from trunkline.transport.websocket.connection import WebSocketConnection

log = logging.getLogger("trunkline.transport")

HANDSHAKE_HEADERS = {"connection", "upgrade", "origin"}
UNFINISHED = {h11.IDLE, h11.SEND_BODY, h11.MUST_CLOSE, h11.CLOSED, h11.ERROR}  # no request can follow in these states
UPGRADE_HEADERS = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]


class Refused(Exception):
    """The request ends with this response, unheard by any handler."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status)


class Exchange:
    """Serves one byte stream; `failures` counts handlers that raised.

    `drain()` lets the request that is being served be the last, and ends an idle connection at once. `evict()` ends a connection that has
    no complete request head to be served.
    """

    def __init__(
        self, stream: ByteStream, router: Router, limits: ServerLimits, client: tuple[str, int] | None, clock: Clock
    ) -> None:
        self.failures = 0
        self._stream = stream
        self._router = router
        self._limits = limits
        self._client = client
        self._clock = clock
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header)
        self._idle: anyio.CancelScope | None = None
        self._reading_head: anyio.CancelScope | None = None
        self._served = False
        self._head_only = False
        self._draining = False

    def drain(self) -> None:
        """Serve nothing after what is being served now."""
        self._draining = True
        if self._idle is not None:
            self._idle.cancel()

    def evict(self) -> bool:
        """Give the place to another connection; False where a request is being served, or this was done before."""
        waiting = self._idle or self._reading_head
        if waiting is None or self._draining:
            return False
        self._draining = True
        waiting.cancel()
        return True

    # ── the conversation ─────────────────────────────────────────────────────────────────────────────────────────────

    async def serve(self) -> None:
        """Answer requests until either side has enough. The stream is left for the caller to close."""
        try:
            while await self._wait_for_request() and await self._serve_one():
                self._http.start_next_cycle()
        except STREAM_FAILED as error:
            log.debug("a connection was lost: %s", type(error).__name__)

    async def refuse(self, response: Response) -> None:
        """Say only this, whatever was asked."""
        try:
            await self._respond(response)
            await self._linger()
        except STREAM_FAILED as error:
            log.debug("a connection was lost: %s", type(error).__name__)

    async def _wait_for_request(self) -> bool:
        """Whether a request has begun; False when the other side left, or said nothing for too long."""
        if self._draining:
            return False
        if self._http.trailing_data[0]:
            await anyio.lowlevel.checkpoint()  # who sends many requests at once does not keep others waiting
            return True
        begun = False
        limit = self._limits.idle_timeout if self._served else self._limits.first_timeout
        with self._clock.move_on_after(limit) as self._idle:
            begun = bool(await self._feed())
        self._idle = None
        return begun

    async def _serve_one(self) -> bool:
        """Serve one request; whether another may follow."""
        self._served = True
        try:
            request, handler = await self._receive_request()
            response = await self._handled(request, handler)
            if isinstance(response, Upgrade):
                await self._upgrade(request, response, self._accepted(request, response))
                return False
        except Refused as refused:
            response = refused.response
        if not await self._respond(response):
            return False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            return True
        await self._linger()
        return False

    async def _handled(self, request: Request, handler: Handler) -> Response | Upgrade:
        answer: Response | Upgrade = refusal(503)
        try:
            with self._clock.move_on_after(self._limits.handler_timeout) as deadline:
                answer = await handler(request)
        except Exception as error:  # noqa: BLE001 - the barrier: one request's fault is not the server's
            self._report(request, error)
            return refusal(500)
        if deadline.cancelled_caught:
            log.error("%s %s was not answered within %g s", request.method, request.route, self._limits.handler_timeout)
            self.failures += 1
        elif not isinstance(answer, Response | Upgrade):
            self._report(
                request, TypeError(f"a handler returned {type(answer).__name__}, neither Response nor Upgrade")
            )
            return refusal(500)
        if isinstance(answer, Upgrade) and not (
            request.wants_websocket and request.headers.get("sec-websocket-version") == "13"
        ):
            return refusal(426, headers=UPGRADE_HEADERS)
        return answer

    def _report(self, request: Request, error: Exception) -> None:
        self.failures += 1
        log.error("the handler of %s %s failed", request.method, request.route, exc_info=error)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _receive_request(self) -> tuple[Request, Handler]:
        head: object = None
        self._head_only = False
        try:
            with self._clock.move_on_after(self._limits.header_timeout) as deadline:
                self._reading_head = deadline
                head = await self._next_event()
        finally:
            self._reading_head = None
        if deadline.cancelled_caught or not isinstance(head, h11.Request):
            raise Refused(refusal(408 if deadline.cancelled_caught else 400))
        self._head_only = head.method == b"HEAD"
        request = self._understood(head)
        found = self._router.find(request)
        if isinstance(found, Response):
            if not request.headers.get("transfer-encoding") and request.headers.get("content-length", "0") == "0":
                await self._next_event()  # the end of the message, so that another may follow
            raise Refused(found)
        request, handler = found
        body = b""
        with self._clock.move_on_after(self._limits.body_timeout) as deadline:
            body = await self._receive_body(request)
        if deadline.cancelled_caught:
            raise Refused(refusal(408))
        return replace(request, body=body), handler

    def _understood(self, head: h11.Request) -> Request:
        headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items())
        if len(head.target) + sum(len(name) + len(value) + 4 for name, value in headers) > self._limits.header:
            raise Refused(refusal(431))
        target = head.target.decode("latin-1")
        if not target.startswith("/") and "://" in target:  # the absolute form, RFC 9112 section 3.2.2
            _, slash, rest = target.partition("://")[2].partition("/")
            target = f"/{rest}" if slash else "/"
        path, _, query = target.partition("?")
        return Request(
            method=head.method.decode("ascii"),
            path=path,
            query=query,
            headers=headers,
            client=self._client,
            target=target,
        )

    async def _receive_body(self, request: Request) -> bytes:
        if self._length_is_missing(request):
            raise Refused(Response(411, "a body needs a Content-Length, or HTTP/1.1 and chunks\n"))
        length = request.headers.get("content-length", "0")
        if len(length) > 18 or int(length) > self._limits.body:
            raise Refused(refusal(413))
        if self._http.they_are_waiting_for_100_continue:
            await self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > self._limits.body:
                raise Refused(refusal(413))
        return bytes(body)

    def _length_is_missing(self, request: Request) -> bool:
        """Whether there may be a body that nothing tells the end of: it must not be taken for empty.

        HTTP/1.1 has no such bodies (RFC 9112 section 6.3), HTTP/1.0 had (RFC 1945 section 7.2.2).
        """
        return (
            self._http.their_http_version == b"1.0"
            and request.method in {"POST", "PUT", "PATCH"}
            and "content-length" not in request.headers
        )

    async def _next_event(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                await self._feed()
        except h11.RemoteProtocolError as error:
            raise Refused(refusal(error.error_status_hint)) from error
        return event

    async def _feed(self) -> bytes:
        try:
            data = await self._stream.receive(CHUNK)
        except anyio.EndOfStream:
            data = b""
        self._http.receive_data(data)
        return data

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _respond(self, response: Response) -> bool:
        """Whether the response went out whole."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return False
        try:
            data = self._serialized(response)
        except (h11.LocalProtocolError, ValueError) as error:
            self.failures += 1
            log.error("a response with status %s cannot be sent: %s", response.status, type(error).__name__)  # noqa: TRY400 - its values stay out
            self._http = h11.Connection(
                h11.SERVER
            )  # the old one is half through a response; the new one ends the connection
            data = self._serialized(refusal(500))
        return await self._write(data)

    def _serialized(self, response: Response) -> bytes:
        body = response.content
        headers = [*response.headers, ("Date", format_datetime(self._clock.wall(), usegmt=True))]
        if response.content_type is not None:
            headers.append(("Content-Type", response.content_type))
        if response.status not in {204, 304}:
            headers.append(("Content-Length", str(len(body))))
        if self._draining or self._http.their_state in UNFINISHED:
            headers.append(("Connection", "close"))
        reason = responses.get(response.status, "").encode()
        data = self._http.send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
        if body and not self._head_only and response.status not in {204, 304}:
            data += self._http.send(h11.Data(data=body)) or b""
        return data + (self._http.send(h11.EndOfMessage()) or b"")

    async def _write(self, data: bytes) -> bool:
        try:
            await self._stream.send(data)
        except DeadlineExceeded:
            return False
        return True

    async def _linger(self) -> None:
        """Let the other side read the last response: closing on unread data would reset the connection and take it away."""
        with self._clock.move_on_after(self._limits.linger_timeout):
            with suppress(NotImplementedError):  # TLS has no half close here
                await self._stream.send_eof()
            while await self._stream_rest():
                pass

    async def _stream_rest(self) -> bytes:
        try:
            return await self._stream.receive(CHUNK)
        except anyio.EndOfStream:
            return b""

    # ── WebSocket ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _accepted(self, request: Request, upgrade: Upgrade) -> ServerProtocol:
        """The state machine, its answer to the handshake ready to be sent; refused if the handshake is wrong."""
        protocol = ServerProtocol(
            subprotocols=[cast("Subprotocol", upgrade.subprotocol)] if upgrade.subprotocol else None,
            logger=SILENT,
        )
        # It must read a request before it takes frames, so it is shown what matters of the one that h11 read.
        lines = [
            f"{name}: {value}\r\n"
            for name, value in request.headers
            if name.lower() in HANDSHAKE_HEADERS or name.lower().startswith("sec-websocket-")
        ]
        protocol.receive_data(f"GET / HTTP/1.1\r\n{''.join(lines)}\r\n".encode("latin-1"))
        shown = protocol.events_received()
        answer = protocol.accept(shown[0]) if shown and isinstance(shown[0], HandshakeRequest) else None
        if answer is None or answer.status_code != 101:
            raise Refused(refusal(400))
        protocol.send_response(answer)
        return protocol

    async def _upgrade(self, request: Request, upgrade: Upgrade, protocol: ServerProtocol) -> None:
        if not await self._write(b"".join(protocol.data_to_send())):
            return
        connection = WebSocketConnection(
            self._stream,
            WebSocketCodec(is_client=False, max_size=upgrade.max_size),
            received=self._http.trailing_data[0],
            subprotocol=protocol.subprotocol,
            ping_interval=upgrade.ping_interval,
            ping_timeout=upgrade.ping_timeout,
            send_timeout=self._limits.write_timeout,
            close_timeout=self._limits.close_timeout,
            clock=self._clock,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connection.keep_alive)
            code, reason = 1001, "going away"
            try:
                await upgrade.run(connection)
                code, reason = 1000, ""
            except Exception as error:  # noqa: BLE001 - the barrier again
                code, reason = 1011, "internal error"
                self._report_end(request, error)
            finally:
                await connection.aclose(code, reason)
                tasks.cancel_scope.cancel()

    def _report_end(self, request: Request, error: Exception) -> None:
        """A connection that ended under its handler is no failure of it."""
        ours = error.split(TransportError)[1] if isinstance(error, ExceptionGroup) else error
        if ours is None or isinstance(ours, TransportError):
            said = str(error) if isinstance(error, TrunklineError) else type(error).__name__
            log.info("%s ended: %s", request.route, said)
        else:
            self._report(request, error)

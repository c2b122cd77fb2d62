"""How the media of an accepted call comes in over a WebSocket, whoever the carrier is.

The carrier opens a socket at an address that holds a token. The token says which call it is; the carrier's first messages must say the
same, in time, before the call begins.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from trunkline.clock import Clock
from trunkline.errors import (
    CallRejected,
    DeadlineExceeded,
    RemoteProtocolError,
    SignatureInvalid,
    TransportError,
)
from trunkline.gateway.admission import Admission
from trunkline.gateway.config import CallInfo, Logger
from trunkline.telephony.line import CallLine
from trunkline.transport import Request, Response, Route, Upgrade, WebSocketConnection
from trunkline.wire.telephony.events import StreamStarted

MEDIA_PATH: Final = "/ws/media-stream/"
"""Where media sockets are opened; the token follows."""

MAX_MESSAGE: Final = 65_536
"""Bytes of one message. The longest that a carrier sends, 60 ms of linear audio at 16 kHz in base64, has 3,000."""

PROTOCOL_ERROR: Final = 1002
TRY_AGAIN_LATER: Final = 1013
"""Close codes, RFC 6455 section 7.4.1 and its registry."""


class MediaDoor:
    """Takes in the media sockets of accepted calls.

    Args:
        admission: Who is expected.
        open_line: Makes the carrier's line of an open socket.
        verify: Raises `SignatureInvalid` where the carrier signs its upgrades and this one is not.
        carry: Runs the call on its line, to its end.
        start_timeout: Seconds in which a line must give `StreamStarted`.
        logger: Where refusals are told.
        clock: What the timeout is measured by.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        open_line: Callable[[WebSocketConnection], CallLine],
        verify: Callable[[Request], None],
        carry: Callable[[CallInfo, CallLine], Awaitable[None]],
        start_timeout: float,
        logger: Logger,
        clock: Clock,
    ) -> None:
        self._admission = admission
        self._open_line = open_line
        self._verify = verify
        self._carry = carry
        self._start_timeout = start_timeout
        self._logger = logger
        self._clock = clock

    @property
    def route(self) -> Route:
        """The route of the media sockets."""
        return Route("GET", MEDIA_PATH + "{token}", self._handle)

    async def _handle(self, request: Request) -> Response | Upgrade:
        try:
            self._verify(request)
        except SignatureInvalid as error:
            return refused(request, str(error), self._logger)
        if not request.wants_websocket:  # asked before the token is used up
            return Response(426, "this address is for a WebSocket\n", headers=[("Upgrade", "websocket")])
        info = self._admission.redeem(request.params["token"])
        if info is None:
            return refused(request, "its token is unknown, used or too old", self._logger)
        return Upgrade(partial(self._enter, info), max_size=MAX_MESSAGE)

    async def _enter(self, info: CallInfo, socket: WebSocketConnection) -> None:
        try:
            with self._admission.arrival(info.call_id):
                line = self._open_line(socket)
                await self._wait_for_start(info, line)
                await self._carry(info, line)
        except CallRejected as rejected:
            self._logger.warning("call %s: its media came too late: %s", info.call_id, rejected.reason)
            await socket.aclose(TRY_AGAIN_LATER)
        except _NotStarted as failed:
            self._logger.warning("call %s: its media did not begin: %s", info.call_id, failed)
            await socket.aclose(PROTOCOL_ERROR)

    async def _wait_for_start(self, info: CallInfo, line: CallLine) -> None:
        try:
            with self._clock.move_on_after(self._start_timeout):
                while not isinstance(event := await line.receive(), StreamStarted):
                    pass
                if event.call_id and event.call_id != info.call_id:  # some carriers leave it to the token alone
                    raise _NotStarted("it belongs to another call")
                if event.format != line.traits.format:
                    raise _NotStarted(f"its audio is {event.format}, not {line.traits.format}")
                for name, value in event.parameters.items():
                    info.parameters.setdefault(name, value)
                return
        except (TransportError, RemoteProtocolError) as error:
            raise _NotStarted(error) from error
        raise _NotStarted(DeadlineExceeded("the start of the media", self._start_timeout))


class _NotStarted(Exception):
    """The media socket is not that of its call, or says nothing."""


def refused(request: Request, why: str, logger: Logger) -> Response:
    """The answer to a request that does not come from the carrier, which is told nothing; the log is told why."""
    logger.warning("%s %s from %s is refused: %s", request.method, request.route, request.client, why)
    return Response(403, "forbidden\n")

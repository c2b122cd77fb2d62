"""Twilio's REST interface on loopback, and the exchange behind it, which rings the phones that a gateway dials."""

import base64
import hmac
import json
import math
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from os import PathLike
from ssl import SSLContext
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import parse_qs

import anyio
from anyio.abc import TaskGroup

from trunkline.clock import SYSTEM_CLOCK, Clock
from trunkline.testing.twilio.callee import TwilioCallee
from trunkline.testing.twilio.orders import UNLISTED, CommandRefused, Order, read_instructions, read_order
from trunkline.testing.twilio.phone import PhoneCall, make_phone_call
from trunkline.testing.twilio.resources import Recording, call_resource
from trunkline.testing.twilio.switch import StreamSetup
from trunkline.testing.twilio.webhooks import SIGNINGS, CallbackSetup, CallRecord
from trunkline.transport import Request, Response, Route, Server, ServerLimits

CALLS: Final = "/2010-04-01/Accounts/{account}/Calls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """A command is answered with an error instead of being obeyed.

    Args:
        status: The HTTP status.
        code: Twilio's code.
        message: Its sentence.
        retry_after: Seconds, in the header `Retry-After`; None for no such header.
        problem: Answer in the shape of the newer services, `application/problem+json`.
    """

    status: int = 429
    code: int = 20429
    message: str = "Too Many Requests"
    retry_after: int | None = None
    problem: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hang:
    """A command is never answered, and not obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A command is obeyed after so many seconds."""

    seconds: float = 0.0


Fault = Refuse | Hang | Late
"""What befalls a command."""


class TwilioSimulator:
    """Twilio's REST interface for calls, and the phones that are called through it. The official SDK works against it unchanged.

    .. code-block:: python

        async with TwilioSimulator(account_sid=account_sid, auth_token=auth_token) as carrier:
            gateway = TwilioGateway(account_sid=account_sid, auth_token=auth_token, api_base_url=carrier.url)
            async with gateway, carrier.next_call() as phone:
                session = await gateway.make_call("+15550100003")
                await phone.answer()

    A call for which no phone waits rings until one takes it with `next_call()`, or until its timeout. Calls can be created, read, listed,
    redirected and ended, and their recordings started, paused and stopped; one-way streams are not simulated. What Twilio asks of the
    gateway and tells it is signed as everywhere.

    Args:
        account_sid: The account.
        auth_token: Its token: what commands must carry and callbacks are signed with.
        api_keys: Secrets by id, of keys that may be used in its place.
        sign: True as Twilio does, False not at all, "wrong" with another token.
        status_out_of_order: Deliver the last status callback of a call first.
        status_copies: How often each callback is made.
        mute_callbacks: Deliver no status callback at all.
        mark_delay_ms: How much later than it was reached a mark is returned.
        queue_time_ms: How long created calls wait before they ring, as an account's rate of calls makes them.
        tls: What to trust on `https` and `wss`; the system's certificates if None.
        clock: Whose seconds all of this goes by.
        port: 0 for any free one.

    Attributes:
        commands: Each request so far: method, path below the account, and the fields of its body.
    """

    def __init__(
        self,
        *,
        account_sid: str,
        auth_token: str,
        api_keys: Mapping[str, str] | None = None,
        sign: bool | Literal["wrong"] = True,
        status_out_of_order: bool = False,
        status_copies: int = 1,
        mute_callbacks: bool = False,
        mark_delay_ms: float = 0,
        queue_time_ms: float = 0,
        tls: SSLContext | None = None,
        clock: Clock = SYSTEM_CLOCK,
        port: int = 0,
    ) -> None:
        self.account_sid = account_sid
        self.commands: list[tuple[str, str, dict[str, list[str]]]] = []
        self._secrets = {account_sid: auth_token, **(api_keys or {})}
        self._auth_token = auth_token
        self._signing = SIGNINGS[sign]
        self._out_of_order = status_out_of_order
        self._copies = status_copies
        self._muted = mute_callbacks
        self._queue_time_s = queue_time_ms / 1000
        self._streams = StreamSetup(
            auth_token=auth_token,
            signing=self._signing,
            signed_as="wss",
            mark_delay_ms=mark_delay_ms,
            tls=tls,
            connect_timeout=5.0,
        )
        self._clock = clock
        self._calls: dict[str, PhoneCall] = {}
        self._recordings: dict[str, Recording] = {}
        self._unclaimed: deque[PhoneCall] = deque()
        self._waiting: deque[TwilioCallee] = deque()
        self._faults: deque[Fault] = deque()
        self._tasks: TaskGroup | None = None
        routes = [
            Route(method, path, self._handle)
            for method in ("GET", "POST")
            for path in (
                f"{CALLS}.json",
                f"{CALLS}/{{call}}",
                f"{CALLS}/{{call}}/{{kind}}",
                f"{CALLS}/{{call}}/{{kind}}/{{id}}",
            )
        ]
        limits = ServerLimits(handler_timeout=math.inf)
        self._server = Server(routes, port=port, grace=0.0, limits=limits)

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        try:
            await self._server.start(self._tasks)
        except BaseException:
            self._tasks.cancel_scope.cancel()
            await self._tasks.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None  # noqa: S101 - set on entry
        try:
            await self._server.aclose()
        finally:
            self._tasks.cancel_scope.cancel()
            # An error of the block is not the group's: passing it in would bring it back inside an ExceptionGroup.
            await self._tasks.__aexit__(None, None, None)

    @property
    def url(self) -> str:
        """Its address, which takes the place of Twilio's own."""
        return self._server.url

    def next_call(
        self, *, speech: str | PathLike[str] | bytes | None = None
    ) -> AbstractAsyncContextManager[TwilioCallee]:
        """The phone that the next call rings: one that was dialled and has no phone yet, or else the next that is."""
        phone = TwilioCallee(speech=speech, clock=self._clock)
        if self._unclaimed:
            phone.connect(self._unclaimed.popleft())
        else:
            self._waiting.append(phone)
        return phone

    def script(self, faults: Iterable[Fault]) -> None:
        """What befalls the next commands, in order; those after them are obeyed. `Late()` is for one that is obeyed between two faults."""
        self._faults.extend(faults)

    def take(self, call: PhoneCall) -> None:
        """Know of a call that came in, so that commands reach it."""
        self._calls[call.record.call_sid] = call

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _handle(self, request: Request) -> Response:
        fields = parse_qs(request.body.decode(), keep_blank_values=True)
        self.commands.append((request.method, request.path.partition(self.account_sid)[2], fields))
        match self._faults.popleft() if self._faults else None:
            case Hang():
                await anyio.sleep_forever()
            case Late(seconds=seconds):
                await self._clock.sleep_until(self._clock.now() + seconds)
            case Refuse() as refusal:
                return _refusal(refusal)
        if not self._is_authorized(request):
            return _refusal(Refuse(status=401, code=20003, message="Authenticate"))
        try:
            status, value = await self._obey(request, fields)
        except CommandRefused as refused:
            return _refusal(Refuse(status=refused.status, code=refused.code, message=str(refused)))
        return Response(status, json.dumps(value), media_type="application/json")

    def _is_authorized(self, request: Request) -> bool:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
        except ValueError:
            return False
        known = self._secrets.get(user)
        return (
            scheme.lower() == "basic"
            and request.params["account"] == self.account_sid
            and known is not None
            and hmac.compare_digest(known.encode(), password.encode())
        )

    async def _obey(self, request: Request, fields: Mapping[str, list[str]]) -> tuple[int, Any]:
        posts = request.method == "POST"
        if "call" not in request.params:
            if posts:
                return 201, self._resource(await self._create(read_order(fields)))
            return 200, self._listed(parse_qs(request.query))
        call = self._calls.get(request.params["call"].removesuffix(".json"))
        if call is None:
            raise CommandRefused(404, 20404, f"The requested resource {request.path} was not found")
        kind = request.params.get("kind", "")
        if not kind:
            if posts:
                await self._change(call, fields)
            return 200, self._resource(call)
        if posts and kind in {"Recordings.json", "Recordings"}:
            return self._record(call, request.params.get("id", ""), fields)
        raise CommandRefused(404, 20404, f"The requested resource {request.path} was not found")

    def _resource(self, call: PhoneCall) -> dict[str, Any]:
        return call_resource(call, queue_time_ms=round(self._queue_time_s * 1000))

    def _listed(self, query: Mapping[str, list[str]]) -> dict[str, Any]:
        wanted, size = query.get("Status", [""])[0], int(query.get("PageSize", ["50"])[0])
        calls = [call for call in self._calls.values() if wanted in {"", call.switch.status}]
        return {"calls": [self._resource(call) for call in calls[:size]], "next_page_uri": None, "page_size": size}

    # ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _create(self, order: Order) -> PhoneCall:
        record = CallRecord(
            from_=order.from_,
            to=order.to,
            account_sid=self.account_sid,
            extra_fields={},
            direction="outbound-api",
            clock=self._clock,
        )
        callbacks = CallbackSetup(
            auth_token=self._auth_token,
            signing=self._signing,
            status_callback_url=None if self._muted else order.status_callback,
            status_events=order.status_events,
            out_of_order=self._out_of_order,
            copies=self._copies,
            tls=self._streams.tls,
        )
        call = make_phone_call(record, callbacks, self._streams, clock=self._clock)
        self._calls[record.call_sid] = call
        assert self._tasks is not None  # noqa: S101 - it serves
        self._tasks.start_soon(self._ring, call, order)
        if order.record:
            self._recordings[record.call_sid] = Recording(record, channels=order.record)
        if self._waiting:
            self._waiting.popleft().connect(call)
        else:
            self._unclaimed.append(call)
        return call

    async def _ring(self, call: PhoneCall, order: Order) -> None:
        await self._clock.sleep_until(self._clock.now() + self._queue_time_s)
        async with call.webhooks:
            await call.switch.ring(order.instructions)
        if call in self._unclaimed:
            self._unclaimed.remove(call)

    async def _change(self, call: PhoneCall, fields: Mapping[str, list[str]]) -> None:
        status = fields.get("Status", [""])[0]
        instructions = read_instructions(fields)
        if call.switch.ended:
            raise CommandRefused(400, 21220, "Call is not in-progress. Cannot redirect.")
        if status == "canceled":
            if call.switch.is_answered:
                raise CommandRefused(400, 21220, "Call is in-progress. Cannot cancel.")
            call.switch.pick_up("canceled")
        elif status == "completed":
            await call.switch.complete()
        elif status:
            raise CommandRefused(400, UNLISTED, f"Status {status!r} is neither completed nor canceled")
        elif instructions is not None:
            if not call.switch.is_answered:
                raise CommandRefused(400, 21220, "Call is not in-progress. Cannot redirect.")
            await call.switch.redirect(instructions)

    def _record(self, call: PhoneCall, which: str, fields: Mapping[str, list[str]]) -> tuple[int, Any]:
        sid = call.record.call_sid
        if not which:
            if not call.switch.is_answered or call.switch.ended:
                raise CommandRefused(400, 21220, "Call is not in-progress. Cannot record.")
            self._recordings[sid] = Recording(call.record, channels=fields.get("RecordingChannels", ["mono"])[0])
            return 201, self._recordings[sid].resource()
        recording = self._recordings.get(sid)
        if recording is None or which.removesuffix(".json") not in {"Twilio.CURRENT", recording.sid}:
            raise CommandRefused(404, 20404, "The requested recording was not found")
        recording.change(fields.get("Status", [""])[0])
        return 200, recording.resource()


def _refusal(refusal: Refuse) -> Response:
    headers = [] if refusal.retry_after is None else [("Retry-After", str(refusal.retry_after))]
    more = f"https://www.twilio.com/docs/errors/{refusal.code}"
    if refusal.problem:
        problem = {
            "type": more,
            "title": refusal.message,
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.message,
        }
        return Response(refusal.status, json.dumps(problem), headers=headers, media_type="application/problem+json")
    error = {"code": refusal.code, "message": refusal.message, "more_info": more, "status": refusal.status}
    return Response(refusal.status, json.dumps(error), headers=headers, media_type="application/json")

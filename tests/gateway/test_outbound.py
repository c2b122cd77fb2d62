"""Calls that the gateway makes: dialled over Twilio's REST interface, with a simulated exchange and phones behind it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.carrier import PlainGateway, fake
from tests.gateway.conftest import AUTH_TOKEN
from trunkline.audio import wav
from trunkline.clock import ScaledClock
from trunkline.errors import (
    AuthFailed,
    CallNotFound,
    CallRejected,
    InvalidConfig,
    RateLimited,
    RequestRejected,
    SessionClosed,
)
from trunkline.gateway import CallSession, Event
from trunkline.gateway.twilio import TwilioGateway
from trunkline.testing import TwilioCaller, TwilioSimulator
from trunkline.testing.fake_provider import FakeProvider
from trunkline.testing.twilio import Hang, Late, Refuse
from trunkline.transport import Request, Response, Route, Server

pytestmark = pytest.mark.anyio

ACCOUNT = "AC00000000000000000000000000000001"
OURS, THEIRS = "+15550100002", "+15550100003"


@dataclass
class World:
    gateway: TwilioGateway
    carrier: TwilioSimulator
    provider: FakeProvider
    clock: ScaledClock
    events: list[Event] = field(default_factory=list)

    async def follow(self, session: CallSession) -> list[Event]:
        """All events of a call, to its end."""
        with anyio.fail_after(20):
            return [event async for event in session.events()]

    def caller(self) -> TwilioCaller:
        return TwilioCaller(
            webhook_url=f"{self.gateway.url}/voice/inbound",
            auth_token=AUTH_TOKEN,
            account_sid=ACCOUNT,
            carrier=self.carrier,
            clock=self.clock,
        )

    def posts(self, path: str) -> list[dict[str, list[str]]]:
        return [fields for method, known, fields in self.carrier.commands if method == "POST" and known == path]


@asynccontextmanager
async def world(carrier: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[World]:
    clock = ScaledClock(10)
    provider = fake()
    async with TwilioSimulator(account_sid=ACCOUNT, auth_token=AUTH_TOKEN, clock=clock, **(carrier or {})) as simulator:
        settings: dict[str, Any] = {
            "account_sid": ACCOUNT,
            "auth_token": AUTH_TOKEN,
            "phone_number": OURS,
            "listen_addr": "127.0.0.1:0",
            "api_base_url": simulator.url,
            "realtime_provider": provider,
            "stop_timeout": 1.0,
        }
        gateway = TwilioGateway(**(settings | options), clock=clock)
        async with gateway:
            yield World(gateway, simulator, provider, clock)


async def until(reached: Callable[[], object]) -> None:
    with anyio.fail_after(10):
        while not reached():
            await anyio.wait_all_tasks_blocked()


def states(events: list[Event]) -> list[str]:
    return [event.data["state"] for event in events if event.type == "call_state"]


def reason(events: list[Event]) -> str:
    return str(events[-1].data["reason"])


# ── a call and its states ────────────────────────────────────────────────────────────────────────────────────────────


async def test_call_that_is_answered_is_a_session_from_the_dialling_on() -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        assert (session.direction, session.from_, session.to) == ("outbound", OURS, THEIRS)
        assert session.is_active
        assert session.state == "initiated"
        assert on.gateway.get_session(session.id) is session
        assert on.gateway.list_sessions() == [session]
        with pytest.raises(SessionClosed):
            await session.send_text("too early")
        await phone.answer()
        assert phone.call_sid == session.id
        await until(lambda: session.state == "answered" and on.provider.sessions)
        await phone.hang_up()
        events = await on.follow(session)
        assert states(events) == ["initiated", "ringing", "answered"]
        assert "session_started" in [event.type for event in events]
        assert reason(events) == "caller_hung_up"
        assert str(session.state) == "completed"
        await until(lambda: not on.gateway.list_sessions())
        assert phone.warnings == []
        assert phone.errors == []


async def test_ringing_is_neither_silence_of_the_line_nor_recorded(tmp_path: Path) -> None:
    async with world(media_timeout=20.0, recording_dir=tmp_path) as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS, timeout=60)
        await phone.rings()
        await on.clock.sleep_until(on.clock.now() + 25)
        await phone.answer()
        await until(lambda: session.state == "answered" and on.provider.sessions)
        await phone.hang_up()
        assert reason(await on.follow(session)) == "caller_hung_up"
        await until(lambda: not on.gateway.list_sessions() and not on.gateway._admission._places)
        assert session.recording is not None
        assert len(wav.read(session.recording)[1]) < 25 * 8000 * 2 * 2


@pytest.mark.parametrize(
    ("what", "state"), [("busy", "busy"), ("no_answer", "no_answer"), ("fail", "failed")], ids=["busy", "no", "failed"]
)
async def test_call_that_nobody_takes_ends_with_its_state(what: str, state: str) -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await getattr(phone, what)()
        events = await on.follow(session)
        assert states(events) == ["initiated", "ringing", state]
        assert reason(events) == state
        assert session.state == state
        assert not session.is_active
        assert not on.provider.sessions
        assert len(on.posts("/Calls.json")) == 1
        assert on.posts(f"/Calls/{session.id}.json") == []
        await until(lambda: on.gateway.get_session(session.id) is None)


async def test_phone_that_takes_a_call_which_rings_already() -> None:
    async with world() as on:
        session = await on.gateway.make_call(THEIRS)
        async with on.carrier.next_call() as phone:
            await phone.answer()
            await until(lambda: session.state == "answered")


async def test_ring_that_nobody_hears_ends_after_its_timeout() -> None:
    async with world() as on:
        session = await on.gateway.make_call(THEIRS, timeout=5)
        assert reason(await on.follow(session)) == "no_answer"
        assert on.posts("/Calls.json")[0]["Timeout"] == ["5"]


@pytest.mark.parametrize("carrier", [{"status_out_of_order": True}, {"status_copies": 3}, {"mute_callbacks": True}])
async def test_callbacks_in_any_order_repeated_or_missing_do_no_harm(carrier: dict[str, Any]) -> None:
    async with world(carrier) as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await phone.answer()
        await until(lambda: session.state == "answered")
        await phone.hang_up()
        events = await on.follow(session)
        assert states(events)[0] == "initiated"
        assert states(events)[-1] in {"answered", "completed"}
        assert len(set(states(events))) == len(states(events))
        assert [str(event.type) for event in events].count("session_ended") == 1


async def test_carrier_that_never_tells_how_it_went_is_asked_to_hang_up() -> None:
    async with world({"mute_callbacks": True}) as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS, timeout=60)
        await phone.rings()
        with anyio.fail_after(20):
            await session.wait_closed()
        assert session.state == "no_answer"
        await until(lambda: on.posts(f"/Calls/{session.id}.json"))


async def test_session_that_is_closed_while_it_rings_stops_the_ringing() -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await phone.rings()
        await session.close("changed my mind")
        await phone.wait_ended()
        assert reason(await on.follow(session)) == "changed my mind"
        assert on.posts(f"/Calls/{session.id}.json") == [{"Status": ["completed"]}]
        assert [event for _, event in phone.timeline][-1] == "completed canceled"


async def test_session_that_is_closed_hangs_up() -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await phone.answer()
        await until(lambda: session.state == "answered")
        await session.close()
        await phone.wait_ended()
        assert phone.ended_by == "server"


# ── what can be asked for ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("by", "told"), [("human", "human"), ("machine_end_beep", "machine"), ("fax", "fax"), ("unknown", "unknown")]
)
async def test_result_of_machine_detection_is_an_event(by: Any, told: str) -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS, machine_detection="message_end")
        await phone.answer(by)
        await until(lambda: session.state == "answered")
        await phone.hang_up()
        (found,) = [event for event in await on.follow(session) if event.type == "answering_machine"]
        assert found.data == {"answered_by": told, "detail": by}
        assert on.posts("/Calls.json")[0]["MachineDetection"] == ["DetectMessageEnd"]


async def test_what_is_asked_for_is_ordered_and_nothing_else() -> None:
    async with world() as on:
        await on.gateway.make_call(THEIRS, from_="+15550100009", timeout=12, machine_detection=True, record=True)
        await on.gateway.make_call(THEIRS)
        full, plain = on.posts("/Calls.json")
    assert full["From"] == ["+15550100009"]
    assert full["Timeout"] == ["12"]
    assert full["Record"] == ["true"]
    assert full["RecordingChannels"] == ["dual"]
    assert full["MachineDetection"] == ["Enable"]
    assert full["AsyncAmd"] == ["true"]
    assert full["StatusCallbackEvent"] == ["initiated", "ringing", "answered", "completed"]
    assert plain["From"] == [OURS]
    assert plain.keys() & {"Record", "MachineDetection", "AsyncAmd"} == set()


async def test_status_callback_of_the_application_is_told_each_state_in_order() -> None:
    told: list[dict[str, Any]] = []

    async def listen(request: Request) -> Response:
        told.append(json.loads(request.body))
        return Response(503 if len(told) == 1 else 204)  # the first is told again

    async with Server([Route("POST", "/told", listen)]) as server, world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS, status_callback=f"{server.url}/told")
        await phone.busy()
        await until(lambda: told and told[-1]["type"] == "session_ended")
        assert [news["data"].get("state") or news["data"]["reason"] for news in told] == [
            "initiated",
            "initiated",
            "ringing",
            "busy",
            "busy",
        ]
        assert {news["call_id"] for news in told} == {session.id}


# ── what cannot be ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"to": "555 0100"}, "to"),
        ({"to": ""}, "to"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 601}, "timeout"),
        ({"status_callback": "nowhere"}, "status_callback"),
    ],
)
async def test_call_that_cannot_be_made_is_refused_before_anything_is_sent(options: dict[str, Any], field: str) -> None:
    async with world() as on:
        with pytest.raises(InvalidConfig) as caught:
            await on.gateway.make_call(**({"to": THEIRS} | options))
        assert caught.value.field == field
        assert on.carrier.commands == []


async def test_gateway_without_number_or_credentials_makes_no_call() -> None:
    async with world(phone_number="") as on:
        with pytest.raises(InvalidConfig, match="from_"):
            await on.gateway.make_call(THEIRS)
    options: dict[str, Any] = {"auth_token": AUTH_TOKEN, "phone_number": OURS, "listen_addr": "127.0.0.1:0"}
    async with TwilioGateway(**options, realtime_provider=fake()) as without:
        with pytest.raises(InvalidConfig, match="credentials"):
            await without.make_call(THEIRS)
    with pytest.raises(InvalidConfig, match="not running"):
        await on.gateway.make_call(THEIRS)
    async with PlainGateway() as plain:
        with pytest.raises(InvalidConfig, match="makes no calls"):
            await plain.make_call(THEIRS)


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        (Refuse(status=401, code=20003), AuthFailed, "20003"),
        (Refuse(status=400, code=21211, message="Invalid 'To' Phone Number"), RequestRejected, "21211"),
        (Refuse(status=400, code=21211, problem=True), RequestRejected, "21211"),
        (Refuse(status=429, code=20429, retry_after=3600), RateLimited, "20429"),
    ],
)
async def test_refusal_of_the_carrier_is_a_typed_error_with_its_code(fault: Refuse, error: Any, code: str) -> None:
    async with world() as on:
        on.carrier.script([fault])
        with pytest.raises(error) as caught:
            await on.gateway.make_call(THEIRS)
        assert caught.value.code == code
        assert caught.value.vendor == "twilio"
        assert AUTH_TOKEN not in f"{caught.value!r}{caught.value}"
        assert on.gateway.list_sessions() == []


async def test_carrier_that_asks_to_wait_is_asked_again() -> None:
    async with world() as on:
        on.carrier.script([Refuse(retry_after=1), Refuse(retry_after=1)])
        assert (await on.gateway.make_call(THEIRS)).is_active
        assert len(on.posts("/Calls.json")) == 3


async def test_places_are_for_outbound_calls_too() -> None:
    async with world(max_concurrent_calls=1) as on:
        first = await on.gateway.make_call(THEIRS)
        with pytest.raises(CallRejected, match="busy"):
            await on.gateway.make_call(THEIRS)
        assert len(on.posts("/Calls.json")) == 1
        async with on.caller() as call:
            assert call.refused == "busy"
        await first.close()
        await until(lambda: on.gateway.list_sessions() == [])
        await until(lambda: len(on.posts(f"/Calls/{first.id}.json")) == 1)
        await until(lambda: not on.gateway._admission.full)
        await on.gateway.make_call(THEIRS)


async def test_cancelled_dialling_leaves_no_call() -> None:
    async with world() as on:
        for fault, hung_up in ((Hang(), 0), (Late(seconds=5), 1)):
            on.carrier.script([fault])
            with anyio.move_on_after(0.1) as scope:
                await on.gateway.make_call(THEIRS)
            assert scope.cancelled_caught
            await until(lambda: not on.gateway._admission._places)
            assert on.gateway.list_sessions() == []
            ended = [fields for _, _, fields in on.carrier.commands if fields == {"Status": ["completed"]}]
            assert len(ended) == hung_up


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

Dialled = Callable[[World], Any]


@asynccontextmanager
async def outbound(on: World) -> AsyncIterator[tuple[CallSession, Any]]:
    async with on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await phone.answer()
        await until(lambda: session.state == "answered" and on.provider.sessions)
        yield session, phone


@asynccontextmanager
async def inbound(on: World) -> AsyncIterator[tuple[CallSession, Any]]:
    async with on.caller() as caller:
        await until(lambda: on.gateway.list_sessions() and on.provider.sessions)
        yield on.gateway.list_sessions()[0], caller


@pytest.mark.parametrize("direction", [outbound, inbound])
async def test_keys_are_pressed_and_the_call_goes_on(direction: Dialled) -> None:
    async with world() as on, direction(on) as (session, phone):
        before = phone.start["streamSid"]
        await session.send_dtmf("12w#")
        assert phone.played_digits == ["12w#"]
        assert phone.start["streamSid"] != before
        assert session.is_active
        assert on.gateway.list_sessions() == [session]
        assert len(on.provider.sessions) == 1
        phone.say(b"\x20" * 1600)
        await phone.said()
        await session.send_dtmf("3")
        assert phone.played_digits == ["12w#", "3"]
        await phone.hang_up()
        assert reason(await on.follow(session)) == "caller_hung_up"


@pytest.mark.parametrize("direction", [outbound, inbound])
async def test_transfer_connects_the_caller_and_ends_the_session(direction: Dialled) -> None:
    async with world() as on, direction(on) as (session, phone):
        await session.transfer("+15550100007", from_=OURS)
        assert reason(await on.follow(session)) == "transferred"
        await phone.wait_ended()
        assert phone.dialled == ["+15550100007"]


@pytest.mark.parametrize(
    "command", [lambda session: session.send_dtmf("1"), lambda session: session.transfer("+15550100007")]
)
async def test_refused_command_leaves_the_call_as_it_was(command: Callable[[CallSession], Awaitable[None]]) -> None:
    async with world() as on, outbound(on) as (session, phone):
        on.carrier.script([Refuse(status=400, code=21219)])
        with pytest.raises(RequestRejected):
            await command(session)
        assert session.is_active
        await phone.hang_up()
        assert reason(await on.follow(session)) == "caller_hung_up"
        with pytest.raises(CallNotFound):
            await command(session)


@pytest.mark.parametrize("digits", ["", "1 2", "x", "\uff11"])
async def test_keys_that_are_none_are_refused(digits: str) -> None:
    async with world() as on, outbound(on) as (session, _):
        with pytest.raises(InvalidConfig, match="digits"):
            await session.send_dtmf(digits)


async def test_caller_who_hangs_up_during_the_keys_ends_the_call() -> None:
    async with world() as on, outbound(on) as (session, phone):
        async with anyio.create_task_group() as tasks:

            async def press() -> None:
                with pytest.raises(Exception, match=r"did not come back|not in progress"):
                    await session.send_dtmf("1WWWWWWWW")

            tasks.start_soon(press)
            await phone.wait_for("play")
            await phone.hang_up()
        assert reason(await on.follow(session)) in {"carrier_completed", "caller_hung_up"}


async def test_gateway_that_stops_hangs_up_what_rings() -> None:
    async with world() as on, on.carrier.next_call() as phone:
        session = await on.gateway.make_call(THEIRS)
        await phone.rings()
        await on.gateway.stop()
        assert not session.is_active
        await phone.wait_ended()

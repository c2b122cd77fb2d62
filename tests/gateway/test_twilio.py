"""Whole calls over real sockets: caller, Twilio's protocol, gateway, bridge, OpenAI's protocol, model."""

import json
import logging
import math
import threading
from array import array
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest

from tests.gateway.conftest import AUTH_TOKEN, StageFactory
from trunkline.audio import TWILIO, AudioFormat, convert
from trunkline.clock import ManualClock
from trunkline.errors import CallRejected, ConnectionLost, InvalidConfig
from trunkline.gateway import CallInfo, EventType
from trunkline.gateway.twilio import TwilioGateway
from trunkline.realtime import OpenAIRealtimeProvider
from trunkline.testing import CallTool, Say, ScriptedBrain
from trunkline.testing.openai import Drop
from trunkline.transport import connect_websocket


def tone(duration_ms: int) -> bytes:
    """Something loud, as µ-law."""
    wave = array("h", (round(12000 * math.sin(2 * math.pi * 400 * n / 8000)) for n in range(8 * duration_ms)))
    return convert(wave.tobytes(), AudioFormat(encoding="linear16", sample_rate=8000), TWILIO)


def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


async def test_a_call_with_a_question_a_tool_and_an_answer(stage: StageFactory) -> None:
    brain = ScriptedBrain(
        transcripts=["what is the weather in London"],
        answers=[[Say("Hello.")], [CallTool("get_weather", {"city": "London"})], [Say("It rains in London.")]],
    )
    async with stage(brain, greeting="Hello.", tools=[get_weather]) as on:
        async with on.caller() as call:
            await on.until(EventType.AGENT_SPEECH_END)
            assert on.gateway.get_session(on.sessions[0].id) is on.sessions[0]
            call.say(tone(800))
            await on.until(EventType.AGENT_SPEECH_END, count=2)
            await call.hang_up()
        await on.until(EventType.SESSION_ENDED)
        session = on.sessions[0]
        assert [(turn.role, turn.text) for turn in session.transcript()] == [
            ("agent", "Hello."),
            ("user", "what is the weather in London"),
            ("agent", "It rains in London."),
        ]
        (tool,) = session.transcript()[2].tool_calls
        assert (tool.name, tool.arguments, tool.result) == ("get_weather", {"city": "London"}, "rain in London")
        assert on.of(EventType.SESSION_ENDED)[0].data == {"reason": "caller_hung_up"}
        assert on.of(EventType.ERROR) == []
        assert call.warnings == []
        assert call.errors == []
        metrics = session.metrics()
        assert (metrics.user_turn_count, metrics.agent_turn_count, metrics.tool_call_count) == (1, 2, 1)
        assert metrics.avg_total_latency_ms > 0
        loud = sum(1 for byte in call.heard if byte not in {0xFF, 0x7F}) / 8
        assert loud >= 0.8 * metrics.agent_speech_duration_ms
        assert on.gateway.list_sessions() == []


async def test_speech_over_the_agent_cuts_it_everywhere(stage: StageFactory) -> None:
    words = "one two three four five six seven eight nine ten"
    brain = ScriptedBrain(transcripts=["stop"], answers=[[Say(words)], [Say("Sorry?")]], ms_per_character=200)
    async with stage(brain, greeting=words) as on, on.caller() as call:
        await call.agent_started()
        await on.clock.sleep_until(on.clock.now() + 1.5)
        call.say(tone(800))
        cut = await on.until(EventType.INTERRUPTION)
        await on.until(EventType.AGENT_SPEECH_END)
        await call.hang_up()
        await on.until(EventType.SESSION_ENDED)
        heard_ms = cut.data["heard_ms"]
        assert 500 <= heard_ms < 7000  # a fast clock on a busy machine; the laws of the ledger have the exact figures
        (truncated,) = [event for event in on.vendor.received if event["type"] == "conversation.item.truncate"]
        assert truncated["audio_end_ms"] == heard_ms
        assert truncated["item_id"] == cut.data["item_id"]
        first = on.sessions[0].transcript()[0]
        assert first.interrupted
        assert words.startswith(first.text)
        assert abs(len(first.text) - heard_ms / 200) <= 7
        assert any(what == "clear" for _, what in call.timeline)
        assert on.sessions[0].metrics().interruption_count == 1


@pytest.mark.parametrize("sign", [False, "wrong"])
async def test_an_unsigned_webhook_is_refused(
    stage: StageFactory, sign: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage() as on:
        with caplog.at_level(logging.DEBUG):
            async with on.caller(sign=sign) as call:
                assert call.refused is not None
                assert "403" in call.refused
        assert "is refused" in caplog.text
        assert AUTH_TOKEN not in caplog.text
        assert on.sessions == []


@pytest.mark.parametrize("options", [{"sign_upgrade": False}, {"sign_upgrade": "wrong"}, {"sign_upgrade_as": "https"}])
async def test_an_unsigned_media_socket_is_refused_before_the_upgrade(
    stage: StageFactory, options: dict[str, object]
) -> None:
    async with stage() as on, on.caller(**options) as call:
        assert any("stream refused" in what and "403" in what for _, what in call.timeline)
        assert on.sessions == []


async def test_a_media_socket_opens_once(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on, httpx.AsyncClient() as http:
        form = {"CallSid": "CA1", "From": "+1", "To": "+2"}
        answer = await http.post(f"{on.gateway.url}/voice/inbound", data=form)
        path = answer.text.partition("/ws/media-stream/")[2].partition('"')[0]
        upgrade = {
            "connection": "Upgrade",
            "upgrade": "websocket",
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        statuses = []
        for token in (path, path, "guessed"):
            async with http.stream("GET", f"{on.gateway.url}/ws/media-stream/{token}", headers=upgrade) as response:
                statuses.append(response.status_code)
        assert statuses == [101, 403, 403]


async def test_a_token_grows_old() -> None:
    clock = ManualClock()
    provider = OpenAIRealtimeProvider(api_key="sk-test")
    gateway = TwilioGateway(auth_token=AUTH_TOKEN, listen_addr="127.0.0.1:0", realtime_provider=provider, clock=clock)
    info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=clock.wall())
    fresh, old = [(await gateway.admit(replace(info, call_id=which))).rpartition("/")[2] for which in ("CA1", "CA2")]
    await clock.advance(59)
    assert gateway._admission.redeem(fresh) == info
    await clock.advance(2)
    assert gateway._admission.redeem(old) is None


async def test_a_call_that_is_announced_twice_counts_once(stage: StageFactory) -> None:
    async with stage(max_concurrent_calls=1) as on, on.caller(webhook_copies=2) as call:
        await on.until(EventType.SESSION_STARTED)
        assert len(on.sessions) == 1
        await call.hang_up()


async def test_the_application_decides(stage: StageFactory) -> None:
    asked: list[CallInfo] = []
    async with stage() as on:

        @on.gateway.on_call
        def refuse(call: CallInfo) -> None:
            asked.append(call)
            if call.from_ == "+15550100666":
                raise CallRejected("busy")

        async with on.caller(from_="+15550100666") as call:
            assert call.refused == "busy"
        async with on.caller() as call:
            await on.until(EventType.SESSION_STARTED)
            await call.hang_up()
    assert [info.from_ for info in asked] == ["+15550100666", "+15550100001"]
    assert asked[0].direction == "inbound"


async def test_a_handler_that_fails_refuses(stage: StageFactory) -> None:
    async with stage() as on:

        @on.gateway.on_call
        async def fails(_: CallInfo) -> None:
            raise RuntimeError("the database is down")

        async with on.caller() as call:
            assert call.refused == "rejected"


async def test_another_account_is_refused(stage: StageFactory) -> None:
    async with stage(account_sid="AC99") as on, on.caller() as call:
        assert call.refused == "rejected"


async def test_there_is_room_for_so_many_calls(stage: StageFactory) -> None:
    async with stage(max_concurrent_calls=1) as on, httpx.AsyncClient() as http:
        assert (await http.get(f"{on.gateway.url}/health")).status_code == 200
        assert (await http.get(f"{on.gateway.url}/ready")).status_code == 200
        async with on.caller() as first:
            await on.until(EventType.SESSION_STARTED)
            assert (await http.get(f"{on.gateway.url}/ready")).status_code == 503
            async with on.caller() as second:
                assert second.refused == "busy"
            await first.hang_up()


@pytest.mark.parametrize("refuse", ["error_event", "http"])
async def test_a_bad_key_ends_the_call_with_an_error(stage: StageFactory, refuse: str) -> None:
    key = "sk-wrong-and-secret"
    async with stage(vendor={"api_key": "sk-right", "refuse": refuse}, key=key) as on, on.caller() as call:
        await on.until(EventType.SESSION_ENDED)
        error = on.of(EventType.ERROR)[0].error
        assert type(error).__name__ == "AuthFailed"
        assert key not in f"{error!r} {error}"
        assert on.of(EventType.SESSION_ENDED)[0].data == {"reason": "provider_failed"}
        await call.wait_for("completed", timeout=20)


async def test_a_provider_that_is_not_there(stage: StageFactory) -> None:
    async with stage(base_url="http://127.0.0.1:9/v1") as on, on.caller() as call:
        await on.until(EventType.SESSION_ENDED)
        assert "cannot be reached" in str(on.of(EventType.ERROR)[0].error)
        await call.wait_for("completed", timeout=20)


async def test_malformed_frames_are_reported_and_the_call_goes_on(stage: StageFactory) -> None:
    brain = ScriptedBrain(transcripts=["hello"], answers=[[Say("Hello.")]])
    async with stage(brain) as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        for frame in ("{", "[]", '{"event":"media"}', b"\x00", '{"event":"media","media":{"payload":"?"}}'):
            await call.send_raw(frame)
        await on.until(EventType.ERROR, count=5)
        call.say(tone(800))
        await on.until(EventType.AGENT_SPEECH_END)
        assert {type(event.error).__name__ for event in on.of(EventType.ERROR)} == {"RemoteProtocolError"}
        await call.hang_up()


async def test_an_oversized_message_ends_the_call(stage: StageFactory) -> None:
    async with stage() as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        await call.send_raw("x" * 100_000)
        await on.until(EventType.SESSION_ENDED)
        assert type(on.of(EventType.ERROR)[0].error).__name__ == "MessageTooLarge"
        assert on.of(EventType.SESSION_ENDED)[0].data == {"reason": "line_lost"}


async def test_endless_nonsense_ends_the_call(stage: StageFactory) -> None:
    async with stage() as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        for _ in range(50):
            await call.send_raw("{")
        await on.until(EventType.SESSION_ENDED)
        assert on.of(EventType.SESSION_ENDED)[0].data == {"reason": "protocol_errors"}


async def test_keys_are_told(stage: StageFactory) -> None:
    async with stage() as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        await call.press("5")
        assert (await on.until(EventType.DTMF)).data == {"digit": "5"}
        await call.hang_up()


async def test_a_call_that_takes_too_long_is_hung_up(stage: StageFactory) -> None:
    async with stage(max_session_duration=2.0) as on, on.caller() as call:
        ended = await on.until(EventType.SESSION_ENDED)
        assert ended.data == {"reason": "max_duration"}
        await call.wait_for("completed", timeout=20)


async def test_the_application_hangs_up(stage: StageFactory) -> None:
    async with stage() as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        await on.sessions[0].close()
        await on.sessions[0].close()
        assert on.of(EventType.SESSION_ENDED)[0].data == {"reason": "closed"}
        await call.wait_for("completed", timeout=20)


async def test_the_carrier_says_that_the_call_is_over(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on, on.caller() as call, httpx.AsyncClient() as http:
        await on.until(EventType.SESSION_STARTED)
        form = {"CallSid": on.sessions[0].id, "CallStatus": "completed"}
        answer = await http.post(f"{on.gateway.url}/voice/status", data=form)
        assert answer.status_code == 204
        assert (await on.until(EventType.SESSION_ENDED)).data == {"reason": "carrier_completed"}
        await call.wait_for("completed", timeout=20)


async def test_stopping_ends_the_calls(stage: StageFactory) -> None:
    async with stage(stop_timeout=1.0) as on, on.caller() as call:
        await on.until(EventType.SESSION_STARTED)
        await on.gateway.stop()
        await on.gateway.stop()
        assert on.of(EventType.SESSION_ENDED) != []
        await call.wait_for("completed", timeout=20)


async def test_a_media_socket_of_another_call_is_closed(stage: StageFactory) -> None:
    async with stage(verify_signatures=False) as on:
        info = CallInfo(call_id="CA1", from_="", to="", direction="inbound", start_time=on.clock.wall())
        path = await on.gateway.admit(info)
        start = {"event": "start", "sequenceNumber": "1", "streamSid": "MZ1"}
        start["start"] = {  # type: ignore[assignment]
            "streamSid": "MZ1",
            "accountSid": "AC1",
            "callSid": "CA2",
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        }
        async with connect_websocket(on.gateway.url + path) as socket:
            await socket.send('{"event":"connected","protocol":"Call","version":"1.0.0"}')
            await socket.send(json.dumps(start))
            with pytest.raises(ConnectionLost) as lost:
                await socket.receive()
        assert lost.value.code == 1002
        assert on.sessions == []


def sockets() -> set[str]:
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            links.add(target)
    return links


@pytest.mark.parametrize("end", ["hung up", "refused", "cancelled", "dropped", "provider dies"])
async def test_nothing_of_a_call_remains(stage: StageFactory, end: str) -> None:
    brain = ScriptedBrain(answers=[[Say("Hello.")]] * 3)
    async with stage(brain, greeting="Hello.") as on:
        async with on.caller() as warm_up:
            await on.until(EventType.AGENT_SPEECH_END)
            await warm_up.hang_up()
        await on.until(EventType.SESSION_ENDED)
        await anyio.wait_all_tasks_blocked()
        tasks = {task.id for task in anyio.get_running_tasks()}
        before = sockets()
        threads = set(threading.enumerate())
        if end == "refused":
            async with on.caller(sign=False) as call:
                assert call.refused is not None
        else:
            with anyio.CancelScope() as scope:
                async with on.caller() as call:
                    await on.until(EventType.SESSION_STARTED, count=2)
                    if end == "hung up":
                        await call.hang_up()
                    elif end == "dropped":
                        await call.drop()
                    elif end == "provider dies":
                        on.vendor.script([Drop(on="input_audio_buffer.append")] * 20)  # as often as it is tried again
                    else:
                        scope.cancel()
                        await anyio.sleep_forever()
                    await on.until(EventType.SESSION_ENDED, count=2)
            if not scope.cancelled_caught:
                assert end != "cancelled"
            await on.until(EventType.SESSION_ENDED, count=2)
        with anyio.fail_after(10):
            while {task.id for task in anyio.get_running_tasks()} - tasks or sockets() - before:
                await anyio.wait_all_tasks_blocked()
        assert on.gateway._sessions == {}
        assert {thread for thread in threading.enumerate() if "trunkline" in thread.name} <= threads


def test_what_is_missing_or_wrong_is_named() -> None:
    with pytest.raises(InvalidConfig, match="auth_token"):
        TwilioGateway(listen_addr="127.0.0.1:0")
    with pytest.raises(InvalidConfig, match="public_url: is needed"):
        TwilioGateway(auth_token="t")
    with pytest.raises(InvalidConfig, match="public_url: must be https"):
        TwilioGateway(auth_token="t", public_url="http://agent.example.com")
    with pytest.raises(InvalidConfig, match="listen_addr"):
        TwilioGateway(auth_token="t", listen_addr="nonsense")
    with pytest.raises(InvalidConfig, match="realtime_provider: is needed"):
        TwilioGateway(auth_token="t", listen_addr="127.0.0.1:0", mode="realtime")
    with pytest.raises(InvalidConfig, match="max_session_duration"):
        TwilioGateway(auth_token="t", listen_addr="127.0.0.1:0", max_session_duration=0)


async def test_a_caller_may_be_kept_from_interrupting(stage: StageFactory) -> None:
    words = "one two three four five six"
    brain = ScriptedBrain(transcripts=["stop"], answers=[[Say(words)], [Say("Yes?")]])
    async with stage(brain, greeting=words, interruption_mode="disabled") as on, on.caller() as call:
        await call.agent_started()
        call.say(tone(400))
        end = await on.until(EventType.AGENT_SPEECH_END)
        await call.hang_up()
        await on.until(EventType.SESSION_ENDED)
        assert end.data["heard_ms"] == 60 * len(words)
        assert on.of(EventType.INTERRUPTION) == []
        update = next(event for event in on.vendor.received if event["type"] == "session.update")
        assert update["session"]["audio"]["input"]["turn_detection"]["interrupt_response"] is False

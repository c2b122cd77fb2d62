"""How calls are made, how they end, and what is left of them."""

import gc
import operator
import tracemalloc
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.pipeline.call import Call, in_progress, provider_of, says
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, LIVEKIT, PLIVO, TELNYX, TWILIO, VONAGE, AudioFormat
from trunkline.audio.vad import EnergyDetector
from trunkline.clock import ManualClock
from trunkline.errors import (
    AuthFailed,
    ConnectionLost,
    DeadlineExceeded,
    InvalidConfig,
    ProviderUnavailable,
    RemoteProtocolError,
    SessionClosed,
)
from trunkline.pipeline import BridgeConfig, EventType, RealtimeBridge
from trunkline.realtime.events import (
    ErrorReported,
    ResponseFinished,
    SessionEnded,
    SpeechStarted,
    ToolCallRequested,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.fake_provider import FULL, FakeProvider
from trunkline.wire.telephony.events import StreamStopped


async def test_a_provider_that_refuses_ends_the_call_with_an_error() -> None:
    call = Call(provider_of(failures=[AuthFailed("no such key", "invalid_api_key")]))
    async with in_progress(call):
        await call.bridge.wait_closed()
        with pytest.raises(SessionClosed):
            await call.bridge.send_audio(bytes(160))
    assert call.types() == ["error", "session_ended"]
    assert str(call.one(EventType.ERROR).error) == "[invalid_api_key] no such key"
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}


async def test_a_provider_that_dies_ends_the_call_with_an_error() -> None:
    call = Call()
    async with in_progress(call):
        dead = ProviderUnavailable("gone")
        call.session.feed(ErrorReported(dead, fatal=True), SessionEnded("connection_lost", dead))
        await call.bridge.wait_closed()
        assert call.session.closed
    assert call.types() == ["session_started", "error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "connection_lost"
    assert call.bridge.metrics().error_count == 1


async def test_a_lost_line_ends_the_call() -> None:
    call = Call()
    async with in_progress(call):
        call.line.lose()
        call.session.feed(*says("a1", "Yes.", 100))
        await call.bridge.wait_closed()
    assert call.one(EventType.SESSION_ENDED).data["reason"] == "line_lost"


async def test_closing_twice_and_reading_late() -> None:
    call = Call()
    async with in_progress(call):
        await call.bridge.close("enough")
        await call.bridge.close("again")
    late = [event.type async for event in call.bridge.events()]
    assert late == [EventType.SESSION_STARTED, EventType.SESSION_ENDED]
    assert call.seen[-1].to_json()["data"] == {"reason": "enough"}
    before = call.bridge.metrics().session_duration_ms
    await call.clock.advance(5)
    assert call.bridge.metrics().session_duration_ms == before


async def test_a_bridge_in_a_task_group_of_the_application() -> None:
    call = Call()
    async with anyio.create_task_group() as tasks:
        await call.bridge.start(tasks)
        await call.pass_ms(10)
        with pytest.raises(SessionClosed):
            await call.bridge.start(tasks)
        await call.bridge.close()
    assert call.session.closed


async def test_an_error_of_the_application_comes_out_as_it_is() -> None:
    call = Call()
    with pytest.raises(LookupError):
        async with call.bridge:
            raise LookupError
    assert call.bridge.is_over


async def test_a_defect_is_told_and_ends_the_call(caplog: pytest.LogCaptureFixture) -> None:
    call = Call()
    async with in_progress(call):
        call.session.truncate = None  # type: ignore[assignment]
        call.session.feed(*says("a1", "one two three", 500))
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0))
        await call.bridge.wait_closed()
    assert call.types()[-2:] == ["error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "internal_error"}
    assert "a call ends because of a defect" in caplog.text


async def test_closed_before_it_began() -> None:
    call = Call()
    await call.bridge.close("never mind")
    await call.bridge.wait_closed()
    assert [event.data async for event in call.bridge.events()] == [{"reason": "never mind"}]
    with pytest.raises(SessionClosed):
        async with call.bridge:
            pass


async def test_cancelling_the_application_ends_the_call() -> None:
    call = Call()
    with anyio.CancelScope() as scope:
        async with call.bridge:
            await call.pass_ms(10)
            scope.cancel()
            await anyio.sleep_forever()
    assert call.session.closed
    assert [event.type async for event in call.bridge.events()][-1] is EventType.SESSION_ENDED


# ── who ends a call ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("error", [ConnectionLost(1006), DeadlineExceeded("connect", 5)])
async def test_a_transport_error_of_the_provider_is_not_the_lines(error: Exception) -> None:
    call = Call(provider_of(failures=[error]))
    async with in_progress(call):
        await call.bridge.wait_closed()
    assert call.types() == ["error", "session_ended"]
    assert call.one(EventType.ERROR).error is error
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}
    assert call.bridge.metrics().error_count == 1


async def test_a_transport_error_while_the_session_runs_is_the_providers() -> None:
    call = Call()

    async def broken(audio: bytes) -> None:
        raise ConnectionLost(1006)

    async with in_progress(call):
        call.session.send_audio = broken  # type: ignore[method-assign]
        call.line.caller_says(bytes(160))
        await call.bridge.wait_closed()
    assert call.types() == ["session_started", "error", "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "provider_failed"}


@pytest.mark.parametrize(
    ("ending", "reason", "errors"),
    [
        (ConnectionLost(1000), "caller_hung_up", []),
        (ConnectionLost(1006), "line_lost", []),
        (DeadlineExceeded("receive", 5), "line_lost", ["error"]),
        (StreamStopped(), "caller_hung_up", []),
    ],
)
async def test_the_end_of_the_line_tells_the_reason(ending: Any, reason: str, errors: list[str]) -> None:
    call = Call()
    async with in_progress(call):
        call.line.feed(ending)
        await call.bridge.wait_closed()
    assert call.types() == ["session_started", *errors, "session_ended"]
    assert call.one(EventType.SESSION_ENDED).data == {"reason": reason}


async def test_a_write_that_fails_before_stop_was_read_is_still_a_hang_up() -> None:
    call = Call()
    async with in_progress(call):
        call.line._failure = ConnectionLost(1006)  # the socket is closed, and `stop` is on its way
        call.session.feed(*says("a1", "Yes.", 100))
        await call.pass_ms(50)
        assert not call.bridge.is_over
        call.line.hang_up()
        await call.pass_ms(0)
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "caller_hung_up"}


async def test_a_line_that_takes_no_more_audio_and_says_nothing_is_lost() -> None:
    call = Call()
    async with in_progress(call):
        call.line._failure = ConnectionLost(1006)
        call.session.feed(*says("a1", "Yes.", 100))
        await call.pass_ms(1100)
        assert call.bridge.is_over
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "line_lost"}


async def test_messages_that_cannot_be_read_are_told_and_end_the_call_at_the_fiftieth() -> None:
    call = Call()
    async with in_progress(call):
        for _ in range(49):
            call.line.feed(RemoteProtocolError("carrier", "what?"))
        call.line.caller_says(b"\x01" * 160)
        await call.pass_ms(0)
        assert bytes(call.session.heard) == b"\x01" * 160, "the call goes on"
        call.line.feed(RemoteProtocolError("carrier", "what?"))
        await call.bridge.wait_closed()
    assert call.types().count("error") == 50
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "protocol_errors"}


async def test_a_hang_up_while_the_session_is_being_opened_ends_the_call() -> None:
    call = Call()
    call.provider.hangs = True
    async with in_progress(call):
        call.line.hang_up()
        await call.pass_ms(0)
        assert call.bridge.is_over
    assert call.types() == ["session_ended"]


async def test_a_tool_that_ends_the_call_does_not_wait_for_itself() -> None:
    call: Call

    async def hang_up() -> str:
        await call.bridge.close("goodbye")
        return "never told"

    call = Call(tools=[hang_up], close_timeout=60.0)
    async with in_progress(call):
        call.session.feed(ToolCallRequested("c1", "hang_up", "{}", "r1"))
        with anyio.fail_after(5):
            await call.bridge.wait_closed()
    assert call.one(EventType.SESSION_ENDED).data == {"reason": "goodbye"}


async def test_close_after_speech_lets_the_caller_hear_it_all() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Goodbye, and thank you.", 800)[:-1])
        await call.pass_ms(100)
        async with anyio.create_task_group() as tasks:

            async def close() -> None:
                await call.bridge.close("goodbye", after_speech=True)

            tasks.start_soon(close)
            await call.pass_ms(1000)
            assert not call.bridge.is_over, "the answer is not complete"
            call.session.feed(ResponseFinished("r1"))
            await call.pass_ms(100)
    assert call.line.heard_ms == pytest.approx(800)
    assert call.types()[-2:] == ["agent_speech_end", "session_ended"]


# ── what a call costs ────────────────────────────────────────────────────────────────────────────────────────────────


async def whole_call(*, tools: bool) -> list[weakref.ref[Any]]:
    def look_up() -> str:
        return "found"

    call = Call(tools=[look_up] if tools else [], greeting="Hello.", detector=EnergyDetector)
    async with in_progress(call):
        call.line.caller_says(*[b"\x10\x90" * 80] * 20)
        call.session.feed(*says("a1", "one two three", 400))
        await call.pass_ms(200)
        if tools:
            call.session.feed(ToolCallRequested("c1", "look_up", "{}", "r2"))
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(200)
    bridge = call.bridge
    return [weakref.ref(part) for part in (bridge, bridge._turns, bridge._turns.agent, bridge._turns.playout)]


@pytest.mark.parametrize("tools", [False, True])
async def test_an_ended_call_gives_back_its_memory_without_the_collector(*, tools: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        parts = await whole_call(tools=tools)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        assert [part() for part in parts] == [None] * len(parts)
    finally:
        gc.enable()


async def test_a_call_takes_no_memory_for_audio_that_is_not_there() -> None:
    async def one() -> int:
        call = Call()
        async with in_progress(call):
            call.session.feed(*says("a1", "Yes.", 100))
            await call.pass_ms(200)
            return tracemalloc.get_traced_memory()[0]

    await one()
    tracemalloc.start()
    try:
        assert await one() < 300_000
    finally:
        tracemalloc.stop()


# ── how it is made ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "line_format"),
    [
        (RealtimeBridge.for_twilio, TWILIO),
        (RealtimeBridge.for_twilio_gemini, TWILIO),
        (RealtimeBridge.for_qwen, TWILIO),
        (RealtimeBridge.for_telnyx, TELNYX),
        (RealtimeBridge.for_plivo, PLIVO),
        (RealtimeBridge.for_vonage, VONAGE),
        (RealtimeBridge.for_livekit, LIVEKIT),
    ],
)
async def test_a_bridge_for_each_carrier_converts_both_ways(make: Any, line_format: AudioFormat) -> None:
    clock = ManualClock()
    provider = FakeProvider(capabilities=FULL, input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    bridge = make(provider, ProcessConfig(instructions="Be brief."), clock=clock)
    heard = bytearray()

    async def listen() -> None:
        async for frame in bridge.audio_out():
            heard.extend(frame)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        async with bridge:
            await clock.advance(0.01)
            assert provider.session.config.input_format == provider.session.config.output_format == line_format
            assert provider.session.config.instructions == "Be brief."
            await bridge.send_audio(line_format.silence(1000))
            provider.session.answer("Yes.", audio_ms=400)
            for _ in range(60):
                await clock.advance(0.01)
    assert GEMINI_INPUT.duration_ms(provider.session.heard_bytes) == pytest.approx(1000, abs=100)
    assert line_format.duration_ms(len(heard)) == 400


@pytest.mark.parametrize(
    ("own", "to_format", "asked"),
    [
        (ProcessConfig(), None, (TWILIO, TWILIO)),
        (ProcessConfig(), VONAGE, (VONAGE, VONAGE)),
        (ProcessConfig(input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT), None, (GEMINI_INPUT, GEMINI_OUTPUT)),
        (ProcessConfig(output_format=GEMINI_OUTPUT), VONAGE, (VONAGE, GEMINI_OUTPUT)),
    ],
)
async def test_the_provider_is_asked_for_the_formats_that_were_set(
    own: ProcessConfig, to_format: AudioFormat | None, asked: tuple[AudioFormat, AudioFormat]
) -> None:
    call = Call(process_config=own, to_format=to_format)
    async with in_progress(call):
        assert (call.session.config.input_format, call.session.config.output_format) == asked


async def test_tools_are_made_ready_once_for_many_calls() -> None:
    def look_up() -> str:
        return "found"

    provider = FakeProvider()
    config = BridgeConfig(provider=provider, tools=[look_up])
    definitions = config.compiled_tools.definitions
    for _ in range(3):
        clock = ManualClock()
        async with RealtimeBridge(config, clock=clock):
            await clock.advance(0.01)
            assert all(map(operator.is_, provider.session.config.functions, definitions))
    with pytest.raises(InvalidConfig):
        BridgeConfig(provider=provider, tools=[look_up, look_up])

"""A call against a scripted session and a line in memory, on a clock moved by hand."""

from dataclasses import replace

import anyio
import anyio.lowlevel
import pytest

from tests.pipeline.call import CAPABILITIES, Call, in_progress, provider_of, says
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, TWILIO
from trunkline.clock import ManualClock
from trunkline.errors import InvalidConfig, RemoteProtocolError, SessionClosed
from trunkline.pipeline import (
    Event,
    EventType,
    InterruptionMode,
    InterruptionPolicy,
    RealtimeBridge,
)
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.tools import tool


async def test_a_turn_from_the_first_word_to_the_last_frame() -> None:
    call = Call(greeting="Hello there")
    async with in_progress(call):
        assert call.session.commands == [("say", "Hello there")]
        await call.bridge.send_audio(b"\x11" * 160)
        await call.pass_ms(0)
        assert call.session.heard == b"\x11" * 160
        call.session.feed(SpeechStarted("u1", 100))
        await call.pass_ms(700)
        call.session.feed(SpeechStopped("u1", 800))
        await call.pass_ms(100)
        call.session.feed(UserTranscript("are you open", is_final=True, item_id="u1"))
        await call.pass_ms(200)
        call.session.feed(*says("a1", "Yes, we are.", 500))
        await call.pass_ms(700)
        metrics = call.bridge.metrics()
    assert call.types() == [
        "session_started",
        "user_speech_start",
        "user_speech_end",
        "user_transcript",
        "agent_thinking",
        "agent_transcript",
        "agent_speech_start",
        "agent_speech_end",
        "session_ended",
    ]
    assert call.one(EventType.AGENT_SPEECH_START).data["latency_ms"] == 300
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 500
    assert call.one(EventType.SESSION_STARTED).data["passes_through"] is True
    assert call.line.sent == b"\x55" * 4000
    assert [(t.role, t.text, t.duration_ms) for t in call.bridge.transcript()] == [
        ("user", "are you open", 700),
        ("agent", "Yes, we are.", 500),
    ]
    assert (metrics.turn_count, metrics.user_speech_duration_ms, metrics.agent_speech_duration_ms) == (2, 700, 500)
    assert (metrics.avg_total_latency_ms, metrics.avg_stt_latency_ms, metrics.audio_bytes_received) == (300, 100, 160)


async def test_formats_come_from_the_session_and_are_converted() -> None:
    provider = provider_of(input_format=GEMINI_INPUT, output_format=GEMINI_OUTPUT)
    call = Call(provider)
    async with in_progress(call):
        assert provider.session.config is not None
        assert provider.session.config.input_format == TWILIO
        for _ in range(50):
            await call.bridge.send_audio(b"\xff" * 160)
        await call.pass_ms(0)
        assert 31_000 <= len(call.session.heard) <= 32_000
        call.session.feed(AudioReceived(bytes(48_000), item_id="a", response_id="r"), ResponseFinished("r"))
        await call.pass_ms(1200)
    assert 8000 <= len(call.line.sent) <= 8160
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 1000


async def test_audio_of_before_the_session_is_kept_and_the_oldest_goes_first() -> None:
    call = Call(buffer_size=3)
    for number in range(5):
        await call.bridge.send_audio(bytes([number]) * 160)
    async with in_progress(call):
        await call.bridge.send_audio(b"\x09" * 160)
        await call.pass_ms(0)
        assert call.session.heard == b"".join(bytes([number]) * 160 for number in (2, 3, 4, 9))
        assert call.bridge.metrics().audio_bytes_dropped == 320


@pytest.mark.parametrize("interrupts_itself", [True, False])
async def test_the_caller_speaks_over_the_agent(*, interrupts_itself: bool) -> None:
    capabilities = replace(CAPABILITIES, interrupts_itself=interrupts_itself)
    call = Call(provider_of(capabilities, TWILIO, TWILIO))
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1200)[:-1])
        await call.pass_ms(800)
        await call.bridge.send_audio(bytes(160 * 5))
        call.session.feed(SpeechStarted("u1", 40))
        await call.pass_ms(0)
        assert call.line.messages[-1] == ("clear",)
        sent = call.line.sent
        late = AudioReceived(b"\x55" * 800, item_id="a1", response_id="r1")
        call.session.feed(late, ResponseFinished("r1", "cancelled"), Interrupted("r1"))
        await call.pass_ms(500)
        assert call.line.sent == sent
        call.session.feed(*says("a2", "Sorry?", 100, "r2"))
        await call.pass_ms(200)
    heard_ms = call.one(EventType.INTERRUPTION).data["heard_ms"]
    assert 780 <= heard_ms <= 820
    assert call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] == 60
    cancelled = [] if interrupts_itself else [("cancel",)]
    assert call.session.commands == [*cancelled, ("truncate", "a1", heard_ms)]
    assert [(t.text, t.interrupted) for t in call.bridge.transcript()] == [("one two", True), ("Sorry?", False)]
    assert call.bridge.metrics().interruption_count == 1


async def test_a_provider_that_cannot_truncate_is_not_asked_to() -> None:
    call = Call(provider_of(replace(CAPABILITIES, truncate=False), TWILIO, TWILIO))
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000), Interrupted("r1"))
        await call.pass_ms(100)
    assert call.session.commands == []
    assert call.one(EventType.INTERRUPTION).data["mode"] == "immediate"


async def test_speech_while_the_agent_is_silent_interrupts_nothing() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Yes.", 100))
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(10)
        assert ("clear",) not in call.line.messages
    assert "interruption" not in call.types()


async def test_an_answer_that_was_dropped_before_its_first_audio_stays_silent() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(ResponseStarted("r1"), SpeechStarted("u1", 0))
        call.session.feed(AudioReceived(bytes(800), item_id="a1", response_id="r1"))
        await call.pass_ms(300)
        assert call.line.sent == b""


async def test_the_application_interrupts() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1000))
        await call.pass_ms(500)
        await call.bridge.interrupt()
        await call.bridge.interrupt()
        await call.pass_ms(0)
    assert [command[0] for command in call.session.commands] == ["cancel", "truncate", "cancel"]
    assert call.bridge.metrics().interruption_count == 1


async def test_tool_calls_are_answered_and_told() -> None:
    def get_weather(city: str) -> str:
        return f"rain in {city}"

    call = Call(tools=[get_weather])
    async with in_progress(call):
        assert call.session.config is not None
        assert [tool.name for tool in call.session.config.definitions] == ["get_weather"]
        call.session.feed(
            ToolCallRequested("c1", "get_weather", '{"city": "London"}', "r0"),
            ToolCallRequested("c2", "get_time", "{}", "r0"),
        )
        while call.bridge.metrics().tool_call_count < 2:
            await anyio.lowlevel.checkpoint()
        call.session.feed(*says("a1", "It rains.", 20))
        await call.pass_ms(100)
    answers = {command[1]: command[2] for command in call.session.commands}
    assert answers == {"c1": "rain in London", "c2": '{"error": "Tool get_time not found"}'}
    told = {e.data["call_id"]: e.data["result"] for e in call.seen if e.type is EventType.TOOL_CALL}
    assert told == answers
    assert {tool.name for tool in call.bridge.transcript()[0].tool_calls} == {"get_weather", "get_time"}


async def test_a_slow_tool_has_something_said_meanwhile() -> None:
    release = anyio.Event()

    @tool(filler="One moment, please.", filler_after=1.5)
    async def look_up() -> str:
        """Look something up."""
        await release.wait()
        return "found"

    call = Call(tools=[look_up])
    async with in_progress(call):
        call.session.feed(ToolCallRequested("c1", "look_up", "{}", "r0"))
        await call.pass_ms(1400)
        assert call.session.commands == []
        await call.pass_ms(200)
        assert call.session.commands == [("say", "One moment, please.")]
        release.set()
        await call.pass_ms(10)
        assert call.session.commands[1:] == [("result", "c1", "found")]


async def test_tools_are_treated_as_they_ask_when_the_caller_interrupts() -> None:
    @tool(on_interruption="cancel")
    async def search() -> str:
        """Search."""
        await anyio.sleep_forever()
        return ""

    call = Call(tools=[search])
    async with in_progress(call):
        call.session.feed(*says("a1", "Let me look", 1000)[:-1], ToolCallRequested("c1", "search", "{}", "r1"))
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(10)
    (answer,) = [command for command in call.session.commands if command[0] == "result"]
    assert "interrupted" in str(answer[2])
    assert call.one(EventType.TOOL_CALL).data["error"]


async def test_the_provider_is_told_whether_it_may_drop_its_answers() -> None:
    for policy, allowed in [
        (InterruptionPolicy(), True),
        (InterruptionPolicy(mode=InterruptionMode.DISABLED), False),
        (InterruptionPolicy(min_speech_ms=200), False),
    ]:
        call = Call(interruption=policy)
        async with in_progress(call):
            assert call.session.config is not None
            assert call.session.config.allow_interruption is allowed


async def test_audio_out_is_paced_by_the_clock() -> None:
    clock = ManualClock()
    provider = provider_of(input_format=TWILIO, output_format=TWILIO)
    bridge = RealtimeBridge.for_twilio(provider, clock=clock)
    frames: list[tuple[float, int]] = []

    async def listen() -> None:
        async for frame in bridge.audio_out():
            frames.append((clock.now(), len(frame)))  # noqa: PERF401 - a comprehension would read the clock as well, but hide it

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        async with bridge:
            await clock.advance(0.01)
            provider.session.feed(*says("a1", "one two three", 400))
            for _ in range(60):
                await clock.advance(0.01)
            metrics = bridge.metrics()
    assert [size for _, size in frames] == [160] * 20
    assert frames[-1][0] - frames[0][0] >= 0.3
    assert metrics.agent_speech_duration_ms == 400


async def test_a_bridge_with_a_line_has_no_audio_out() -> None:
    with pytest.raises(InvalidConfig, match="audio_out"):
        await anext(Call().bridge.audio_out())
    with pytest.raises(InvalidConfig, match="buffer_size"):
        Call(buffer_size=0)
    with pytest.raises(InvalidConfig, match="lead_ms"):
        Call(lead_ms=1)
    with pytest.raises(InvalidConfig, match="task_group"):
        await Call().bridge.start()


async def test_events_of_audio_are_told_to_those_who_ask() -> None:
    call = Call()
    with_audio: list[Event] = []

    async def read_all() -> None:
        with_audio.extend([event async for event in call.bridge.events(audio=True)])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all)
        async with in_progress(call):
            for _ in range(5):
                await call.bridge.send_audio(bytes(160))
            call.session.feed(*says("a1", "one", 100))
            await call.pass_ms(300)
    received = [event.data for event in with_audio if event.type is EventType.AUDIO_RECEIVED]
    assert sum(data["bytes"] for data in received) == 800
    assert len(received) < 5
    assert sum(event.data["bytes"] for event in with_audio if event.type is EventType.AUDIO_SENT) == 800
    assert not {"audio_received", "audio_sent"} & set(call.types())


async def test_a_receipt_tells_where_the_time_went() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(SpeechStarted("u1", 0), SpeechStopped("u1", 500))
        await call.pass_ms(300)
        call.session.feed(*says("a1", "Yes.", 200))
        await call.pass_ms(500)
        (receipt,) = call.bridge.metrics().receipts
    assert (receipt.item_id, receipt.provider_ms, receipt.playout_ms) == ("a1", 300, 300)
    assert receipt.mark_ms == 500
    assert receipt.converter_ms == 0


async def test_a_provider_that_does_not_take_audio_costs_the_oldest_of_it() -> None:
    call = Call(buffer_size=2)
    async with in_progress(call):
        gate = anyio.Event()
        take = call.session.send_audio

        async def blocked(audio: bytes) -> None:
            await gate.wait()
            await take(audio)

        call.session.send_audio = blocked  # type: ignore[method-assign]
        await call.bridge.send_audio(b"\x01" * 160)
        await call.pass_ms(0)
        began = call.clock.now()
        for number in (2, 3, 4):
            await call.bridge.send_audio(bytes([number]) * 160)
        assert call.clock.now() == began, "a session that takes no data keeps nobody waiting"
        gate.set()
        await call.pass_ms(0)
        assert call.session.heard == b"".join(bytes([number]) * 160 for number in (1, 3, 4))
        assert call.bridge.metrics().audio_bytes_dropped == 160


async def test_text_keys_and_unreadable_messages_pass() -> None:
    call = Call()
    with pytest.raises(SessionClosed):
        await call.bridge.send_text("too early")
    async with in_progress(call):
        await call.bridge.send_text("hello")
        call.line.press("5")
        call.line.feed(RemoteProtocolError("carrier", "strange"))
        await call.pass_ms(0)
    assert call.session.commands == [("text", "hello")]
    assert call.one(EventType.DTMF).data == {"digit": "5"}
    assert "strange" in str(call.one(EventType.ERROR).error)


async def test_words_that_nobody_heard_are_not_in_the_transcript() -> None:
    call = Call()
    async with in_progress(call):
        words = AgentTranscript("you will never hear this", is_final=True, item_id="a1", response_id="r1")
        call.session.feed(ResponseStarted("r1"), words, SpeechStarted("u1", 0), ResponseFinished("r1", "cancelled"))
        await call.pass_ms(50)
        late = AgentTranscript("nor this", is_final=True, item_id="a2", response_id="r2")
        call.session.feed(ResponseStarted("r2"), SpeechStarted("u2", 0), late)
        await call.pass_ms(50)
    assert call.bridge.transcript() == ()


async def test_audio_after_the_end_of_an_item_is_not_played() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "Yes.", 400))
        await call.pass_ms(100)
        call.session.feed(SpeechStarted("u1", 0), AudioReceived(bytes(800), item_id="a1", response_id="r1"))
        await call.pass_ms(300)
        assert len(call.line.sent) == 3200
        await call.bridge.interrupt()
        await call.pass_ms(0)
    assert call.types().count("interruption") == 1
    assert [command[0] for command in call.session.commands] == ["truncate", "cancel"]

"""The examples of the realtime voice guide, and of the realtime half of the voice gateway guide, against the simulators."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from itertools import count
from typing import Any

import anyio
import pytest

from trunkline import get_gateway_provider, with_api_key, with_extension
from trunkline.audio import (
    GEMINI_INPUT,
    OPENAI,
    TWILIO,
    Converter,
    StreamConverter,
    gemini_to_twilio,
    openai_to_twilio,
    twilio_to_gemini,
    twilio_to_openai,
)
from trunkline.audio.tones import tone
from trunkline.clock import ScaledClock
from trunkline.errors import (
    AuthFailed,
    ConnectionFailed,
    ErrAuthFailed,
    ErrConnectionFailed,
    ErrModelUnavailable,
    ErrRateLimited,
    ErrSessionClosed,
    ModelUnavailable,
    RateLimited,
    SessionClosed,
)
from trunkline.gateway import (
    CallInfo,
    CallSession,
    EventType,
    GatewayConfig,
    PipelineMode,
    with_realtime_config,
    with_realtime_provider_factory,
    with_tool_handlers,
    with_tools,
)
from trunkline.gateway.twilio import TwilioGateway
from trunkline.pipeline import RealtimeBridge
from trunkline.realtime import (
    FunctionDeclaration,
    OpenAIRealtimeProvider,
    ProcessConfig,
    RealtimeClient,
    RealtimeConfig,
)
from trunkline.testing import CallTool, OpenAIRealtimeSimulator, Say, ScriptedBrain, TwilioCaller
from trunkline.tools import ToolDefinition

pytestmark = pytest.mark.anyio

WEATHER = FunctionDeclaration(
    name="get_weather",
    description="Get current weather for a location",
    parameters={
        "type": "object",
        "properties": {"location": {"type": "string", "description": "City name"}},
        "required": ["location"],
    },
)


async def microphone(clock: ScaledClock) -> AsyncGenerator[bytes, None]:
    """Somebody who speaks for half a second."""
    spoken = tone(300, duration_ms=500, audio_format=OPENAI)
    began = clock.now()
    for number in count():
        yield spoken[number * 960 : number * 960 + 960] or OPENAI.silence(20)
        await clock.sleep_until(began + (number + 1) * 0.02)


def provider_of(vendor: OpenAIRealtimeSimulator, clock: ScaledClock) -> OpenAIRealtimeProvider:
    return OpenAIRealtimeProvider(
        api_key="sk-test", base_url=vendor.url, model="gpt-realtime", voice="alloy", clock=clock
    )


async def test_provider_interface_and_function_calling() -> None:
    clock = ScaledClock(10)
    brain = ScriptedBrain(
        transcripts=["What is the weather in Oslo?"],
        answers=[[CallTool("get_weather", {"location": "Oslo"})], [Say("It is 72 degrees.")]],
    )
    asked: list[tuple[str, Any]] = []

    def on_function_call(call_id: str, name: str, args: str) -> Any:
        asked.append((name, json.loads(args)))
        return {"temperature": 72, "condition": "sunny"}

    config = ProcessConfig(
        instructions="You check the weather.", functions=[WEATHER], on_function_call=on_function_call
    )
    async with OpenAIRealtimeSimulator(brain=brain, clock=clock) as vendor:
        provider = provider_of(vendor, clock)
        assert provider.name == "openai"
        words: list[str] = []
        heard = 0
        with anyio.fail_after(20):
            async with aclosing(microphone(clock)) as speech, provider.process_audio_stream(speech, config) as stream:
                async for chunk in stream.audio:
                    heard += len(chunk.audio)
                    if chunk.is_final and heard:
                        break
                async for line in stream.transcripts:
                    if not line.is_input and line.is_final:
                        words.append(line.text)
                        break
        await provider.aclose()
    assert asked == [("get_weather", {"location": "Oslo"})]
    assert words == ["It is 72 degrees."]
    assert heard > 0


def test_converter() -> None:
    mulaw = TWILIO.silence(100)
    assert len(Converter().convert(mulaw, TWILIO, OPENAI)) == 4800
    assert len(twilio_to_openai(mulaw)) == 4800
    assert len(openai_to_twilio(OPENAI.silence(100))) == 800
    assert len(twilio_to_gemini(mulaw)) == GEMINI_INPUT.frame_bytes(100)
    assert len(gemini_to_twilio(OPENAI.silence(100))) == 800
    stream = StreamConverter(TWILIO, OPENAI)
    chunks = [mulaw[start : start + 160] for start in range(0, 800, 160)]
    assert len(b"".join([*(stream.convert(chunk) for chunk in chunks), stream.flush()])) == pytest.approx(4800, abs=200)


async def test_bridge_and_fallback_client() -> None:
    clock = ScaledClock(10)
    async with OpenAIRealtimeSimulator(brain=ScriptedBrain(answers=[[Say("Hello.")]]), clock=clock) as vendor:
        unreachable = OpenAIRealtimeProvider(api_key="sk-test", base_url="http://127.0.0.1:9/v1", clock=clock)
        client = RealtimeClient(unreachable, provider_of(vendor, clock), clock=clock)
        heard = 0
        config = ProcessConfig(instructions="You are a helpful voice assistant.", voice="alloy")
        with anyio.fail_after(20):
            async with RealtimeBridge.for_twilio(client, config, clock=clock) as bridge:
                seen: list[EventType] = []

                async def listen() -> None:
                    nonlocal heard
                    async for frame in bridge.audio_out():
                        heard += len(frame)

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(listen)
                    async for event in bridge.events():
                        seen.append(event.type)
                        if event.type is EventType.SESSION_STARTED:
                            await bridge.send_audio(TWILIO.silence(20))
                            await bridge.send_text("Hello?")
                        elif event.type is EventType.AGENT_SPEECH_END:
                            tasks.start_soon(bridge.close)
                assert bridge.metrics().session_duration_ms > 0
                assert [(turn.role, turn.text) for turn in bridge.transcript()] == [("agent", "Hello.")]
    assert heard >= 160
    assert EventType.AGENT_TRANSCRIPT in seen


async def test_gateway_in_realtime_mode() -> None:
    clock = ScaledClock(10)
    brain = ScriptedBrain(answers=[[Say("Hello! How can I help you today?")]])
    ended = anyio.Event()
    sessions: list[CallSession] = []
    async with OpenAIRealtimeSimulator(brain=brain, clock=clock) as vendor:
        gateway = TwilioGateway(
            account_sid="",
            auth_token="0123456789abcdef",
            phone_number="+15551234567",
            listen_addr="127.0.0.1:0",
            mode=PipelineMode.REALTIME,
            realtime_provider=provider_of(vendor, clock),
            realtime_config=RealtimeConfig(provider="openai", voice="alloy", instructions="Keep responses brief."),
            greeting="Hello! How can I help you today?",
            max_session_duration=15 * 60,
            interruption_mode="immediate",
            clock=clock,
        )

        @gateway.on_call
        def accept(call: CallInfo) -> None:
            assert call.direction == "inbound"

        @gateway.on_session
        async def watch(session: CallSession) -> None:
            found = gateway.get_session(session.id)
            assert found is session
            sessions.append(session)
            async for event in session.events():
                if event.type is EventType.AGENT_SPEECH_END:
                    await session.close()
            ended.set()

        with anyio.fail_after(30):
            async with (
                gateway,
                TwilioCaller(webhook_url=f"{gateway.url}/voice/inbound", auth_token="0123456789abcdef", clock=clock),
            ):
                await ended.wait()
    metrics = sessions[0].metrics()
    assert (metrics.agent_turn_count, metrics.user_turn_count, metrics.interruption_count) == (1, 0, 0)
    assert metrics.duration.total_seconds() > 0


def test_text_mode_is_a_configuration_too() -> None:
    config = GatewayConfig(
        listen_addr="127.0.0.1:0",
        mode=PipelineMode.TEXT,
        stt_provider="deepgram",
        stt_api_key="key",
        llm_provider="openai",
        llm_api_key="key",
        llm_model="gpt-4o",
        tts_provider="elevenlabs",
        tts_api_key="key",
        tts_voice_id="21m00Tcm4TlvDq8ikWAM",
    )
    assert config.mode is PipelineMode.TEXT


def test_registry_with_type_safe_options() -> None:
    wrapper = get_gateway_provider(
        "twilio",
        with_api_key("token"),
        with_extension("accountSID", "AC1"),
        with_extension("phoneNumber", "+15551234567"),
        with_extension("publicURL", "https://your-server.com"),
        with_extension("listenAddr", ":8080"),
        with_tools([ToolDefinition("get_weather")]),
        with_tool_handlers({"get_weather": lambda _: "sunny"}),
        with_realtime_provider_factory(OpenAIRealtimeProvider.factory()),
        with_realtime_config(RealtimeConfig(api_key="sk-test")),
    )
    gateway = wrapper.gateway()
    assert gateway.on_call(print) is print
    assert gateway.public_url == "https://your-server.com"


def test_errors_have_the_guides_names() -> None:
    names = (ErrSessionClosed, ErrConnectionFailed, ErrAuthFailed, ErrRateLimited, ErrModelUnavailable)
    assert names == (SessionClosed, ConnectionFailed, AuthFailed, RateLimited, ModelUnavailable)

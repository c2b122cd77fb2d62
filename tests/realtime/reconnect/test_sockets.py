"""The fallback client with real sockets: OpenAI's protocol on both sides, and every way in which the first one can fail."""

from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Literal

import anyio
import pytest

from trunkline.audio import OPENAI
from trunkline.errors import AuthFailed, ConnectionFailed, ModelUnavailable, RateLimited
from trunkline.realtime import OpenAIRealtimeProvider, ProcessConfig, RealtimeClient, ToolDefinition
from trunkline.testing import CallTool, OpenAIRealtimeSimulator, Say, ScriptedBrain
from trunkline.testing.faults import Close, Drop
from trunkline.transport import Request, Response, Route, Server, Upgrade, WebSocketConnection

FRAME = OPENAI.frame_bytes(20)


def _provider(url: str, **options: Any) -> OpenAIRealtimeProvider:
    return OpenAIRealtimeProvider(api_key="sk-good", base_url=url, **options)


def _heard(vendor: OpenAIRealtimeSimulator) -> bytes:
    """All audio that the service was sent."""
    return b"".join(
        b64decode(event["audio"]) for event in vendor.received if event["type"] == "input_audio_buffer.append"
    )


def _said(frames: int) -> list[bytes]:
    """Audio no two neighbouring frames of which are the same, and so quiet that nobody takes it for speech."""
    return [bytes([n % 61, 0]) * (FRAME // 2) for n in range(frames)]


async def _caller(audio: list[bytes], after: anyio.Event | None = None) -> AsyncIterator[bytes]:
    """The first half of the audio, and the second once the event has come."""
    for number, frame in enumerate(audio):
        if after is not None and number == len(audio) // 2:
            await after.wait()
        yield frame


async def _hang(connection: WebSocketConnection) -> None:
    await anyio.sleep_forever()


class Failing:
    """A service that answers the upgrade with a status, or says nothing at all."""

    def __init__(self, status: int | None, **headers: str) -> None:
        self._status = status
        self._headers = list(headers.items())
        self._server = Server([Route("GET", "/v1/realtime", self._answer)], grace=0.0)

    async def __aenter__(self) -> str:
        return f"{(await self._server.__aenter__()).url}/v1"

    async def __aexit__(self, *exception: object) -> None:
        await self._server.__aexit__(None, None, None)

    async def _answer(self, request: Request) -> Response | Upgrade:
        del request
        if self._status is None:
            return Upgrade(_hang)
        return Response(self._status, headers=[(name.replace("_", "-"), value) for name, value in self._headers])


async def _converse(primary: OpenAIRealtimeProvider, vendor: OpenAIRealtimeSimulator, **options: Any) -> RealtimeClient:
    """Speak through a client whose fallback works; that one must have heard everything."""
    client = RealtimeClient(primary, _provider(vendor.url), **options)
    audio = _said(200)
    with anyio.fail_after(20):
        async with client.process_audio_stream(_caller(audio)) as stream:
            assert [chunk async for chunk in stream.audio] == []
    assert _heard(vendor) == b"".join(audio)
    return client


@pytest.mark.parametrize("refuse", ["http", "error_event"])
async def test_the_primary_refuses_the_model(refuse: Literal["http", "error_event"]) -> None:
    async with (
        OpenAIRealtimeSimulator(brain=ScriptedBrain(), refuse=refuse) as gone,
        OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor,
    ):
        client = await _converse(_provider(gone.url, model="gpt-4o-realtime-preview"), vendor)
    assert isinstance(client.attempts[0].error, ModelUnavailable)


@pytest.mark.parametrize("refuse", ["http", "error_event"])
async def test_the_primary_refuses_the_key(refuse: Literal["http", "error_event"]) -> None:
    async with (
        OpenAIRealtimeSimulator(brain=ScriptedBrain(), refuse=refuse, api_key="sk-other") as strict,
        OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor,
    ):
        client = RealtimeClient(_provider(strict.url), _provider(vendor.url))
        with pytest.raises(AuthFailed):
            async with client.process_audio_stream(_caller([])):
                pass
    assert vendor.received == []


async def test_the_primary_limits_the_rate_and_is_left_alone() -> None:
    async with Failing(429, Retry_After="60") as url, OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor:
        client = await _converse(_provider(url), vendor)
    error = client.attempts[0].error
    assert isinstance(error, RateLimited)
    assert error.retry_after == 60
    assert client.stats.cooling == ("openai",)


async def test_the_primary_hangs_in_the_handshake() -> None:
    async with Failing(None) as url, OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor:
        client = await _converse(_provider(url), vendor, connect_timeout=0.2)
    error = client.attempts[0].error
    assert isinstance(error, ConnectionFailed)
    assert error.code == "timeout"


async def test_the_primary_is_down() -> None:
    async with Server([]) as server:
        url = f"{server.url}/v1"
    async with OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor:
        client = await _converse(_provider(url), vendor)
    assert isinstance(client.attempts[0].error, ConnectionFailed)


@pytest.mark.parametrize("fault", [Drop, Close])
async def test_the_primary_dies_in_the_middle(fault: type[Drop] | type[Close]) -> None:
    """The second service hears the whole of what the first one heard without understanding it, and what came after."""
    async with (
        OpenAIRealtimeSimulator(brain=ScriptedBrain()) as dying,
        OpenAIRealtimeSimulator(brain=ScriptedBrain()) as vendor,
    ):
        dying.script([fault(on="input_audio_buffer.append", nth=60)])
        client = RealtimeClient(_provider(dying.url), _provider(vendor.url))
        audio, rotated = _said(300), anyio.Event()
        with anyio.fail_after(20):
            async with (
                client.process_audio_stream(_caller(audio, rotated)) as stream,
                anyio.create_task_group() as tasks,
            ):

                async def watch() -> None:
                    while not client.stats.failovers:  # noqa: ASYNC110 - the client has no event for it
                        await anyio.sleep(0.01)
                    rotated.set()

                tasks.start_soon(watch)
                assert [chunk async for chunk in stream.audio] == []
    assert 0 < len(_heard(dying)) < len(audio) * FRAME
    assert _heard(vendor) == b"".join(audio)
    assert client.stats.dropped_bytes == 0


async def test_a_spoken_turn_with_a_tool_through_the_stream() -> None:
    """Speech in a file is enough: the stream goes on with silence until the service has noticed its end."""
    brain = ScriptedBrain(
        transcripts=["What is the weather?"],
        answers=[[CallTool("weather", {"city": "Rome"})], [Say("Sunny.")]],
    )
    asked: list[tuple[str, str]] = []

    async def run(call_id: str, name: str, arguments: str) -> dict[str, str]:
        asked.append((name, arguments))
        return {"sky": "clear"}

    async with OpenAIRealtimeSimulator(brain=brain, transcription_delay=0.0) as vendor:
        config = ProcessConfig(functions=[ToolDefinition("weather")], on_function_call=run)
        speech = await ScriptedBrain().speak("What is the weather?")
        with anyio.fail_after(20):
            async with _provider(vendor.url).process_audio_stream(_caller([speech]), config) as stream:
                chunks = [chunk async for chunk in stream.audio]
                lines = [line async for line in stream.transcripts]
    assert asked == [("weather", '{"city": "Rome"}')] or asked == [("weather", '{"city":"Rome"}')]
    assert b"".join(chunk.data for chunk in chunks) == await ScriptedBrain().speak("Sunny.")
    assert [chunk.is_final for chunk in chunks[-2:]] == [False, True]
    assert [(line.role, line.text) for line in lines if line.is_final] == [
        ("user", "What is the weather?"),
        ("agent", "Sunny."),
    ]
    results = [event["item"] for event in vendor.received if event["type"] == "conversation.item.create"]
    assert [item["output"] for item in results] == ['{"sky":"clear"}']


async def test_two_hundred_sessions_leave_nothing() -> None:
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(Failing(503))
        vendor = await stack.enter_async_context(OpenAIRealtimeSimulator(brain=ScriptedBrain()))
        client = await stack.enter_async_context(RealtimeClient(_provider(url), _provider(vendor.url), failures=5))
        before = anyio.get_running_tasks()
        for _ in range(200):
            async with client.connect(ProcessConfig()) as session:
                await session.send_audio(bytes(FRAME))
        assert client.stats.attempts == 205
        with anyio.fail_after(5):
            while len(anyio.get_running_tasks()) > len(before):  # noqa: ASYNC110 - the service notices a moment later
                await anyio.sleep(0.01)

"""A recorded session with the simulator, played again to the same client and to others."""

import json
from pathlib import Path

import anyio
import pytest

from tests.testing.openai.rig import ToneBrain
from trunkline.clock import ManualClock
from trunkline.errors import ConnectionLost, InvalidConfig
from trunkline.realtime import AudioReceived, OpenAIRealtimeProvider, ProcessConfig, ResponseFinished
from trunkline.testing.openai import OpenAIRealtimeSimulator
from trunkline.testing.replay import ReplayServer
from trunkline.transport import MessageStream, connect_websocket, recorded
from trunkline.transport.record import Ended, Entry, Message

pytestmark = pytest.mark.anyio

UPDATE = {"type": "session.update", "session": {"type": "realtime", "instructions": "My key is sk-secret-123456."}}


async def _session(stream: MessageStream) -> list[str]:
    await stream.send(json.dumps(UPDATE))
    await stream.send('{"type": "response.create", "event_id": "c-1"}')
    told = [json.loads(await stream.receive())]
    while told[-1]["type"] != "rate_limits.updated":
        told.append(json.loads(await stream.receive()))
    return [event["type"] for event in told]


async def _listen(stream: MessageStream, heard: list[str | bytes]) -> None:
    while True:
        heard.append(await stream.receive())


@pytest.fixture
async def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.jsonl"
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        url = f"{vendor.url}/realtime?model=m"
        async with recorded(connect_websocket(url, headers=[("Authorization", "Bearer k")]), path) as stream:
            await _session(stream)
    assert "sk-secret" not in path.read_text()
    return path


async def test_a_client_gets_again_what_was_recorded(recording: Path) -> None:
    with anyio.fail_after(5):
        async with ReplayServer(recording, client="checked") as vendor:
            for _ in range(2):
                async with connect_websocket(f"{vendor.url}/v1/realtime?model=m") as stream:
                    told = await _session(stream)
                assert (told[0], told[-2]) == ("session.created", "response.done")
            assert vendor.differences == []


async def test_our_own_client_is_served_by_a_recording(tmp_path: Path) -> None:
    async def first_answer(base_url: str, path: Path | None) -> bytes:
        provider = OpenAIRealtimeProvider(api_key="sk-test-12345678", base_url=base_url)
        dial = provider._dial
        provider._dial = lambda: recorded(dial(), path)  # type: ignore[method-assign]
        audio = b""
        async with provider.connect(ProcessConfig()) as session:
            await session.create_response()
            async for event in session:
                if isinstance(event, AudioReceived):
                    audio += event.audio
                if isinstance(event, ResponseFinished):
                    break
        return audio

    path = tmp_path / "call.jsonl"
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as simulator:
        live = await first_answer(simulator.url, path)
    async with ReplayServer(path, client="checked") as replay:
        assert await first_answer(f"{replay.url}/v1", None) == live
        assert replay.differences == []
    assert live


async def test_a_client_that_says_something_else_is_told(recording: Path) -> None:
    async with (
        ReplayServer(recording, client="checked") as vendor,
        connect_websocket(vendor.url) as stream,
    ):
        await stream.send('{"type": "session.update", "session": {"type": "transcription"}}')
        with pytest.raises(ConnectionLost) as lost:
            await _listen(stream, [])
        assert lost.value.code == 1008
        assert [json.loads(difference.got)["session"]["type"] for difference in vendor.differences] == ["transcription"]


async def test_keys_of_a_session_may_be_ignored(recording: Path) -> None:
    async with (
        ReplayServer(recording, client="checked", ignore=["event_id", "session"]) as vendor,
        connect_websocket(vendor.url) as stream,
    ):
        await stream.send('{"session": {"type": "transcription"}, "type": "session.update"}')
        await stream.send('{"type": "response.create"}')
        while json.loads(await stream.receive())["type"] != "rate_limits.updated":
            pass
        assert vendor.differences == []


async def test_an_awaited_client_may_say_anything(recording: Path) -> None:
    async with ReplayServer(recording) as vendor, connect_websocket(vendor.url) as stream:
        for _ in range(2):
            await stream.send(b"whatever")
        while json.loads(await stream.receive())["type"] != "rate_limits.updated":
            pass


ENTRIES: list[Entry] = [
    Message(1.0, "sent", "hello"),
    Message(2.0, "received", b"\x01"),
    Message(4.0, "received", "bye"),
    Ended(6.0, "them", 4001, "enough"),
]


async def test_an_ignored_client_hears_it_by_the_clock() -> None:
    clock = ManualClock()
    async with (
        ReplayServer(ENTRIES, client="ignored", speed=2, clock=clock) as vendor,
        connect_websocket(vendor.url) as stream,
    ):
        heard: list[str | bytes] = []

        async def listen() -> None:
            with pytest.raises(ConnectionLost) as lost:
                await _listen(stream, heard)
            assert (lost.value.code, lost.value.reason) == (4001, "enough")

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listen)
                await clock.advance(0.9)
                await stream.send("nobody listens")
                assert heard == []
                await clock.advance(0.2)
                while not heard:
                    await anyio.wait_all_tasks_blocked()
                assert heard == [b"\x01"]
                await clock.advance(2)
        assert heard == [b"\x01", "bye"]


async def test_a_connection_that_broke_breaks_again() -> None:
    async with (
        ReplayServer([Ended(0.0, "them", 1006, "")]) as vendor,
        connect_websocket(vendor.url) as stream,
    ):
        with pytest.raises(ConnectionLost) as lost:
            await stream.receive()
        assert lost.value.code == 1006


def test_a_speed_that_makes_no_sense() -> None:
    with pytest.raises(InvalidConfig, match="speed"):
        ReplayServer([], speed=0)

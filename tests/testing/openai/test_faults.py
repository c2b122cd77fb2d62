"""Every fault of the vocabulary, as a client sees it."""

import json

import anyio
import pytest

from tests.testing.openai.rig import ToneBrain, dialled, kinds, session
from trunkline.clock import ManualClock, ScaledClock
from trunkline.errors import ConnectionLost, DeadlineExceeded, HandshakeRejected, MessageTooLarge
from trunkline.testing.brain import Say
from trunkline.testing.openai import (
    Close,
    Drop,
    Duplicate,
    HalfOpen,
    HangInHandshake,
    MalformedJson,
    OpenAIRealtimeSimulator,
    OversizedMessage,
    RateLimited,
    RefuseUpgrade,
    Reorder,
    Slow,
    Stall,
)
from trunkline.transport import WebSocketConnection, connect_websocket

pytestmark = pytest.mark.anyio

DELTA = "response.output_audio.delta"


def two_words() -> ToneBrain:
    return ToneBrain(lambda *_: [Say("Good morning.")])


async def test_a_server_that_stalls_goes_on_with_all_it_would_have_said() -> None:
    clock = ManualClock()
    async with OpenAIRealtimeSimulator(brain=two_words(), clock=clock) as vendor, session(vendor) as client:
        vendor.script([Stall(on="response.created", seconds=30)])
        await client.send("response.create")
        assert (await client.receive())["type"] == "response.created"
        await clock.advance(29)
        assert vendor.sent[-1]["type"] == "response.created"
        await clock.advance(1)
        told = kinds(await client.turn())
        assert (told[0], told[-2]) == ("response.output_item.added", "response.done")


async def test_a_stall_at_an_event_of_the_clients_delays_its_answer() -> None:
    clock = ScaledClock(100)
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), clock=clock) as vendor, session(vendor) as client:
        vendor.script([Stall(on="input_audio_buffer.clear", seconds=5)])
        began = clock.now()
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
        assert clock.now() - began >= 5


async def _drained(socket: WebSocketConnection) -> None:
    while True:
        await socket.receive()


@pytest.mark.parametrize("on", ["response.created", "input_audio_buffer.clear"])
async def test_a_half_open_connection_says_and_reads_nothing_more(on: str) -> None:
    async with OpenAIRealtimeSimulator(brain=two_words()) as vendor:
        vendor.script([HalfOpen(on=on)])
        url = f"ws{vendor.url.removeprefix('http')}/realtime?model=m"
        options = {"ping_interval": 0.05, "ping_timeout": 0.05, "close_timeout": 0.05}
        async with connect_websocket(url, headers=[("Authorization", "Bearer k")], **options) as socket:  # type: ignore[arg-type]
            assert "session.created" in str(await socket.receive())
            await socket.send(json.dumps({"type": "input_audio_buffer.clear"}))
            await socket.send(json.dumps({"type": "response.create"}))
            with anyio.fail_after(5), pytest.raises(ConnectionLost, match="no answer to ping"):
                await _drained(socket)
        assert vendor.sent[-1]["type"] == ("response.created" if on == "response.created" else "session.created")


async def test_a_slow_connection_delays_every_message() -> None:
    clock = ScaledClock(100)
    async with OpenAIRealtimeSimulator(brain=two_words(), clock=clock) as vendor, session(vendor) as client:
        vendor.script([Slow(on="response.create", delay=0.5, bytes_per_second=4000)])
        began = clock.now()
        await client.send("response.create")
        events = await client.turn()
        size = sum(len(json.dumps(event)) for event in events)
        assert clock.now() - began >= 0.5 * len(events) + size / 4000


async def test_two_events_change_places() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        vendor.script([Reorder(on="response.created"), Reorder(on="input_audio_buffer.commit")])
        await client.send("response.create")
        assert kinds(await client.turn())[:3] == [
            "response.output_item.added",
            "response.created",
            "conversation.item.added",
        ]
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.silence(200)
        await client.send("input_audio_buffer.commit")
        events = [(await client.receive())["type"] for _ in range(3)]
        assert events == ["conversation.item.added", "input_audio_buffer.committed", "conversation.item.done"]


async def test_an_event_comes_twice() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        vendor.script([Duplicate(on="response.created"), Duplicate(on="input_audio_buffer.clear")])
        await client.send("response.create")
        first, second, *_ = await client.turn()
        assert first == second
        assert first["type"] == "response.created"
        assert await client.ask("input_audio_buffer.clear") == await client.receive()


async def test_a_text_that_is_no_json_and_the_session_goes_on() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        vendor.script([MalformedJson(on="input_audio_buffer.clear")])
        await client.send("input_audio_buffer.clear")
        with pytest.raises(json.JSONDecodeError):
            json.loads(await client.socket.receive())
        assert (await client.receive())["type"] == "input_audio_buffer.cleared"


async def test_a_message_above_the_clients_limit() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script([OversizedMessage(on="session.created", size=4096)])
        for limit in (4095, 4096):
            url = f"ws{vendor.url.removeprefix('http')}/realtime?model=m"
            async with connect_websocket(url, headers=[("Authorization", "Bearer k")], max_size=limit) as socket:
                assert "session.created" in str(await socket.receive())
                if limit == 4095:
                    with pytest.raises(MessageTooLarge):
                        await socket.receive()
                    vendor.script([OversizedMessage(on="session.created", size=4096)])
                else:
                    message = await socket.receive()
                    assert len(message) == 4096
                    assert json.loads(message)["type"] == ""


async def test_the_next_connections_are_refused_with_a_status() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script(
            [
                RefuseUpgrade(status=429, retry_after=7, code="rate_limit_exceeded", message="Slow down."),
                RefuseUpgrade(nth=2),
                Close(on="session.created", code=1011),
            ]
        )
        with pytest.raises(HandshakeRejected) as rejected:
            async with dialled(vendor):
                pass
        assert (rejected.value.status, rejected.value.retry_after) == (429, 7)
        error = {"message": "Slow down.", "type": "invalid_request_error", "param": None, "code": "rate_limit_exceeded"}
        assert json.loads(rejected.value.body)["error"] == error
        async with session(vendor):
            pass
        with pytest.raises(HandshakeRejected) as rejected:
            async with dialled(vendor):
                pass
        assert (rejected.value.status, rejected.value.retry_after) == (503, None)
        async with session(vendor) as client:
            with pytest.raises(ConnectionLost):
                await client.receive()


async def test_a_connection_that_is_one_too_many() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script([RateLimited()])
        async with dialled(vendor) as client:
            assert (await client.receive())["error"]["code"] == "rate_limit_exceeded"
            with pytest.raises(ConnectionLost) as lost:
                await client.socket.receive()
            assert (lost.value.code, lost.value.reason) == (4000, "invalid_request_error.rate_limit_exceeded")
        async with session(vendor):
            assert len(vendor.sessions) == 1


async def test_a_handshake_that_hangs() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script([HangInHandshake(), HangInHandshake(upgraded=True)])
        url = f"ws{vendor.url.removeprefix('http')}/realtime?model=m"
        with pytest.raises(DeadlineExceeded):
            async with connect_websocket(url, headers=[("Authorization", "Bearer k")], connect_timeout=0.1):
                pass
        async with dialled(vendor) as client:
            with anyio.move_on_after(0.1) as waited:
                await client.socket.receive()
            assert waited.cancelled_caught
        async with session(vendor):
            pass


async def test_a_fault_at_the_door_waits_for_those_before_it() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script([Drop(on="input_audio_buffer.clear"), RefuseUpgrade()])
        async with session(vendor) as client:
            await client.send("input_audio_buffer.clear")
            with pytest.raises(ConnectionLost):
                await client.receive()
        with pytest.raises(HandshakeRejected):
            async with dialled(vendor):
                pass


async def test_nothing_is_left_of_hanging_clients() -> None:
    before = len(anyio.get_running_tasks())
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script([HangInHandshake(), HalfOpen(on="session.created")])
        url = f"ws{vendor.url.removeprefix('http')}/realtime?model=m"
        with pytest.raises(DeadlineExceeded):
            async with connect_websocket(url, connect_timeout=0.05):
                pass
        async with connect_websocket(url, headers=[("Authorization", "Bearer k")], close_timeout=0.05) as socket:
            await socket.receive()
    assert len(anyio.get_running_tasks()) == before

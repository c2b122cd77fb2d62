"""What is refused (§9), how connections fail (§2), and how sessions end."""

import base64
import json
from typing import Literal

import anyio
import pytest

from tests.testing.openai.rig import Event, ToneBrain, dialled, session, tone
from trunkline.clock import ScaledClock
from trunkline.errors import ConnectionLost, HandshakeRejected
from trunkline.testing.openai import Close, Drop, ErrorEvent, OpenAIRealtimeSimulator

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({}, "invalid_event", None),
        ({"type": "response.creat"}, "invalid_event", "type"),
        ({"type": "output_audio_buffer.clear"}, "invalid_event", "type"),
        ({"type": "response.create", "respnse": {}}, "unknown_parameter", "respnse"),
        ({"type": "response.create", "response": {"temperature": 0.8}}, "unknown_parameter", "response.temperature"),
        (
            {"type": "response.create", "response": {"max_output_tokens": 0}},
            "integer_below_min_value",
            "response.max_output_tokens",
        ),
        (
            {"type": "response.create", "response": {"metadata": {"k": "v" * 513}}},
            "invalid_value",
            "response.metadata.k",
        ),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "response.cancel", "response_id": "resp_no"}, "response_cancel_not_active", None),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "%"}, "invalid_value", "audio"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
    ],
)
async def test_an_event_is_refused_and_the_session_goes_on(event: Event, code: str, param: str | None) -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.socket.send(json.dumps(event | {"event_id": "c-17"}))
        refused = await client.receive()
        assert refused["error"]["type"] == "invalid_request_error"
        assert (refused["error"]["code"], refused["error"]["param"]) == (code, param)
        assert refused["error"]["event_id"] == "c-17"
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


@pytest.mark.parametrize("message", ["{", "[]", "1", b'{"type":"response.create"}'])
async def test_what_is_no_event_is_refused(message: str | bytes) -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.socket.send(message)
        assert (await client.receive())["error"]["code"] == "invalid_json"
        assert vendor.received == []


async def test_a_commit_that_is_too_small_is_refused_late() -> None:
    clock = ScaledClock(20)
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), clock=clock) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.append(tone(90))
        began = clock.now()
        refused = await client.ask("input_audio_buffer.commit", event_id="c-1")
        assert clock.now() - began >= 1
        assert refused["error"]["code"] == "input_audio_buffer_commit_empty"
        assert refused["error"]["event_id"] == "c-1"
        assert "but buffer only has 90.00ms of audio." in refused["error"]["message"]
        await client.append(tone(10))
        assert (await client.ask("input_audio_buffer.commit"))["type"] == "input_audio_buffer.committed"


async def test_one_response_at_a_time() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        created = await client.ask("response.create")
        refused = await client.ask("response.create")
        assert refused["error"]["code"] == "conversation_already_has_active_response"
        assert created["response"]["id"] in refused["error"]["message"]


async def test_an_append_of_any_length_up_to_fifteen_megabytes() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        data = base64.b64encode(bytes(15 * 1024 * 1024 // 4 * 3)).decode()
        await client.send("input_audio_buffer.append", audio=data)
        assert (await client.ask("input_audio_buffer.commit"))["type"] == "input_audio_buffer.committed"
        await client.until("conversation.item.done")
        refused = await client.ask("input_audio_buffer.append", audio=data + "AAAA")
        assert refused["error"]["param"] == "audio"


CONNECT_FAILURES = [
    ("?model=gpt-realtime-2.1", "sk-wrong", False, 401, 3000, "invalid_api_key"),
    ("?model=gpt-realtime-2.1", None, False, 401, 3000, "invalid_api_key"),
    ("", "sk-right", False, 400, 4000, "missing_model"),
    ("?model=gpt-4o-realtime-preview", "sk-right", False, 404, 4000, "invalid_model"),
    ("?model=gpt-realtime-2.1", "sk-right", True, 400, 4000, "beta_api_shape_disabled"),
]


@pytest.mark.parametrize(("query", "key", "beta", "status", "close", "code"), CONNECT_FAILURES)
@pytest.mark.parametrize("refuse", ["error_event", "http"])
async def test_connecting_fails(
    refuse: Literal["error_event", "http"], query: str, key: str | None, beta: bool, status: int, close: int, code: str
) -> None:
    vendor = OpenAIRealtimeSimulator(brain=ToneBrain(), api_key="sk-right", refuse=refuse)
    async with vendor:
        if refuse == "http":
            with pytest.raises(HandshakeRejected) as rejected:
                async with dialled(vendor, query=query, key=key, beta=beta):
                    pass
            assert rejected.value.status == status
            assert json.loads(rejected.value.body)["error"]["code"] == code
        else:
            async with dialled(vendor, query=query, key=key, beta=beta) as client:
                assert (await client.receive())["error"]["code"] == code
                with pytest.raises(ConnectionLost) as lost:
                    await client.socket.receive()
                assert (lost.value.code, lost.value.reason) == (close, f"invalid_request_error.{code}")
        assert vendor.sessions == []


async def test_the_right_key_opens() -> None:
    async with (
        OpenAIRealtimeSimulator(brain=ToneBrain(), api_key="sk-right") as vendor,
        session(vendor, key="sk-right"),
    ):
        assert [opened.is_open for opened in vendor.sessions] == [True]


async def test_a_session_expires() -> None:
    clock = ScaledClock(20_000)
    async with OpenAIRealtimeSimulator(brain=ToneBrain(), clock=clock) as vendor, dialled(vendor) as client:
        created = await client.receive()
        left = created["session"]["expires_at"] - clock.wall().timestamp()
        assert 0 < left <= 3600
        assert (await client.receive())["error"]["code"] == "session_expired"
        with pytest.raises(ConnectionLost) as lost:
            await client.socket.receive()
        assert (lost.value.code, lost.value.reason) == (1001, "Your session hit the maximum duration of 60 minutes.")
        assert clock.now() >= 3600


async def test_a_transcription_session_has_no_responses() -> None:
    vendor = OpenAIRealtimeSimulator(brain=(brain := ToneBrain()), transcription_delay=0)
    async with vendor, dialled(vendor, query="?intent=transcription") as client:
        created = await client.receive()
        assert created["session"]["type"] == "transcription"
        hears = {"transcription": {"model": "gpt-realtime-whisper"}}
        updated = await client.ask("session.update", session={"type": "transcription", "audio": {"input": hears}})
        assert updated["session"]["audio"]["input"]["transcription"]["language"] is None
        await client.utter()
        await client.until("conversation.item.input_audio_transcription.completed")
        assert (await client.ask("response.create"))["type"] == "error"
        assert brain.heard == []


async def test_faults_come_in_their_order() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor:
        vendor.script(
            [
                ErrorEvent(on="session.update", code="rate_limit_exceeded", message="Slow down."),
                Drop(on="response.output_audio.delta", nth=2),
                Close(on="session.created", code=1011, reason="server fault"),
            ]
        )
        async with session(vendor) as client:
            said = await client.configure(instructions="Be brief.")
            assert (said["error"]["code"], said["error"]["message"]) == ("rate_limit_exceeded", "Slow down.")
            assert (await client.receive())["type"] == "session.updated"
            await client.send("response.create")
            with pytest.raises(ConnectionLost) as lost:
                await client.turn()
            assert lost.value.code == 1006
            assert [e["type"] for e in client.events].count("response.output_audio.delta") == 2
        async with session(vendor) as client:
            with pytest.raises(ConnectionLost) as lost:
                await client.receive()
            assert (lost.value.code, lost.value.reason) == (1011, "server fault")
        async with session(vendor) as client:
            assert (await client.configure(instructions="Again."))["type"] == "session.updated"


async def test_a_drop_without_an_event_comes_at_once() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        vendor.script([Drop()])
        await client.send("response.create")
        with pytest.raises(ConnectionLost) as lost:
            await client.receive()
        assert lost.value.code == 1006
        assert vendor.received == [{"type": "response.create"}]
        assert [event["type"] for event in vendor.sent] == ["session.created"]

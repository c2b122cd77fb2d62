"""Sessions with OpenAI Realtime over a real WebSocket: the orders of events that the protocol has."""

import base64
from typing import Any

import pytest

from tests.realtime.scripted_vendor import CANCELLED, Vendor, ids, rest, scripted, until
from trunkline.errors import (
    LocalProtocolError,
)
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
    SessionReady,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    Usage,
    UserTranscript,
    UserTurnCommitted,
)
from trunkline.realtime.provider import ProcessConfig
from trunkline.wire.realtime.openai.options import ServerVad
from trunkline.wire.realtime.openai.session import PCM, PCMA, PCMU

pytestmark = pytest.mark.anyio

READY = SessionReady("sess_1", PCM, PCM, "gpt-realtime-2.1")
USAGE = Usage(2, 3, 5)


async def test_a_spoken_turn() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        assert base64.b64decode((await vendor.expect("input_audio_buffer.append"))["audio"]) == b"\x01\x02" * 480
        transcription = "conversation.item.input_audio_transcription"
        await vendor.send("input_audio_buffer.speech_started", audio_start_ms=1460, item_id="item_U")
        await vendor.send("input_audio_buffer.speech_stopped", audio_end_ms=4256, item_id="item_U")
        await vendor.send("input_audio_buffer.committed", previous_item_id=None, item_id="item_U")
        user = {"id": "item_U", "type": "message", "role": "user", "status": "completed"}
        user["content"] = [{"type": "input_audio", "transcript": None}]  # type: ignore[assignment]
        await vendor.send("conversation.item.added", item=user)
        await vendor.send("conversation.item.done", item=user)
        await vendor.response_created("resp_1")
        await vendor.send(f"{transcription}.delta", item_id="item_U", content_index=0, delta="What")
        agent = {"id": "item_A", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await vendor.send("response.output_item.added", response_id="resp_1", output_index=0, item=agent)
        where = ids("resp_1", "item_A")
        await vendor.send("response.output_audio_transcript.delta", **where, delta="Nine", obfuscation="abc")
        await vendor.audio("resp_1", "item_A", b"\x01\x02\x03")
        await vendor.audio("resp_1", "item_A", b"\x04")
        usage = {"type": "duration", "seconds": 3}
        await vendor.send(
            f"{transcription}.completed", item_id="item_U", content_index=0, transcript="What hours?", usage=usage
        )
        await vendor.send("response.output_audio.done", **where)
        await vendor.send("response.output_audio_transcript.done", **where, transcript="Nine to five.")
        await vendor.response_done("resp_1")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.send_audio(b"\x01\x02" * 480)
        told = await rest(session)
    assert told == [
        READY,
        SpeechStarted("item_U", 1460),
        SpeechStopped("item_U", 4256),
        UserTurnCommitted("item_U"),
        ResponseStarted("resp_1"),
        UserTranscript("What", False, "item_U"),
        AgentTranscript("Nine", False, "item_A", "resp_1"),
        AudioReceived(b"\x01\x02\x03", "item_A", "resp_1"),
        AudioReceived(b"\x04", "item_A", "resp_1"),
        UserTranscript("What hours?", True, "item_U"),
        AgentTranscript("Nine to five.", True, "item_A", "resp_1"),
        ResponseFinished("resp_1", "completed", "", USAGE),
        SessionEnded("closed_by_vendor"),
    ]


async def test_a_tool_turn_goes_on_after_the_answer() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        call = await vendor.function_call("resp_1", "call_1", "get_weather", '{"city": "London"}')
        await vendor.response_done("resp_1", output=[call])
        answer = await vendor.expect("conversation.item.create")
        assert answer["item"] == {"type": "function_call_output", "call_id": "call_1", "output": '"sunny"'}
        await vendor.expect("response.create")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert await until(session, ToolCallRequested) == ToolCallRequested(
            "call_1", "get_weather", '{"city": "London"}', "resp_1"
        )
        await until(session, ResponseFinished)
        await session.send_tool_result("call_1", '"sunny"')
        with pytest.raises(LocalProtocolError, match="answered before"):
            await session.send_tool_result("call_1", "again")
        with pytest.raises(LocalProtocolError, match="call_9"):
            await session.send_tool_result("call_9", "?")


async def test_two_calls_in_one_response_bring_one_new_response() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        first = await vendor.function_call("resp_1", "call_1", "a", "{}")
        # Answered before the response is over: allowed, but no reason yet for another.
        assert (await vendor.expect("conversation.item.create"))["item"]["call_id"] == "call_1"
        second = await vendor.function_call("resp_1", "call_2", "b", "{}")
        await vendor.response_done("resp_1", output=[first, second])
        assert (await vendor.expect("conversation.item.create"))["item"]["call_id"] == "call_2"
        await vendor.expect("response.create")
        await vendor.response_created("resp_2")
        await vendor.response_done("resp_2")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        assert (await until(session, ToolCallRequested)).call_id == "call_1"
        await session.send_tool_result("call_1", "1")
        assert (await until(session, ToolCallRequested)).call_id == "call_2"
        assert (await until(session, ResponseFinished)).response_id == "resp_1"
        await session.send_tool_result("call_2", "2")
        assert (await until(session, ResponseFinished)).response_id == "resp_2"


async def test_a_call_without_a_name_gets_it_from_its_item() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        started = {"id": "item_1", "type": "function_call", "name": "f", "call_id": "call_1", "arguments": ""}
        await vendor.send("response.output_item.added", response_id="resp_1", output_index=0, item=started)
        # The official types ask for a name and a call id; some servers leave them out.
        kind = "response.function_call_arguments.done"
        text = f'{{"type":"{kind}","response_id":"resp_1","item_id":"item_1","arguments":"{{}}"}}'
        await vendor.connection.send(text)
        late = {"id": "item_2", "type": "function_call", "name": "g", "call_id": "call_2", "arguments": "[]"}
        await vendor.response_done("resp_1", output=[started, late])

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        calls = [event for event in await rest(session) if isinstance(event, ToolCallRequested)]
    assert calls == [ToolCallRequested("call_1", "f", "{}", "resp_1"), ToolCallRequested("call_2", "g", "[]", "resp_1")]


async def test_an_interruption_drops_what_is_still_on_its_way() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.audio("resp_1", "item_A", bytes(4800))
        await vendor.send("input_audio_buffer.speech_started", audio_start_ms=9000, item_id="item_U")
        await vendor.audio("resp_1", "item_A", bytes(4800))
        where = ids("resp_1", "item_A")
        await vendor.send("response.output_audio_transcript.delta", **where, delta=" late")
        await vendor.send("response.output_audio_transcript.done", **where, transcript="Nine to")
        call = {"response_id": "resp_1", "item_id": "item_F", "output_index": 1, "call_id": "call_1", "name": "f"}
        await vendor.send("response.function_call_arguments.done", **call, arguments='{"ci')
        await vendor.response_done("resp_1", "cancelled", status_details=CANCELLED)
        await vendor.audio("resp_1", "item_A", bytes(4800))
        truncate = await vendor.expect("conversation.item.truncate")
        assert (truncate["item_id"], truncate["content_index"], truncate["audio_end_ms"]) == ("item_A", 0, 60)
        await vendor.send("conversation.item.truncated", item_id="item_A", content_index=0, audio_end_ms=60)
        await vendor.send("input_audio_buffer.speech_stopped", audio_end_ms=9900, item_id="item_U")
        await vendor.response_created("resp_2")
        await vendor.audio("resp_2", "item_B", b"\x01")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        told: list[SessionEvent] = []
        async for event in session:
            told.append(event)
            if isinstance(event, Interrupted):
                await session.truncate("item_A", heard_ms=60)
    assert told == [
        READY,
        ResponseStarted("resp_1"),
        AudioReceived(bytes(4800), "item_A", "resp_1"),
        SpeechStarted("item_U", 9000),
        AgentTranscript("Nine to", True, "item_A", "resp_1"),
        Interrupted("resp_1"),
        ResponseFinished("resp_1", "cancelled", "turn_detected", USAGE),
        SpeechStopped("item_U", 9900),
        ResponseStarted("resp_2"),
        AudioReceived(b"\x01", "item_B", "resp_2"),
        SessionEnded("closed_by_vendor"),
    ]


async def test_where_the_vendor_does_not_interrupt_the_answer_goes_on() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_U")
        await vendor.audio("resp_1", "item_A", b"\x01")
        await vendor.expect("response.cancel")

    options: dict[str, Any] = {"turn_detection": ServerVad(interrupt_response=False)}
    async with scripted(script, **options) as provider, provider.connect(ProcessConfig()) as session:
        assert not session.capabilities.interrupts_itself
        assert (await until(session, AudioReceived)).audio == b"\x01"
        await session.cancel_response()


async def test_truncation_stays_within_what_was_received() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.audio("resp_1", "item_A", bytes(4801))
        for expected in (100, 0):
            assert (await vendor.expect("conversation.item.truncate"))["audio_end_ms"] == expected
        await vendor.error("item_truncate_invalid_item_id", "the item does not exist")
        await vendor.error("invalid_value", "already shorter", param="audio_end_ms")

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, AudioReceived)
        await session.truncate("item_A", heard_ms=5000)
        await session.truncate("item_A", heard_ms=-3)
        await session.truncate("item_nobody_knows", heard_ms=20)
        assert await rest(session) == [SessionEnded("closed_by_vendor")]


async def test_cancelling_by_hand() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        await vendor.audio("resp_1", "item_A", b"\x01")
        assert (await vendor.expect("response.cancel"))["response_id"] == "resp_1"
        await vendor.audio("resp_1", "item_A", b"\x02")
        details = {"type": "cancelled", "reason": "client_cancelled"}
        await vendor.response_done("resp_1", "cancelled", status_details=details)
        await vendor.error("response_cancel_not_active")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.cancel_response()  # nothing runs: nothing is sent
        await until(session, AudioReceived)
        await session.cancel_response()
        await session.cancel_response()
        assert await session.__anext__() == ResponseFinished("resp_1", "cancelled", "client_cancelled", USAGE)


async def test_a_response_is_asked_for_when_none_runs() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        await vendor.response_created("resp_1")
        for text in ("one", "two"):
            item = (await vendor.expect("conversation.item.create"))["item"]
            assert item == {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await vendor.response_done("resp_1")
        await vendor.expect("response.create")
        await vendor.response_created("resp_2")
        await vendor.response_done("resp_2")
        await vendor.expect_nothing()

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await until(session, ResponseStarted)
        await session.send_text("one")
        await session.send_text("two")
        await until(session, ResponseFinished)
        await until(session, ResponseFinished)


async def test_a_greeting() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        assert (await vendor.expect("response.create"))["response"] == {"instructions": "Greet the caller."}

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.create_response("Greet the caller.")


async def test_a_request_that_met_another_response_is_made_again() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        first = await vendor.expect("response.create")
        await vendor.response_created("resp_1")
        message = "Conversation already has an active response in progress: resp_1."
        await vendor.error("conversation_already_has_active_response", message, event_id=first["event_id"])
        await vendor.response_done("resp_1")
        assert (await vendor.expect("response.create"))["response"] == {"instructions": "Say hello."}

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.create_response("Say hello.")
        told = await rest(session)
    assert not [event for event in told if isinstance(event, ErrorReported)]


async def test_commit() -> None:
    async def script(vendor: Vendor) -> None:
        assert (await vendor.open_session())["audio"]["input"]["turn_detection"] is None
        for kind in (
            "input_audio_buffer.append",
            "input_audio_buffer.commit",
            "response.create",
            "input_audio_buffer.clear",
        ):
            await vendor.expect(kind)
        await vendor.error("input_audio_buffer_commit_empty")

    async with scripted(script, turn_detection=None) as provider, provider.connect(ProcessConfig()) as session:
        await session.send_audio(b"")
        await session.send_audio(bytes(9600))
        await session.commit_audio()
        await session.create_response()
        await session.clear_audio()
        assert await rest(session) == [READY, SessionEnded("closed_by_vendor")]


async def test_instructions_change_while_the_session_runs() -> None:
    async def script(vendor: Vendor) -> None:
        await vendor.open_session()
        assert (await vendor.expect("session.update"))["session"] == {"type": "realtime", "instructions": "Be brief."}

    async with scripted(script) as provider, provider.connect(ProcessConfig()) as session:
        await session.update_instructions("Be brief.")


async def test_audio_of_the_line_passes_through_untouched() -> None:
    frame = bytes(range(160))

    async def script(vendor: Vendor) -> None:
        wanted = await vendor.open_session()
        assert wanted["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        assert wanted["audio"]["output"]["format"] == {"type": "audio/pcma"}
        assert base64.b64decode((await vendor.expect("input_audio_buffer.append"))["audio"]) == frame
        await vendor.response_created("resp_1")
        await vendor.audio("resp_1", "item_A", frame)
        assert (await vendor.expect("conversation.item.truncate"))["audio_end_ms"] == 20

    config = ProcessConfig(input_format=PCMU, output_format=PCMA)
    async with scripted(script) as provider, provider.connect(config) as session:
        assert (session.input_format, session.output_format) == (PCMU, PCMA)
        await session.send_audio(frame)
        assert (await until(session, SessionReady)).output_format == PCMA
        assert (await until(session, AudioReceived)).audio == frame
        await session.truncate("item_A", heard_ms=99)

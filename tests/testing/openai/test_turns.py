"""The orders of §10, event by event."""

import base64
from collections.abc import Sequence

import anyio
import pytest

from tests.testing.openai.rig import Client, ToneBrain, dialled, kinds, session, squeezed, tone
from trunkline.audio import AudioFormat, StreamConverter
from trunkline.testing.brain import CallTool, Heard, Say, Tools
from trunkline.testing.openai import OpenAIRealtimeSimulator

pytestmark = pytest.mark.anyio

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
SPOKEN = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "speech",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
    "rate_limits.updated",
]


async def test_session_created_is_the_first_event_and_tells_the_whole_session() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, dialled(vendor) as client:
        created = await client.receive()
        assert list(created)[:2] == ["type", "event_id"]
        assert created["type"] == "session.created"
        told = created["session"]
        assert told["id"].startswith("sess_")
        assert told["model"] == "gpt-realtime-2.1"
        assert told["audio"]["output"] == {
            "format": {"type": "audio/pcm", "rate": 24000},
            "voice": "marin",
            "speed": 1.0,
        }
        assert told["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500


async def test_a_spoken_turn() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        await client.utter(600)
        events = await client.turn()
        assert squeezed(events) == TURN + SPOKEN
        started, stopped, committed, added, done = events[:5]
        assert started["item_id"] == stopped["item_id"] == committed["item_id"] == added["item"]["id"]
        assert abs(started["audio_start_ms"] - 100) <= 20
        assert abs(stopped["audio_end_ms"] - 1500) <= 40
        assert committed["previous_item_id"] is None
        assert added["item"] == done["item"]
        assert added["item"]["content"] == [{"type": "input_audio", "transcript": None}]
        assert abs(len(brain.clips[0]) / 32 - 1400) <= 40
        assert brain.heard == [[Heard("user", "what is the weather")]]
        assert events[7]["previous_item_id"] == added["item"]["id"]
        finished = events[-2]["response"]
        assert finished["status"] == "completed"
        assert finished["output"][0]["content"] == [{"type": "output_audio", "transcript": "It is sunny today."}]
        deltas = [event for event in events if event["type"] == "response.output_audio.delta"]
        assert b"".join(base64.b64decode(delta["delta"]) for delta in deltas) == tone(400)
        words = [event for event in events if event["type"] == "response.output_audio_transcript.delta"]
        assert "".join(word["delta"] for word in words) == "It is sunny today."
        assert events.index(words[0]) < events.index(deltas[0])


async def test_text_deltas_are_padded_and_audio_is_not() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.send("response.create")
        for event in await client.turn():
            if event["type"] == "response.output_audio_transcript.delta":
                assert event["obfuscation"]
                assert len(event["delta"] + event["obfuscation"]) % 16 == 0
            else:
                assert "obfuscation" not in event


async def test_telephone_formats_are_heard_and_spoken() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain()), chunk_ms=100) as vendor, session(vendor) as client:
        law = {"format": {"type": "audio/pcmu"}}
        updated = await client.configure(audio={"input": law, "output": law})
        assert updated["session"]["audio"]["input"]["format"] == {"type": "audio/pcmu"}
        client.bytes_per_ms, client.silence_byte = 8, b"\xff"
        converter = StreamConverter(AudioFormat("linear16", 24000, 1), AudioFormat("mulaw", 8000, 1))
        await client.silence(400)
        await client.append(converter.convert(tone(600)) + converter.flush(), chunk=160)
        await client.silence(700)
        events = await client.turn()
        assert squeezed(events) == TURN + SPOKEN
        assert abs(events[0]["audio_start_ms"] - 100) <= 25
        assert abs(len(brain.clips[0]) / 32 - 1400) <= 50
        spoken = b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")
        assert abs(len(spoken) - 3200) <= 40
        assert events[-2]["response"]["audio"]["output"]["format"] == {"type": "audio/pcmu"}


async def test_silence_alone_makes_nothing_happen() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.silence(3000)
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


async def test_quiet_speech_is_below_a_high_threshold() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.95}}})
        await client.utter()
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


async def test_without_create_response_the_client_asks_for_the_answer() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}})
        await client.utter()
        assert kinds(await client.until("conversation.item.done")) == TURN
        await client.send("response.create")
        assert squeezed(await client.turn()) == SPOKEN


async def test_a_manual_turn() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.utter()
        await client.send("input_audio_buffer.commit")
        assert kinds(await client.until("conversation.item.done")) == TURN[2:]
        await client.send("response.create")
        assert squeezed(await client.turn()) == SPOKEN
        assert abs(len(brain.clips[0]) / 32 - 1700) <= 10


async def test_the_transcript_comes_by_the_side_and_after_the_answer_has_begun() -> None:
    brain = ToneBrain(lambda *_: [Say("one two three four five six")])
    vendor = OpenAIRealtimeSimulator(brain=brain, speed=2, chunk_ms=100, transcription_delay=0.1)
    async with vendor, session(vendor) as client:
        await client.configure(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
        await client.utter()
        events = await client.turn()
        told = [event["type"] for event in events]
        completed = told.index("conversation.item.input_audio_transcription.completed")
        assert told.index("response.output_audio.delta") < completed < told.index("response.done")
        assert events[completed]["transcript"] == "what is the weather"
        assert events[completed]["item_id"] == events[0]["item_id"]
        assert events[completed]["usage"]["input_token_details"]["audio_tokens"] == 14
        deltas = [e["delta"] for e in events if e["type"].endswith("transcription.delta")]
        assert deltas == ["what", " is", " the", " weather"]


async def test_speech_that_is_not_understood_is_heard_as_such() -> None:
    brain = ToneBrain(words=None)
    async with OpenAIRealtimeSimulator(brain=brain, transcription_delay=0) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}}})
        await client.utter()
        completed, _ = await client.once("conversation.item.input_audio_transcription.completed", "response.done")
        assert completed["transcript"] == ""
        assert completed["usage"] == {"type": "duration", "seconds": 2}
        assert brain.heard == [[Heard("user", None)]]


def weather(history: Sequence[Heard], tools: Tools) -> list[Say | CallTool]:
    if any(heard.role == "tool" for heard in history):
        return [Say(f"I heard {history[-1].text}")]
    return [Say("One moment."), CallTool("get_weather", {"city": "London"}), CallTool("get_weather", {"city": "Tokyo"})]


CALLED = [
    "response.output_item.added",
    "conversation.item.added",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


async def test_function_calls_wait_for_their_outputs_and_for_response_create() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain(weather))) as vendor, session(vendor) as client:
        await client.configure(tools=[{"type": "function", "name": "get_weather"}])
        await client.utter()
        events = await client.turn()
        finish = ["response.done", "rate_limits.updated"]
        assert kinds([e for e in events[-20:] if "audio" not in e["type"]])[-2:] == finish
        output = events[-2]["response"]["output"]
        assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
        assert [item.get("phase") for item in output] == ["commentary", None, None]
        first = next(i for i, e in enumerate(events) if e.get("item", {}).get("type") == "function_call")
        assert kinds(events[first:]) == CALLED * 2 + finish
        pieces = [e for e in events if e["type"] == "response.function_call_arguments.delta" and e["output_index"] == 1]
        assert len(pieces) > 1
        assert "".join(piece["delta"] for piece in pieces) == output[1]["arguments"] == '{"city": "London"}'
        assert events[first]["item"]["arguments"] == ""
        for call in output[1:]:
            await client.send(
                "conversation.item.create",
                item={"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"},
            )
            added, _ = await client.until("conversation.item.done")
            assert "status" not in added["item"]
        assert len(brain.heard) == 1
        await client.send("response.create")
        events = await client.turn()
        assert squeezed(events) == SPOKEN
        assert brain.heard[1][-1] == Heard("tool", "sunny", "get_weather")
        assert events[-2]["response"]["output"][0]["content"][0]["transcript"] == "I heard sunny"


async def test_silence_after_the_answer_runs_out_of_patience() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        await client.utter()
        await client.turn()
        await client.silence(6000)
        events = await client.turn()
        assert squeezed(events) == ["input_audio_buffer.timeout_triggered", *TURN[2:], *SPOKEN]
        waited = events[0]["audio_end_ms"] - events[0]["audio_start_ms"]
        assert abs(waited - 5000) <= 20
        assert 1880 <= events[0]["audio_start_ms"] <= 2140  # 400 ms of answer, begun while the trailing silence came in


async def test_patience_rests_while_the_next_answer_is_being_made() -> None:
    async with OpenAIRealtimeSimulator(brain=(brain := ToneBrain())) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        await client.utter()
        await client.turn()
        brain.may_answer = anyio.Event()
        await client.ask("response.create")
        await client.silence(6000)
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"
        brain.may_answer.set()
        await client.turn()


async def begin_speaking(client: Client) -> None:
    await client.silence(100)
    await client.append(tone(200))


CUT = SPOKEN[5:]


async def test_speech_cuts_an_answer_that_is_being_made() -> None:
    brain = ToneBrain(lambda history, _: [Say("Yes." if history else "one" + " more" * 50 + " end")])
    async with OpenAIRealtimeSimulator(brain=brain, speed=1, chunk_ms=100) as vendor, session(vendor) as client:
        await client.send("response.create")
        await client.until("response.output_audio.delta")
        await begin_speaking(client)
        events = await client.turn()
        begin = next(i for i, e in enumerate(events) if e["type"] == "input_audio_buffer.speech_started")
        assert kinds(events[begin + 1 :]) == CUT
        response = events[-2]["response"]
        assert response["status"] == "cancelled"
        assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert response["output"][0]["status"] == "incomplete"
        said = response["output"][0]["content"][0]["transcript"]
        assert said.startswith("one")
        assert not said.endswith("end")
        assert 0 < response["usage"]["output_token_details"]["audio_tokens"] < 104
        await client.silence(700)
        assert squeezed(await client.turn())[-len(SPOKEN) :] == SPOKEN


async def test_speech_before_anything_was_made_leaves_nothing() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.send("response.create")
        with anyio.fail_after(5):
            await brain.thinks.wait()
        await begin_speaking(client)
        events = await client.turn()
        assert kinds(events) == ["response.created", "input_audio_buffer.speech_started", *CUT[-2:]]
        response = events[-2]["response"]
        assert response["output"] == []
        assert response["usage"]["total_tokens"] == response["usage"]["input_tokens"] == 0
        brain.may_answer.set()
        await client.silence(700)
        assert squeezed(await client.turn()) == TURN[1:] + SPOKEN


async def test_speech_after_the_answer_was_made_cancels_nothing() -> None:
    async with OpenAIRealtimeSimulator(brain=ToneBrain()) as vendor, session(vendor) as client:
        await client.send("response.create")
        await client.turn()
        await begin_speaking(client)
        assert (await client.receive())["type"] == "input_audio_buffer.speech_started"
        assert (await client.ask("input_audio_buffer.clear"))["type"] == "input_audio_buffer.cleared"


async def test_an_answer_that_may_not_be_interrupted_goes_on() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
        await client.send("response.create")
        await client.utter()
        assert kinds(await client.until("conversation.item.done")) == ["response.created", *TURN]
        brain.may_answer.set()
        assert (await client.turn())[-2]["response"]["status"] == "completed"
        assert len(brain.heard) == 1


async def test_cancelling_an_answer() -> None:
    brain = ToneBrain()
    brain.may_answer = anyio.Event()
    async with OpenAIRealtimeSimulator(brain=brain) as vendor, session(vendor) as client:
        created = await client.ask("response.create")
        await client.send("response.cancel", response_id=created["response"]["id"])
        done, _ = await client.turn()
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        brain.may_answer.set()
        await client.send("response.create")
        assert squeezed(await client.turn()) == SPOKEN

"""The caller speaks over the agent, in every mode and at every moment."""

from typing import Any

import anyio
import anyio.lowlevel

from tests.pipeline.doubles import ScriptedProvider
from tests.pipeline.test_bridge import Call, in_progress, says
from trunkline.audio import TWILIO
from trunkline.pipeline import EventType, InterruptionMode, InterruptionPolicy
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
)
from trunkline.realtime.provider import Capabilities

PATIENT = Capabilities(input_rate=24000, output_rate=24000, truncate=True, interrupts_itself=False)


def call_with(**policy: Any) -> Call:
    return Call(ScriptedProvider(PATIENT, TWILIO, TWILIO), interruption=InterruptionPolicy(**policy))


async def test_after_sentence_finishes_the_sentence_being_heard() -> None:
    call = call_with(mode=InterruptionMode.AFTER_SENTENCE)
    async with in_progress(call):
        call.session.feed(*says("a1", "First it rains. Then it snows.", 3000))
        await call.pass_ms(700)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(500)
        assert ("clear",) not in call.carrier.messages
        await call.pass_ms(1000)
        assert ("clear",) in call.carrier.messages
    heard_ms = call.one(EventType.INTERRUPTION).data["heard_ms"]
    assert 1480 <= heard_ms <= 1540  # half of the text, half of the audio
    assert call.one(EventType.INTERRUPTION).data["mode"] == "after_sentence"
    assert ("truncate", "a1", heard_ms) in call.session.commands
    assert [(t.text, t.interrupted) for t in call.bridge.transcript()] == [("First it rains.", True)]


async def test_after_the_last_sentence_nothing_is_cut() -> None:
    call = call_with(mode=InterruptionMode.AFTER_SENTENCE)
    async with in_progress(call):
        call.session.feed(*says("a1", "Only this", 500))
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(600)
    assert "interruption" not in call.types()
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 500
    assert call.session.commands == []


async def test_disabled_lets_the_agent_finish() -> None:
    call = call_with(mode=InterruptionMode.DISABLED)
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three", 800))
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0), SpeechStopped("u1", 200))
        await call.pass_ms(700)
    assert "interruption" not in call.types()
    assert call.carrier.sent() == b"\x55" * 6400
    assert [turn.text for turn in call.bridge.transcript()] == ["one two three"]


async def test_a_cough_is_followed_by_the_rest() -> None:
    call = call_with(min_speech_ms=300, hold=True)
    audio = bytes(range(1, 201)) * 64  # 1600 ms of what can be told apart
    async with in_progress(call):
        call.session.feed(
            ResponseStarted("r1"),
            AgentTranscript("one two three four", is_final=True, item_id="a1", response_id="r1"),
            AudioReceived(audio, item_id="a1", response_id="r1"),
        )
        await call.pass_ms(600)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(100)
        assert call.carrier.messages[-1] == ("clear",)
        heard_so_far = call.bridge._dialogue.playout.heard_ms("a1")
        sent_before = len(call.carrier.sent())
        call.session.feed(SpeechStopped("u1", 100), ResponseFinished("r1"))
        await call.pass_ms(2000)
    sent = call.carrier.sent()
    assert 580 <= heard_so_far <= 620
    assert sent[sent_before:].startswith(audio[heard_so_far * 8 :])
    assert "interruption" not in call.types()
    assert call.session.commands == []
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 1600
    assert call.types().count("agent_speech_start") == 1
    (turn,) = [turn for turn in call.bridge.transcript() if turn.role == "agent"]
    assert (turn.text, turn.duration_ms) == ("one two three four", 1600)


async def test_speech_that_is_held_for_becomes_an_interruption() -> None:
    call = call_with(min_speech_ms=300, hold=True)
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1600)[:-1])
        await call.pass_ms(600)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(100)
        call.session.feed(AudioReceived(b"\x55" * 800, item_id="a1", response_id="r1"))
        await call.pass_ms(400)
        sent = call.carrier.sent()
        await call.pass_ms(1000)
        assert call.carrier.sent() == sent
    heard_ms = call.one(EventType.INTERRUPTION).data["heard_ms"]
    assert 580 <= heard_ms <= 620
    assert call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] >= 300
    assert call.session.commands == [("cancel",), ("truncate", "a1", heard_ms)]
    (turn,) = [turn for turn in call.bridge.transcript() if turn.role == "agent"]
    assert (turn.text, turn.interrupted) == ("one", True)


async def test_twice_within_a_tenth_of_a_second_is_once() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three", 1000))
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(50)
        call.session.feed(SpeechStarted("u2", 50))
        await call.bridge.interrupt()
        await call.pass_ms(300)
    assert call.types().count("interruption") == 1
    assert [command[0] for command in call.session.commands] == ["truncate", "cancel"]


async def test_during_the_greeting() -> None:
    call = Call(greeting="Hello and welcome to us")
    async with in_progress(call):
        call.session.feed(*says("a1", "Hello and welcome to us", 2000))
        await call.pass_ms(900)
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(100)
    (greeting,) = call.bridge.transcript()
    assert greeting.interrupted
    assert greeting.text == "Hello and"


async def test_after_the_last_audio_was_sent_but_not_heard() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 400))
        await call.pass_ms(300)  # all of it is at the carrier
        assert len(call.carrier.sent()) == 3200
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(500)
    heard_ms = call.one(EventType.INTERRUPTION).data["heard_ms"]
    assert 280 <= heard_ms <= 320
    assert "agent_speech_end" not in call.types()
    assert call.session.commands == [("truncate", "a1", heard_ms)]


async def test_when_everything_was_heard_nothing_is_cut() -> None:
    call = Call()
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 400))
        await call.clock.advance(0.45)  # the mark has not come back
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(100)
    assert "interruption" not in call.types()
    assert call.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == 400
    assert call.session.commands == []


async def test_during_a_tool_call_the_tool_is_still_answered() -> None:
    release = anyio.Event()

    async def slow() -> str:
        await release.wait()
        return "done"

    call = Call(tools=[slow])
    async with in_progress(call):
        call.session.feed(
            *says("a1", "Let me see what I can find", 1000)[:-1], ToolCallRequested("c1", "slow", "{}", "r1")
        )
        await call.pass_ms(300)
        call.session.feed(SpeechStarted("u1", 0), ResponseFinished("r1", "cancelled"))
        await call.pass_ms(100)
        release.set()
        while call.bridge.metrics().tool_call_count < 1:
            await anyio.lowlevel.checkpoint()
        await call.pass_ms(10)
    assert call.types().count("interruption") == 1
    assert [command for command in call.session.commands if command[0] == "result"] == [("result", "c1", "done")]


class Ear:
    """A detector that a test tells what it hears: 20 ms windows, speech is any byte but silence."""

    window_ms = 20

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pcm: bytes) -> list[float]:
        self._rest += pcm
        told = []
        while len(self._rest) >= 640:
            window, self._rest = self._rest[:640], self._rest[640:]
            told.append(1.0 if max(window) > 60 and min(window) < 250 and any(window) else 0.0)
        return told


async def test_a_detector_on_this_side_stops_the_agent_before_the_provider_does() -> None:
    call = Call(ScriptedProvider(PATIENT, TWILIO, TWILIO), detector=Ear)
    async with in_progress(call):
        call.session.feed(*says("a1", "one two three four", 1600))
        await call.pass_ms(500)
        for _ in range(3):
            await call.bridge.send_audio(b"\xff" * 160)
        await call.pass_ms(0)
        assert ("clear",) not in call.carrier.messages
        for _ in range(6):
            await call.bridge.send_audio(b"\x10\x90" * 80)
        await call.pass_ms(0)
        assert ("clear",) in call.carrier.messages
        call.session.feed(SpeechStarted("u1", 0))
        await call.pass_ms(100)
    assert call.types().count("interruption") == 1

"""The caller speaks over the agent, in every mode and at every moment, whatever the vendor's session can do."""

from dataclasses import dataclass, replace
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.pipeline.call import CAPABILITIES, Call, in_progress, provider_of, says
from trunkline.audio import GEMINI_INPUT, GEMINI_OUTPUT, TWILIO, AudioFormat, StreamConverter
from trunkline.pipeline import EventType, InterruptionMode, InterruptionPolicy
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    Interrupted,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
)
from trunkline.realtime.provider import Capabilities

FRAME_MS = 20


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """One kind of session.

    Attributes:
        drops_silently: Where it may interrupt itself, it tells only that it did, and not that the caller speaks.
    """

    capabilities: Capabilities
    input_format: AudioFormat = TWILIO
    output_format: AudioFormat = TWILIO
    drops_silently: bool = False

    def on_the_line(self, audio: bytes) -> bytes:
        """The whole of an answer as the carrier gets it."""
        if self.output_format == TWILIO:
            return audio
        converter = StreamConverter(self.output_format, TWILIO)
        line = converter.convert(audio) + converter.flush()
        return line + TWILIO.silence(FRAME_MS)[: -len(line) % 160]


VENDORS = {
    "openai-like": Vendor(capabilities=CAPABILITIES),
    "cannot-truncate-16k-24k": Vendor(
        capabilities=replace(CAPABILITIES, input_rate=16000, truncate=False),
        input_format=GEMINI_INPUT,
        output_format=GEMINI_OUTPUT,
        drops_silently=True,
    ),
}


@pytest.fixture(params=VENDORS)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    return VENDORS[request.param]


class Talk(Call):
    """A call with one kind of session; `policy` is the interruption's."""

    def __init__(self, vendor: Vendor, policy: InterruptionPolicy | None = None, **options: Any) -> None:
        provider = provider_of(vendor.capabilities, vendor.input_format, vendor.output_format)
        super().__init__(provider, interruption=policy or InterruptionPolicy(), **options)
        self.vendor = vendor

    def audio(self, ms: int) -> AudioReceived:
        return AudioReceived(b"\x55" * self.bytes_per_ms * ms, item_id="a1", response_id="r1")

    def agent_says(self, text: str, ms: int) -> list[Any]:
        return says("a1", text, ms, bytes_per_ms=self.bytes_per_ms)

    def caller_speaks(self, item: str = "u1") -> list[Any]:
        """What the session tells when the caller speaks while it answers."""
        assert self.provider.session.config is not None
        if self.vendor.drops_silently and self.provider.session.config.allow_interruption:
            return [Interrupted("r1"), ResponseFinished("r1", "cancelled")]
        return [SpeechStarted(item, 0)]

    @property
    def bytes_per_ms(self) -> int:
        return self.vendor.output_format.frame_bytes(1)

    @property
    def is_cleared(self) -> bool:
        return ("clear",) in self.line.messages

    def cut_at(self, low: int, high: int) -> int:
        """There was one interruption, with about so much heard: what the carrier played, and what the session was told."""
        data = self.one(EventType.INTERRUPTION).data
        heard_ms: int = data["heard_ms"]
        assert low <= heard_ms <= high
        assert abs(heard_ms - self.line.heard_ms) <= FRAME_MS
        assert self.line.messages.count(("clear",)) == 1
        truncated = [command for command in self.session.commands if command[0] == "truncate"]
        assert truncated == ([("truncate", "a1", heard_ms)] if self.vendor.capabilities.truncate else [])
        (turn,) = [turn for turn in self.bridge.transcript() if turn.role == "agent" and turn.text]
        assert (turn.text, turn.interrupted, turn.duration_ms) == (data["text"], True, heard_ms)
        assert self.bridge.metrics().interruption_count == 1
        return heard_ms

    def uncut(self, text: str, ms: int) -> None:
        """Nothing was interrupted: all of it was heard, and the session was told nothing."""
        assert "interruption" not in self.types()
        assert self.one(EventType.AGENT_SPEECH_END).data["heard_ms"] == ms
        assert self.session.commands == []
        (turn,) = [turn for turn in self.bridge.transcript() if turn.role == "agent" and turn.text]
        assert (turn.text, turn.interrupted, turn.duration_ms) == (text, False, ms)


def words(call: Talk) -> str:
    (turn,) = [turn for turn in call.bridge.transcript() if turn.role == "agent"]
    return turn.text


async def test_the_formats_are_the_vendors(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        await call.bridge.send_audio(bytes(1600))
        await call.pass_ms(0)
    assert len(call.session.heard) == pytest.approx(200 * vendor.input_format.frame_bytes(1), rel=0.05)


async def test_immediate_falls_silent_at_once(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three four", 1200)[:-1])
        await call.pass_ms(800)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(0)
        assert call.line.messages[-1] == ("clear",)
        sent = call.line.sent
        call.session.feed(call.audio(100))
        await call.pass_ms(500)
        assert call.line.sent == sent
    call.cut_at(780, 820)
    assert words(call) == "one two"
    assert ("cancel",) not in call.session.commands


async def test_after_sentence_finishes_the_sentence_being_heard(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE))
    async with in_progress(call):
        call.session.feed(*call.agent_says("First it rains. Then it snows.", 3000))
        await call.pass_ms(700)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(200)
        call.session.feed(SpeechStopped("u1", 200))
        await call.pass_ms(300)
        assert not call.is_cleared
        await call.pass_ms(1000)
        assert call.is_cleared
    call.cut_at(1480, 1540)  # half of the text, half of the audio
    assert call.one(EventType.INTERRUPTION).data["mode"] == "after_sentence"
    assert call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] == 200
    assert words(call) == "First it rains."


async def test_after_sentence_cancels_an_answer_that_is_still_coming(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE))
    async with in_progress(call):
        call.session.feed(*call.agent_says("It rains. It snows.", 1900)[:-1])
        await call.pass_ms(700)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(500)
    call.cut_at(880, 940)
    assert call.session.commands[0] == ("cancel",)
    assert words(call) == "It rains."


async def test_after_the_last_sentence_nothing_is_cut(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(mode=InterruptionMode.AFTER_SENTENCE))
    async with in_progress(call):
        call.session.feed(*call.agent_says("Only this", 500))
        await call.pass_ms(300)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(600)
        assert not call.is_cleared
    call.uncut("Only this", 500)


async def test_disabled_lets_the_agent_finish(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(mode=InterruptionMode.DISABLED))
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three", 800))
        await call.pass_ms(300)
        call.session.feed(*call.caller_speaks(), SpeechStopped("u1", 200))
        await call.pass_ms(700)
        assert not call.is_cleared
    assert call.line.sent == vendor.on_the_line(call.audio(800).audio)
    call.uncut("one two three", 800)


async def test_a_cough_is_followed_by_the_rest(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(min_speech_ms=300, hold=True))
    period = bytes(range(1, 201))
    audio = period * (1600 * call.bytes_per_ms // len(period))  # what can be told apart
    line = vendor.on_the_line(audio)
    async with in_progress(call):
        call.session.feed(
            ResponseStarted("r1"),
            AgentTranscript("one two three four", is_final=True, item_id="a1", response_id="r1"),
            AudioReceived(audio, item_id="a1", response_id="r1"),
        )
        await call.pass_ms(600)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(100)
        assert call.line.messages[-1] == ("clear",)
        heard_so_far = call.bridge._turns.playout.heard_ms("a1")
        assert abs(heard_so_far - call.line.heard_ms) <= FRAME_MS
        sent_before = len(call.line.sent)
        call.session.feed(SpeechStopped("u1", 100), ResponseFinished("r1"))
        await call.pass_ms(2000)
    assert 580 <= heard_so_far <= 620
    assert call.line.sent[sent_before:].startswith(line[heard_so_far * 8 :])
    assert call.types().count("agent_speech_start") == 1
    call.uncut("one two three four", 1600)


async def test_speech_that_is_held_for_becomes_an_interruption(vendor: Vendor) -> None:
    call = Talk(vendor, InterruptionPolicy(min_speech_ms=300, hold=True))
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three four", 1600)[:-1])
        await call.pass_ms(600)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(100)
        call.session.feed(call.audio(100))
        await call.pass_ms(400)
        sent = call.line.sent
        await call.pass_ms(1000)
        assert call.line.sent == sent
    call.cut_at(580, 620)
    assert call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] >= 300
    assert call.session.commands[0] == ("cancel",)
    assert words(call) == "one"


async def test_twice_within_a_tenth_of_a_second_is_once(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three", 1000))
        await call.pass_ms(300)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(50)
        call.session.feed(*call.caller_speaks("u2"))
        await call.bridge.interrupt()
        await call.pass_ms(300)
    call.cut_at(280, 320)
    assert call.session.commands[-1] == ("cancel",)
    assert call.session.commands.count(("cancel",)) == 1


async def test_during_the_greeting(vendor: Vendor) -> None:
    call = Talk(vendor, greeting="Hello and welcome to us")
    async with in_progress(call):
        call.session.feed(*call.agent_says("Hello and welcome to us", 2000))
        await call.pass_ms(900)
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(100)
    call.cut_at(880, 920)
    assert words(call) == "Hello and"


async def test_after_the_last_audio_was_sent_but_not_heard(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three four", 400))
        await call.pass_ms(300)
        assert call.line.sent == vendor.on_the_line(call.audio(400).audio)  # all of it is at the carrier
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(500)
    call.cut_at(280, 320)
    assert "agent_speech_end" not in call.types()
    assert ("cancel",) not in call.session.commands


async def test_when_everything_was_heard_nothing_is_cut(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three four", 400))
        await call.clock.advance(0.45)  # the mark has not come back
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(100)
    call.uncut("one two three four", 400)


async def test_during_a_tool_call_the_tool_is_still_answered(vendor: Vendor) -> None:
    release = anyio.Event()

    async def slow() -> str:
        await release.wait()
        return "done"

    call = Talk(vendor, tools=[slow])
    async with in_progress(call):
        speech = call.agent_says("Let me see what I can find", 1000)[:-1]
        call.session.feed(*speech, ToolCallRequested("c1", "slow", "{}", "r1"))
        await call.pass_ms(300)
        call.session.feed(*call.caller_speaks(), ResponseFinished("r1", "cancelled"))
        await call.pass_ms(100)
        release.set()
        while call.bridge.metrics().tool_call_count < 1:
            await anyio.lowlevel.checkpoint()
        await call.pass_ms(10)
    assert [command for command in call.session.commands if command[0] == "result"] == [("result", "c1", "done")]
    assert [event.data["result"] for event in call.seen if event.type is EventType.TOOL_CALL] == ["done"]
    call.cut_at(280, 320)


class Ear:
    """A detector that a test tells what it hears: 20 ms windows, speech is any byte but silence."""

    window_ms = 20
    sample_rate = 16_000

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, pcm: bytes) -> list[float]:
        self._rest += pcm
        told = []
        while len(self._rest) >= 640:
            window, self._rest = self._rest[:640], self._rest[640:]
            told.append(1.0 if max(window) > 60 and min(window) < 250 and any(window) else 0.0)
        return told

    def reset(self) -> None:
        self._rest = b""


async def test_a_detector_on_this_side_stops_the_agent_before_the_provider_does(vendor: Vendor) -> None:
    call = Talk(vendor, detector=Ear)
    async with in_progress(call):
        call.session.feed(*call.agent_says("one two three four", 1600))
        await call.pass_ms(500)
        for _ in range(3):
            await call.bridge.send_audio(b"\xff" * 160)
        await call.pass_ms(0)
        assert not call.is_cleared
        for _ in range(6):
            await call.bridge.send_audio(b"\x10\x90" * 80)
        await call.pass_ms(0)
        assert call.is_cleared
        call.session.feed(*call.caller_speaks())
        await call.pass_ms(100)
    call.cut_at(480, 520)


async def test_the_application_stops_an_agent_whom_nobody_spoke_over(vendor: Vendor) -> None:
    call = Talk(vendor)
    async with in_progress(call):
        call.session.feed(SpeechStarted("u1", 0), SpeechStopped("u1", 700))
        await call.pass_ms(700)
        call.session.feed(*call.agent_says("one two three four", 1200))
        await call.pass_ms(500)
        await call.bridge.interrupt()
        await call.pass_ms(100)
    call.cut_at(480, 520)
    assert call.one(EventType.INTERRUPTION).data["user_speech_duration_ms"] == 0

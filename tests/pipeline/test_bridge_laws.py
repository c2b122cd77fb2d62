"""A whole bridge, on a clock moved by hand, through anything that may happen in any order."""

from collections import Counter
from dataclasses import replace

import anyio
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.pipeline.call import CAPABILITIES, Call, in_progress, provider_of
from trunkline.audio import TWILIO
from trunkline.errors import ProviderUnavailable
from trunkline.pipeline import EventType, InterruptionMode, InterruptionPolicy
from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
)

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), st.integers(1, 60)),
        st.tuples(st.just("more"), st.integers(1, 30)),
        st.tuples(st.just("finish"), st.just(0)),
        st.tuples(st.just("wait"), st.sampled_from([10, 30, 90, 250, 700])),
        st.tuples(st.just("stall"), st.sampled_from([150, 400])),
        st.tuples(st.just("caller speaks"), st.just(0)),
        st.tuples(st.just("caller stops"), st.just(0)),
        st.tuples(st.just("caller audio"), st.integers(1, 10)),
        st.tuples(st.just("interrupt"), st.just(0)),
        st.tuples(st.just("tool"), st.just(0)),
        st.tuples(st.just("error"), st.just(0)),
    ),
    max_size=25,
)
POLICIES = st.builds(
    InterruptionPolicy,
    mode=st.sampled_from(InterruptionMode),
    min_speech_ms=st.sampled_from([0, 0, 150]),
    hold=st.booleans(),
)

ROUNDED = [("answer", 2), ("finish", 0), ("more", 26), ("stall", 400), ("more", 4), ("answer", 46), ("wait", 700)]
ROUNDED += [("wait", 700), ("answer", 50), ("stall", 400), ("more", 6), ("answer", 32)]
"""Half of the lead is left, and a rounding error: nothing can be sent yet, and that moment cannot be told from now."""


class Play:
    """Feeds the session and remembers what the right outcome is. Each item's audio is a byte of its own."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.items = 0
        self.audio_ms: Counter[str] = Counter()
        self.calls = 0
        self.speech = 0
        self.finished = False

    @property
    def item(self) -> str:
        return f"a{self.items}"

    @property
    def response(self) -> str:
        return f"r{self.items}"

    @property
    def cut(self) -> bool:
        return any(command[:2] == ("truncate", self.item) for command in self.call.session.commands)

    def audio(self, frames: int) -> AudioReceived:
        if not self.finished and not self.cut:  # what comes later is not of the answer as anybody knows it
            self.audio_ms[self.item] += 20 * frames
        return AudioReceived(bytes([self.items % 100 + 1]) * 160 * frames, self.item, self.response)

    async def act(self, action: str, amount: int) -> None:
        feed = self.call.session.feed
        match action:
            case "answer":
                feed(ResponseFinished(self.response)) if self.items else None
                self.items += 1
                self.finished = False
                words = " ".join(["word"] * (amount // 4 + 1))
                text = AgentTranscript(words, is_final=True, item_id=self.item, response_id=self.response)
                feed(ResponseStarted(self.response), text, self.audio(amount))
            case "more" if self.items:
                feed(self.audio(amount))
            case "finish" if self.items:
                feed(ResponseFinished(self.response))
                self.finished = True
            case "wait":
                await self.call.pass_ms(amount)
            case "stall":
                await self.call.clock.advance(amount / 1000)
            case "caller speaks":
                self.speech += 1
                feed(SpeechStarted(f"u{self.speech}", 0))
            case "caller stops" if self.speech:
                feed(SpeechStopped(f"u{self.speech}", 500))
            case "caller audio":
                for _ in range(amount):
                    await self.call.bridge.send_audio(b"\x20" * 160)
            case "interrupt":
                await self.call.bridge.interrupt()
            case "tool":
                self.calls += 1
                feed(ToolCallRequested(f"c{self.calls}", "missing", "{}", f"r{self.items}-{self.calls}"))
            case "error":
                feed(ErrorReported(ProviderUnavailable("hiccup")))
        await self.call.clock.advance(0)


def check_no_older_audio_after_an_interruption(call: Call) -> None:
    newest_cut = 0
    newest_sent = 0
    for message in call.line.messages:
        if message[0] == "clear":
            newest_cut = newest_sent
        elif message[0] == "media":
            for value in set(bytes(message[1])) - {0xFF}:  # type: ignore[call-overload]
                newest_sent = max(newest_sent, value)
                if not call.holds:
                    assert value >= newest_cut


async def play(policy: InterruptionPolicy, actions: list[tuple[str, int]]) -> None:
    patient = replace(CAPABILITIES, interrupts_itself=policy.left_to_provider)
    call = Call(provider_of(patient, TWILIO, TWILIO), interruption=policy)
    call.holds = policy.hold and bool(policy.min_speech_ms)
    async with in_progress(call):
        on = Play(call)
        for action, amount in actions:
            await on.act(action, amount)
        await call.pass_ms(300)
        metrics = call.bridge.metrics()
        assert len(call.bridge._uplink._queue) <= 100
        turns = call.bridge.transcript()

    types = Counter(call.types())
    assert types["session_started"] == types["session_ended"] == 1
    assert types["interruption"] == metrics.interruption_count
    answered = Counter(command[1] for command in call.session.commands if command[0] == "result")
    assert answered == Counter(f"c{number}" for number in range(1, on.calls + 1))
    cut_items = [command[1] for command in call.session.commands if command[0] == "truncate"]
    assert len(cut_items) == len(set(cut_items))
    for command in call.session.commands:
        if command[0] == "truncate":
            assert 0 <= command[2] <= on.audio_ms[str(command[1])]  # type: ignore[operator]
    ended = [event.data["item_id"] for event in call.seen if event.type is EventType.AGENT_SPEECH_END]
    assert len(ended) == len(set(ended))
    assert not set(ended) & set(cut_items)
    check_no_older_audio_after_an_interruption(call)
    for turn in turns:
        if turn.role == "agent" and turn.interrupted:
            whole = on.audio_ms[turn.item_id]
            words = next(
                len(event.text.split())
                for event in call.seen
                if event.type is EventType.AGENT_TRANSCRIPT and event.data["item_id"] == turn.item_id
            )
            heard_words = turn.duration_ms / whole * words
            assert heard_words - 1.01 <= len(turn.text.split()) <= heard_words + 1e-6 + 1


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(policy=POLICIES, actions=ACTIONS)
@example(policy=InterruptionPolicy(), actions=ROUNDED)
def test_whatever_happens_the_call_stays_in_order(
    backend: str, policy: InterruptionPolicy, actions: list[tuple[str, int]]
) -> None:
    anyio.run(play, policy, actions, backend=backend)

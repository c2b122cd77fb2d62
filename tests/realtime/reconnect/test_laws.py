"""What holds whatever happens, in any order: nothing the caller says is lost, and no tool result comes twice or not at all.

The laws, for sessions 1, 2, … of one conversation and S, all the audio that was sent:

1. Each session hears one piece of S without a gap: S[a_i : b_i].
2. No piece begins after the end of the one before it, so that together they are S: a_1 = 0, a_(i+1) <= b_i, and the last b is the end of S.
3. What is heard twice was not settled: a_(i+1) is never before the end of the last turn whose words were known when session i ended.
4. Each result of a tool is in exactly one place of the last session that must know it: its history, or its commands; and in no session
   twice.
"""

import random
from dataclasses import dataclass, field

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.realtime.reconnect.conversation import HOUR, Call, conversation, telephone
from trunkline.errors import ConnectionFailed
from trunkline.realtime.events import (
    ResponseFinished,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    ToolCallRequested,
    UserTranscript,
)
from trunkline.realtime.reconnect import ReconnectPolicy
from trunkline.testing.fake_provider import FakeSession
from trunkline.transport.backoff import Backoff

STEPS = st.lists(
    st.sampled_from(
        [
            "audio",
            "audio",
            "audio",
            "turn",
            "words",
            "answer",
            "call",
            "result",
            "break",
            "slow",
            "fail",
            "wait",
            "minutes",
        ]
    ),
    max_size=40,
)
POLICY = ReconnectPolicy(attempts=1000, backoff=Backoff(first=1, jitter=0))


@dataclass
class Model:
    """The test's own account of the conversation."""

    call: Call
    lot: random.Random
    sent: bytes = b""
    turns: int = 0
    calls: int = 0
    results: dict[str, str] = field(default_factory=dict)
    open_calls: list[str] = field(default_factory=list)
    unknown: list[tuple[str, int, FakeSession]] = field(default_factory=list)
    settled: dict[int, int] = field(default_factory=dict)
    """By number of session: the end of the last turn that was known by the time it ended."""
    known: int = 0

    async def step(self, what: str) -> None:
        vendor, session = self.call.vendor, self.call.last
        match what:
            case "audio":
                piece = self.lot.randbytes(8 * self.lot.randrange(1, 100))
                self.sent += piece
                await self.call.session.send_audio(piece)
            case "turn" if session.heard and not session.is_over:
                self.turns += 1
                name = f"u{self.turns}"
                end_ms = len(session.heard) // 8
                session.feed(SpeechStarted(name, 0), SpeechStopped(name, end_ms))
                self.unknown.append((name, self._start(session) + len(session.heard), session))
            case "words" if self.unknown:
                name, end, told_by = self.unknown.pop(0)
                if told_by is session and not session.is_over:
                    session.feed(UserTranscript("words", True, name))
                    self.known = max(self.known, end)
            case "answer" if not session.is_over:
                session.feed(ResponseStarted(f"r{self.lot.random()}"))
                await self.call.settle()
                for answer in tuple(self.call.session._state.turns.running):
                    session.feed(ResponseFinished(answer, "cancelled"))
            case "call" if not session.is_over:
                self.calls += 1
                self.open_calls.append(f"c{self.calls}")
                session.feed(ToolCallRequested(self.open_calls[-1], "f", "{}", f"r{self.calls}"))
            case "result" if self.open_calls:
                await self.call.settle()
                call_id = self.open_calls.pop(self.lot.randrange(len(self.open_calls)))
                self.results[call_id] = f"result of {call_id}"
                await self.call.session.send_tool_result(call_id, self.results[call_id])
            case "break" if not session.is_over:
                session.die()
            case "slow":
                vendor.gate, held = (anyio.Event(), None) if vendor.gate is None else (None, vendor.gate)
                if held is not None:
                    held.set()
            case "fail":
                vendor.failures.append(ConnectionFailed("down"))
            case "wait":
                await self.call.pass_(1)
            case "minutes" if vendor.gate is None and not vendor.failures:
                await self.call.pass_(57 * 60)
            case _:
                pass
        await self.call.settle()

    def _start(self, session: FakeSession) -> int:
        return self.sent.index(bytes(session.heard[:8])) if session.heard else len(self.sent)

    def check(self) -> None:
        end = 0
        for session in self.call.vendor.sessions:
            if not session.heard:
                continue
            start = self._start(session)
            assert self.sent[start : start + len(session.heard)] == session.heard, "law 1"
            assert start <= end, "law 2"
            end = max(end, start + len(session.heard))
        assert end == len(self.sent), "law 2"
        last = self.call.last
        assert not last.heard or self._start(last) >= self.settled.get(self.call.vendor.opened - 1, 0), "law 3"
        for call_id, result in self.results.items():
            for session in self.call.vendor.sessions:
                assert self._times(session, call_id, result) <= 1, "law 4"
            assert self._times(last, call_id, result) == 1, "law 4"

    @staticmethod
    def _times(session: FakeSession, call_id: str, result: str) -> int:
        history = [item.text for item in session.config.history if item.role == "tool_result"]
        return history.count(result) + session.commands.count(("result", call_id, result))


@given(steps=STEPS, seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_laws(anyio_backend: str, steps: list[str], seed: int) -> None:
    async def converse() -> None:
        async with conversation(telephone(life=HOUR), reconnect=POLICY, watchdog=None, replay_seconds=60) as call:
            model = Model(call, random.Random(seed))
            for what in steps:
                before = len(call.vendor.sessions)
                known = model.known
                await model.step(what)
                for number in range(before, len(call.vendor.sessions)):
                    model.settled[number] = known
            if call.vendor.gate is not None:
                call.vendor.gate.set()
                call.vendor.gate = None
            await call.pass_(200)
            model.check()

    anyio.run(converse, backend=anyio_backend)

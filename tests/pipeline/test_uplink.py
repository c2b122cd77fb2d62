"""When the caller's audio goes to the session, in a program that has time and in one that has not."""

import anyio
import pytest

from tests.pipeline.doubles import MemoryCarrier, ScriptedProvider
from trunkline.audio import TWILIO
from trunkline.clock import ManualClock
from trunkline.pipeline import BridgeConfig, RealtimeBridge
from trunkline.pipeline.bridge import LONGEST_PAUSE

pytestmark = pytest.mark.anyio


class Busy(ManualClock):
    """Time may pass before anybody has his turn."""

    def keep_waiting(self, seconds: float) -> None:
        self._now += seconds


class Line:
    """A bridge in progress, and the session's audio message by message."""

    def __init__(self) -> None:
        self.clock = Busy()
        provider = ScriptedProvider(input_format=TWILIO, output_format=TWILIO)
        self.bridge = RealtimeBridge(BridgeConfig(provider=provider), port=MemoryCarrier(self.clock), clock=self.clock)
        self.messages: list[bytes] = []
        self._provider = provider

    async def begin(self) -> None:
        await self.clock.advance(0.01)
        self._provider.session.send_audio = self._note  # type: ignore[method-assign]

    async def _note(self, audio: bytes) -> None:
        self.messages.append(audio)

    async def say(self, frame: bytes, *, late: float = 0.0) -> None:
        await self.bridge.send_audio(frame)
        self.clock.keep_waiting(late)
        await self.clock.advance(0.02 - late)


async def test_a_program_that_has_time_sends_each_frame_at_once() -> None:
    line = Line()
    async with line.bridge:
        await line.begin()
        for frame in (b"1", b"2", b"3"):
            await line.bridge.send_audio(frame)
            await line.clock.advance(0)
            assert line.messages[-1] == frame
            await line.clock.advance(0.02)
    assert line.messages == [b"1", b"2", b"3"]


@pytest.mark.parametrize(("late", "together"), [(0.0005, 1), (0.0011, 3), (0.0021, 5), (0.015, 6)])
async def test_a_program_that_is_late_sends_more_together(late: float, together: int) -> None:
    line = Line()
    frames = [bytes([n]) for n in range(12)]
    async with line.bridge:
        await line.begin()
        await line.say(frames[0], late=late)
        for frame in frames[1:]:
            await line.say(frame)
        assert line.messages[0] == b"".join(frames[:together])
        assert b"".join(line.messages) == b"".join(frames), "nothing is lost, and the order kept"
        assert line.messages[1:] == frames[together:], "one late turn is not held against those that follow"


async def test_the_last_frame_of_a_caller_who_says_no_more_is_not_kept() -> None:
    line = Line()
    async with line.bridge:
        await line.begin()
        await line.say(b"last", late=0.015)
        assert line.messages == []
        await line.clock.advance(LONGEST_PAUSE)
        assert line.messages == [b"last"]


async def test_what_was_said_before_the_session_was_ready_goes_at_once() -> None:
    line = Line()
    async with anyio.create_task_group() as tasks:
        await line.bridge.start(tasks)
        await line.bridge.send_audio(b"early")
        line.clock.keep_waiting(3)
        await line.clock.advance(0)
        assert line._provider.session.heard == b"early"
        await line.bridge.close()

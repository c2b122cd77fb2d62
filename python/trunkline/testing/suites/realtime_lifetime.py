"""How sessions begin, are cut short, and end: whatever happens, nothing is left of them."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import anyio

from trunkline.errors import SessionClosed
from trunkline.realtime.events import ResponseFinished, SessionEvent, ToolCallRequested
from trunkline.realtime.provider import ProcessConfig, RealtimeProvider, RealtimeSession
from trunkline.testing.brain import CallTool, Heard, Say
from trunkline.testing.suites.cancellation import cut_at
from trunkline.testing.suites.realtime_checks import Played, RealtimeChecks
from trunkline.testing.suites.realtime_listener import Listener, complete, expect
from trunkline.testing.suites.realtime_stage import Scene, Turn
from trunkline.testing.suites.realtime_tools import TOOLS
from trunkline.testing.suites.realtime_turns import LONG

_SESSIONS = 200
_AT_ONCE = 10
_DESCRIPTORS = Path("/dev/fd")


class Lifetime(RealtimeChecks):
    """What is left when a session is over: nothing."""

    async def test_closing_twice_and_from_several_tasks(self) -> None:
        """`aclose()` from anywhere, any number of times; one `SessionEnded`; then every method raises `SessionClosed`."""
        async with self.playing(Scene(answers=[[Say(LONG)]], real_time=True)) as on:
            await on.session.send_text("Tell me everything.")
            await on.listener.next()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(on.listener.end)
                tasks.start_soon(on.session.aclose)
                tasks.start_soon(on.session.aclose)
            await on.session.aclose()
            await _is_over(on)

    async def test_closing_before_anything_was_read(self) -> None:
        """A session that nobody listened to closes without an error."""
        async with self.playing(Scene()) as on:
            await on.session.aclose()
            ended = await on.listener.end()
            expect(ended.error is None, f"closing is no error, told was {ended.error}")
            await _is_over(on)

    async def test_sessions_leave_nothing_behind(self) -> None:
        """Two hundred sessions, ten at a time, leave no task, no socket and no session of the vendor's."""
        tasks = self.running()
        async with self.vendor(Scene(answers=[[Say("Yes.")]] * (_SESSIONS + _AT_ONCE))) as vendor:
            with anyio.fail_after(2 * self.patience):  # it is many checks in one
                await _open_and_close(vendor.provider, _AT_ONCE)
                await self.settled(vendor, self.running())
                before = _descriptors()
                running = self.running()
                for _ in range(_SESSIONS // _AT_ONCE):
                    await _open_and_close(vendor.provider, _AT_ONCE)
                await self.settled(vendor, running)
                await self.until(lambda: _descriptors() <= before)
        await self.settled(None, tasks)

    async def test_cancelled_at_every_await(self) -> None:
        """A whole call, cancelled at each of its waits in turn, never hangs and leaves nothing."""
        async with self.vendor(Scene(answers=_tool_then_words)) as vendor:
            running = self.running()
            for step in count(1):
                with anyio.fail_after(self.patience):
                    cut = await cut_at(step, lambda: _whole_call(vendor.provider))
                if not cut:
                    break
            expect(step > 1, "the work never waited")
            await self.settled(vendor, running)

    async def test_cancelled_at_every_read_nothing_is_lost(self) -> None:
        """Reading that is cancelled again and again misses no event."""
        async with self.playing(Scene(answers=[[Say(LONG)]])) as on:
            await on.session.send_text("Tell me everything.")
            listener = _Interrupted(on.session)
            complete(await listener.answer(), LONG)
            expect(listener.cuts > 0, "no read was cut: none of them had to wait")


class _Interrupted(Listener):
    """Cancels each read at its first wait, and reads again."""

    def __init__(self, session: RealtimeSession) -> None:
        super().__init__(session)
        self.cuts = 0
        self._again = super().next

    async def next(self) -> SessionEvent:
        """The next event, at the second attempt where the first has to wait."""
        known = len(self.events)
        if await cut_at(1, self._again):
            self.cuts += 1
        if len(self.events) == known:
            await self._again()
        return self.events[known]


def _tool_then_words(history: Sequence[Heard]) -> Turn:
    return [Say("It rains.")] if history and history[-1].role == "tool" else [CallTool("weather", {"city": "Cardiff"})]


async def _whole_call(provider: RealtimeProvider) -> None:
    """Something of everything: connect, speak, write, a tool, an update, an answer, close."""
    async with provider.connect(ProcessConfig(functions=TOOLS)) as session:
        listener = Listener(session)
        await session.send_audio(bytes(session.input_format.frame_bytes(20)))
        await session.update_instructions("Be brief.")
        await session.send_text("How is the weather?")
        call = await listener.until(ToolCallRequested)
        await session.send_tool_result(call.call_id, "rain")
        await listener.until(ResponseFinished)
        complete(await listener.answer(), "It rains.")
        await session.aclose()


async def _open_and_close(provider: RealtimeProvider, sessions: int) -> None:
    async def one() -> None:
        async with provider.connect(ProcessConfig()) as session:
            await session.send_text("Hello.")

    async with anyio.create_task_group() as tasks:
        for _ in range(sessions):
            tasks.start_soon(one)


async def _is_over(on: Played) -> None:
    async for event in on.session:
        raise AssertionError(f"after the end came {event}")
    try:
        await on.session.send_text("Hello?")
    except SessionClosed:
        return
    raise AssertionError("after the end send_text must raise SessionClosed")


def _descriptors() -> int:
    """How many files and sockets this process has open, where the system tells."""
    return len(list(_DESCRIPTORS.iterdir())) if _DESCRIPTORS.exists() else 0

"""Sessions that begin in the middle of a conversation: `ProcessConfig.history`."""

from collections.abc import Sequence

from trunkline.conversation import HistoryItem
from trunkline.errors import LocalProtocolError
from trunkline.realtime.events import ResponseStarted
from trunkline.realtime.provider import ProcessConfig
from trunkline.testing.brain import Heard, Say
from trunkline.testing.suites.realtime_checks import RealtimeChecks, with_capability
from trunkline.testing.suites.realtime_listener import complete, expect
from trunkline.testing.suites.realtime_stage import Scene, Turn
from trunkline.testing.suites.realtime_tools import TOOLS

_WORDS = (
    HistoryItem(role="user", text="My name is Ann."),
    HistoryItem(role="agent", text="Hello, Ann."),
)
_ANSWERED = (
    HistoryItem(role="tool_call", call_id="call-1", name="weather", arguments='{"city": "Cardiff"}'),
    HistoryItem(role="tool_result", call_id="call-1", text="It rains in Cardiff."),
)
_OPEN = HistoryItem(role="tool_call", call_id="call-2", name="time", arguments='{"city": "Cardiff"}')


class _Memory:
    """What the model knows each time it is asked for an answer."""

    def __init__(self) -> None:
        self.lines: list[Heard] = []

    def answer(self, history: Sequence[Heard]) -> Turn:
        self.lines = list(history)
        return [Say("Yes.")]

    def knows(self, words: str) -> int | None:
        """Where in the conversation these words are."""
        places = [place for place, line in enumerate(self.lines) if words in (line.text or "")]
        return places[0] if places else None


class History(RealtimeChecks):
    """What the model is told of what went before."""

    async def test_the_model_is_told_what_went_before(self) -> None:
        """The words of both sides, in their order and before anything new; nothing of it is answered."""
        memory = _Memory()
        async with self.playing(Scene(answers=memory.answer), ProcessConfig(history=_WORDS)) as on:
            await on.session.send_text("What is my name?")
            complete(await on.listener.answer(), "Yes.")
            places = [memory.knows(words) for words in (_WORDS[0].text, _WORDS[1].text, "What is my name?")]
            known = [place for place in places if place is not None]
            expect(len(known) == len(places), f"the model knows only {memory.lines}")
            expect(known == sorted(known), f"the model knows it in another order: {memory.lines}")
            started = [event for event in on.listener.events if isinstance(event, ResponseStarted)]
            expect(len(started) == 1, f"one answer was asked for, {len(started)} began")

    async def test_a_tool_call_of_the_past_is_not_answered_again(self) -> None:
        """A call with its result, in whatever way the vendor takes it: the session works, and a second result is refused."""
        memory = _Memory()
        config = ProcessConfig(functions=TOOLS, history=(*_WORDS, *_ANSWERED))
        async with self.playing(Scene(answers=memory.answer), config) as on:
            try:
                await on.session.send_tool_result("call-1", "again")
            except LocalProtocolError:
                pass
            else:
                raise AssertionError("LocalProtocolError must be raised for a call that has its result")
            await on.session.send_text("What is my name?")
            complete(await on.listener.answer(), "Yes.")
            expect(memory.knows(_WORDS[1].text) is not None, f"the model knows only {memory.lines}")
            if on.session.capabilities.seeds_tool_calls:
                expect(
                    memory.knows(_ANSWERED[1].text) is not None, f"the model was not told the result: {memory.lines}"
                )

    @with_capability("seeds_tool_calls")
    async def test_an_open_tool_call_is_answered_in_the_next_session(self) -> None:
        """The result of a call that has none reaches the vendor, once, and the model goes on."""
        memory = _Memory()
        config = ProcessConfig(functions=TOOLS, history=(*_WORDS, _OPEN))
        async with self.playing(Scene(answers=memory.answer), config) as on:
            await on.session.send_tool_result("call-2", "It is noon.")
            complete(await on.listener.answer(), "Yes.")
            expect(list(on.vendor.tool_results) == ["It is noon."], f"the vendor got {on.vendor.tool_results}")

    @with_capability("seeds_tool_calls", value=False)
    async def test_an_open_tool_call_is_refused_where_it_cannot_be_told(self) -> None:
        """`LocalProtocolError` is raised for its result, and the session goes on."""
        memory = _Memory()
        config = ProcessConfig(functions=TOOLS, history=(*_WORDS, _OPEN))
        async with self.playing(Scene(answers=memory.answer), config) as on:
            try:
                await on.session.send_tool_result("call-2", "It is noon.")
            except LocalProtocolError:
                pass
            else:
                raise AssertionError("LocalProtocolError must be raised: the session was never told of this call")
            await on.session.send_text("What is my name?")
            complete(await on.listener.answer(), "Yes.")

"""Listening to a session: its events, read up to the one that is waited for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from trunkline.realtime.events import (
    AgentTranscript,
    AudioReceived,
    ErrorReported,
    ResponseFinished,
    ResponseStarted,
    SessionEnded,
    SessionEvent,
)
from trunkline.realtime.provider import RealtimeSession

_E = TypeVar("_E")


def expect(condition: object, sentence: str) -> None:
    """Fail the check with this sentence unless the condition holds.

    Raises:
        AssertionError: It does not.
    """
    if not condition:
        raise AssertionError(sentence)


@dataclass(slots=True)
class Answer:
    """One response, from its beginning to its end."""

    response_id: str
    finished: ResponseFinished
    audio: bytes = b""
    text: str = ""
    pieces: str = ""
    item_id: str = ""


class Listener:
    """The reader of one session; `events` is all that came."""

    def __init__(self, session: RealtimeSession) -> None:
        self.events: list[SessionEvent] = []
        self._coming = aiter(session)

    async def next(self) -> SessionEvent:
        """The next event; cancelling it loses none.

        Raises:
            AssertionError: The session is over.
        """
        try:
            event = await anext(self._coming)
        except StopAsyncIteration:
            raise AssertionError(f"the session ended, after {self.told()}") from None
        self.events.append(event)
        return event

    async def until(self, kind: type[_E], where: Callable[[_E], bool] = lambda _: True) -> _E:
        """The next event of a kind, and of those the first for which `where` holds.

        Raises:
            AssertionError: The session ended instead.
        """
        while True:
            event = await self.next()
            if isinstance(event, kind) and where(event):
                return event
            expect(not isinstance(event, SessionEnded), f"wanted {kind.__name__}, but the session ended: {event}")

    async def end(self) -> SessionEnded:
        """Read to the end.

        Raises:
            AssertionError: The last event is another one than `SessionEnded`.
        """
        async for event in self._coming:
            self.events.append(event)
        last = self.events[-1] if self.events else None
        if not isinstance(last, SessionEnded):
            raise AssertionError(f"the last event must be SessionEnded, not {last}")  # noqa: TRY004 - a check that fails
        ends = [event for event in self.events if isinstance(event, SessionEnded)]
        expect(len(ends) == 1, f"SessionEnded must come once, it came {len(ends)} times")
        return last

    async def answer(self) -> Answer:
        """The next response, whole."""
        started = await self.until(ResponseStarted)
        finished = await self.until(ResponseFinished, lambda event: event.response_id == started.response_id)
        answer = Answer(started.response_id, finished)
        for event in self.events:
            match event:
                case AudioReceived(audio, item_id, answer.response_id):
                    answer.audio += audio
                    answer.item_id = item_id
                case AgentTranscript(text, True, _, answer.response_id):
                    answer.text += text
                case AgentTranscript(text, False, _, answer.response_id):
                    answer.pieces += text
                case _:
                    pass
        return answer

    @property
    def errors(self) -> list[ErrorReported]:
        """The errors that were told."""
        return [event for event in self.events if isinstance(event, ErrorReported)]

    def told(self) -> str:
        """The kinds of the last events, for a sentence."""
        return ", ".join(type(event).__name__ for event in self.events[-8:]) or "no event"

    def happened(self, kind: type[_E], where: Callable[[_E], bool] = lambda _: True) -> bool:
        """Whether such an event has been read."""
        return any(isinstance(event, kind) and where(event) for event in self.events)


def complete(answer: Answer, words: str) -> None:
    """Check that an answer says these words, in full.

    Raises:
        AssertionError: It does not.
    """
    expect(answer.finished.status == "completed", f"the answer is {answer.finished.status}: {answer.finished.reason}")
    expect(answer.text == words, f"the answer's words are {answer.text!r}, not {words!r}")
    expect(not answer.pieces or answer.pieces == words, f"the pieces of {words!r} make {answer.pieces!r}")
    expect(answer.audio, "the answer has no audio")

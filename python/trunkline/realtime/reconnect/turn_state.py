"""Who has the floor: the user, the model, a tool, or nobody. It tells when a session may be replaced without anybody noticing."""

from collections import deque
from dataclasses import dataclass

from trunkline.audio import AudioFormat
from trunkline.realtime import events


@dataclass(frozen=True, slots=True)
class Wish:
    """An answer that was asked for; `instructions` hold for it alone, and `during_tools` it is for the time until the tools are done."""

    instructions: str | None = None
    during_tools: bool = False


SETTLED = 2.0
"""Seconds after which nothing more is expected of what was said: transcripts come about 0.7 s after a turn."""


class Floor:
    """The state of one conversation; times are seconds of whatever clock the caller reads."""

    def __init__(self, now: float = 0.0) -> None:
        self.user_speaks = False
        self.running: set[str] = set()
        self.wishes: deque[Wish] = deque()
        """Answers asked for and not begun."""
        self.calls: dict[str, str] = {}
        """Tool calls without a result, each with the answer it belongs to."""
        self._dropped: set[str] = set()
        self.turn_waits = False
        """The user's turn ended, and nothing came since."""
        self.follows_up = False
        """The vendor was seen to follow up a turn by itself, with words or with an answer."""
        self._turn_unanswered = False
        self._answers_turns = True  # until it is seen to wait until it is asked
        self.last_event = now
        self.last_wish = now
        self.heard_until = now
        """When the audio that was received will have been played, if it is played as it comes."""

    def take(self, event: events.SessionEvent, now: float, output_format: AudioFormat) -> None:
        """Something came from the vendor."""
        self.last_event = now
        waited, self.turn_waits = self.turn_waits, False
        match event:
            case events.SpeechStarted():
                self.user_speaks = True
            case events.SpeechStopped():
                self.user_speaks = False
                self.turn_waits = self._turn_unanswered = True
            case events.UserTranscript():
                self.follows_up |= waited
            case events.ResponseStarted(response_id):
                self.follows_up |= waited and not self.wishes
                if self._turn_unanswered:
                    self._turn_unanswered, self._answers_turns = False, not self.wishes
                self.running.add(response_id)
                if self.wishes:
                    self.wishes.popleft()
            case events.AudioReceived(audio):
                self.heard_until = max(self.heard_until, now) + output_format.duration_ms(len(audio)) / 1000
            case events.ResponseFinished(response_id, status):
                self.running -= {response_id, ""}
                if status == "cancelled":
                    self._dropped.add(response_id)
            case events.Interrupted():
                self.heard_until = now
            case events.ToolCallRequested(call_id, response_id=response_id):
                self.calls[call_id] = response_id
            case events.ToolCallCancelled(call_id):
                self.calls.pop(call_id, None)
            case events.ErrorReported():
                self.wishes.clear()  # one may have been refused, and then nothing comes of it
            case _:
                self.turn_waits = waited

    def wish(self, wish: Wish, now: float) -> None:
        """An answer is asked for; several without instructions are one, as one answer serves them all."""
        self.last_wish = now
        if wish.instructions is not None or wish not in self.wishes:
            self.wishes.append(wish)

    def wishes_left(self) -> tuple[Wish, ...]:
        """What another session must be asked for: all but what was to bridge the time of tools that are done."""
        self.wishes = deque(wish for wish in self.wishes if self.calls or not wish.during_tools)
        return tuple(self.wishes)

    def cancel(self) -> None:
        """Nothing more of the running answer is wanted, nor what its tool calls would bring."""
        self._dropped |= self.running
        self.wishes.clear()

    def answer_call(self, call_id: str, now: float) -> None:
        """A tool call has its result; with the last one of an answer that was not cancelled the vendor goes on."""
        response_id = self.calls.pop(call_id, "")
        if response_id not in self._dropped and response_id not in self.calls.values():
            self.wish(Wish(), now)

    def break_off(self) -> bool:
        """The session is gone, and with it what it was about to say; returns whether the caller is owed an answer.

        Wishes stay, as do tool calls: the next session is told of them.
        """
        cut_short = bool(self.running - self._dropped) or (self._turn_unanswered and self._answers_turns)
        owed = cut_short and not self.user_speaks  # else what the user is saying brings the answer
        self.running.clear()
        self.user_speaks = self.turn_waits = self._turn_unanswered = False
        return owed

    @property
    def is_busy(self) -> bool:
        """Whether somebody speaks, works or is waited for."""
        return bool(self.user_speaks or self.running or self.wishes or self.calls)

    def quiet_from(self) -> float | None:
        """From when nothing is under way and everything said was heard; None if that depends on what comes."""
        return None if self.is_busy else max(self.last_event + SETTLED, self.heard_until)

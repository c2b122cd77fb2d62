"""All that a conversation's next session must know: kept from what its sessions said and what was said to them."""

from typing import Literal

from trunkline.audio import AudioFormat
from trunkline.conversation import pending_calls
from trunkline.errors import LocalProtocolError
from trunkline.realtime import events
from trunkline.realtime.provider import ProcessConfig
from trunkline.realtime.reconnect.audio_replay import InputLog
from trunkline.realtime.reconnect.history import History
from trunkline.realtime.reconnect.trailing_silence import Silence
from trunkline.realtime.reconnect.turn_state import Floor, Wish


class Books:
    """What was said, by whom, what is due, and what was not understood yet. Times are seconds of whatever clock the caller reads.

    Args:
        config: What the conversation begins with.
        input_format: What the caller's audio is, and `output_format` the model's.
        replay_seconds: How much of the caller's audio is kept at most.
        now: When it begins.
    """

    def __init__(
        self,
        config: ProcessConfig,
        *,
        input_format: AudioFormat,
        output_format: AudioFormat,
        replay_seconds: float,
        now: float,
    ) -> None:
        self.history = History(config.history)
        self.floor = Floor(now)
        self.input = InputLog(input_format, seconds=replay_seconds)
        self.silence = Silence(input_format)
        self.revision = 0
        """Changes with everything that a session which is being made would have to be told of."""
        self._input_format = input_format
        self._output_format = output_format
        self._calls: dict[str, Literal["open", "answered", "taken back"]] = dict.fromkeys(
            pending_calls(config.history), "open"
        )

    # ── the vendor's side ────────────────────────────────────────────────────────────────────────────────────────────

    def follow(self, event: events.SessionEvent, now: float, *, position: int) -> None:
        """Something came from the vendor, who was given the caller's audio up to this position."""
        asked = bool(self.floor.wishes)
        self.floor.take(event, now, self._output_format)
        self.history.take(event)
        self.revision += 1
        match event:
            case events.SpeechStarted():
                self.silence.reset()
            case events.SpeechStopped(item_id, audio_end_ms):
                end = self._input_format.frame_bytes(audio_end_ms) if audio_end_ms else position
                self.input.turn_ended(item_id, end)
            case events.UserTranscript(is_final=True, item_id=item_id):
                self.input.understood(item_id)
            case events.ResponseStarted(response_id):
                self.input.answer_began(response_id, unasked_at=None if asked else position)
            case events.ResponseFinished(response_id, "completed"):
                self.input.answer_completed(response_id)
            case events.ToolCallRequested(call_id):
                self._calls[call_id] = "open"
            case events.ToolCallCancelled(call_id):
                self._calls[call_id] = "taken back"
            case _:
                pass

    def break_off(self) -> bool:
        """The session is gone; returns whether the caller is owed an answer."""
        self.history.break_off()
        return self.floor.break_off()

    # ── the user's side ──────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, audio: bytes) -> None:
        """The caller's audio goes on."""
        self.input.add(audio)
        if self.floor.user_speaks:
            self.silence.hear(audio)

    def say(self, text: str, now: float) -> None:
        """The user says something in text, and wants an answer."""
        self.history.say(text)
        self.floor.wish(Wish(), now)

    def answer_call(self, call_id: str, result: str, now: float) -> bool:
        """A tool call has its result; False if nobody wants it any more.

        Raises:
            LocalProtocolError: There is no such call, or it was answered before.
        """
        state = self._calls.get(call_id)
        if state is None:
            raise LocalProtocolError(f"no tool call {call_id!r} was requested in this session")
        if state == "answered":
            raise LocalProtocolError(f"tool call {call_id!r} was answered before")
        self._calls[call_id] = "answered"
        if state == "taken back":
            return False
        self.history.answer_call(call_id, result)
        self.floor.answer_call(call_id, now)
        return True
